"""The spectral sums: exact products of cumulative spectra, and what they add up to."""

import math

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import cumulative_width, flow
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.separate import parts_layout

PIECE = 17
"""Bits of a number's lower piece: with the sign that it lacks, it fits a multiplier."""
LATENCY = 5


def terms(machine: SpectralMachine) -> int:
    """The most numbers of both halves' cumulative spectra."""
    return machine.size * (machine.size // 2 + 1)


def spectral_total_width(machine: SpectralMachine) -> int:
    """Bits of ta and tb: each of a half's numbers is below 2^(cumulative_width - 1)."""
    return cumulative_width(machine) + math.ceil(math.log2(terms(machine) // 2))


def energy_width(machine: SpectralMachine) -> int:
    """Bits of saa, sbb and sab, signed: cumulative_width's bound is on a number's magnitude."""
    magnitude = 2 * (cumulative_width(machine) - 1) + math.ceil(math.log2(terms(machine)))
    return magnitude + 1


class SpectralSums(wiring.Component):
    """Sums over the cumulative spectra a (image) and b (reference), exact.

    saa of |a|^2, sbb of |b|^2, sab of Re(a conj b); ta of Re a and tb of Re b in the lower half.

    Latency: `latency` cycles from a part to the sums. Throughput: a part of both images a cycle.
    Ten multipliers of 18 x 18 bits.

    Ports: i: `flow` of `parts_layout`; saa, sbb, sab: `energy_width` bits,
    ta, tb: `spectral_total_width` bits, signed; done: since reset the last part came, and is in.
    """

    latency = LATENCY

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        self._width = cumulative_width(machine)
        energy = Out(signed(energy_width(machine)))
        total = Out(signed(spectral_total_width(machine)))
        parts = flow(parts_layout(self._width))
        super().__init__(
            {
                "i": In(parts),
                **dict.fromkeys(("saa", "sbb", "sab"), energy),
                **dict.fromkeys(("ta", "tb"), total),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        # x = x1 2^17 + x0 with x0 >= 0. In x1 y1 2^34 + x0 y0 the two products do not overlap: it
        # takes no adder. A square has one product between them, twice; others have two.
        m = Module()
        valid = Signal(LATENCY - 1)
        m.d.sync += valid.eq(Cat(self.i.valid, valid))

        def stage(name: str, value: Value) -> Signal:
            register = Signal(value.shape(), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        def pieces(name: str, number) -> tuple[Value, Value]:
            taken = stage(f"{name}1", number)
            return Cat(taken[:PIECE], Const(0, 1)).as_signed(), taken[PIECE:].as_signed()

        def product(name: str, x: tuple[Value, Value], y: tuple[Value, Value]) -> Signal:
            low = stage(f"{name}_low2", x[0] * y[0])
            high = stage(f"{name}_high2", x[1] * y[1])
            outer = stage(f"{name}_outer3", Cat(low[: 2 * PIECE], high).as_signed())
            cross = stage(f"{name}_cross2", x[1] * y[0])
            if x is y:
                both = stage(f"{name}_cross3", cross << 1)
            else:
                other = stage(f"{name}_other2", x[0] * y[1])
                both = stage(f"{name}_cross3", cross + other)
            upper = (outer >> PIECE) + both
            return stage(f"{name}4", Cat(outer[:PIECE], upper)[: 2 * self._width].as_signed())

        a, b = pieces("a", self.i.payload.image), pieces("b", self.i.payload.reference)
        products = (
            (self.saa, product("aa", a, a)),
            (self.sbb, product("bb", b, b)),
            (self.sab, product("ab", a, b)),
        )
        for total, term in products:
            with m.If(valid[-1]):
                m.d.sync += total.eq(total + term)
        lower = self.i.payload.place.lower & ~self.i.payload.imaginary
        with m.If(self.i.valid & lower):
            m.d.sync += [
                self.ta.eq(self.ta + self.i.payload.image),
                self.tb.eq(self.tb + self.i.payload.reference),
            ]

        last = self.i.payload.place.last & self.i.payload.imaginary
        for n in range(LATENCY - 1):
            last = stage(f"last{n + 1}", last)
        with m.If(valid[-1] & last):
            m.d.sync += self.done.eq(1)
        return m
