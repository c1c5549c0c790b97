"""The spectral sums: exact products of cumulative spectra, and what they add up to."""

import math

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.pipeline import Pipeline
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
        pipeline = Pipeline(m)  # from cycle 0, that of i
        pipeline.put("valid", self.i.valid, at=0, reset=True)
        valid = pipeline.get("valid", at=LATENCY - 1)

        def pieces(name: str, number) -> tuple[Value, Value]:
            taken = pipeline.register(name, number, at=1)
            return Cat(taken[:PIECE], Const(0, 1)).as_signed(), taken[PIECE:].as_signed()

        def product(name: str, x: tuple[Value, Value], y: tuple[Value, Value]) -> Signal:
            low = pipeline.register(f"{name}_low", x[0] * y[0], at=2)
            high = pipeline.register(f"{name}_high", x[1] * y[1], at=2)
            outer = Cat(low[: 2 * PIECE], high).as_signed()
            outer = pipeline.register(f"{name}_outer", outer, at=3)
            cross = pipeline.register(f"{name}_cross", x[1] * y[0], at=2)
            if x is y:
                both = cross << 1
            else:
                both = cross + pipeline.register(f"{name}_other", x[0] * y[1], at=2)
            both = pipeline.register(f"{name}_both", both, at=3)
            upper = (outer >> PIECE) + both
            whole = Cat(outer[:PIECE], upper)[: 2 * self._width].as_signed()
            return pipeline.register(name, whole, at=4)

        a, b = pieces("a", self.i.payload.image), pieces("b", self.i.payload.reference)
        products = (
            (self.saa, product("aa", a, a)),
            (self.sbb, product("bb", b, b)),
            (self.sab, product("ab", a, b)),
        )
        for total, term in products:
            with m.If(valid):
                m.d.sync += total.eq(total + term)
        lower = self.i.payload.place.lower & ~self.i.payload.imaginary
        with m.If(self.i.valid & lower):
            m.d.sync += [
                self.ta.eq(self.ta + self.i.payload.image),
                self.tb.eq(self.tb + self.i.payload.reference),
            ]

        pipeline.put("last", self.i.payload.place.last & self.i.payload.imaginary, at=0)
        last = pipeline.get("last", at=LATENCY - 1)
        with m.If(valid & last):
            m.d.sync += self.done.eq(1)
        return m
