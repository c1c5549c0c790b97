"""Samples of a line become words on one scale."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import EXPONENT, SAMPLE, point_layout
from backspike.ir.spectral_constants import GUARD, MANTISSA, WIDTH

SHIFT = 5
"""Bits of a shift: a shift of WIDTH bits or more leaves nothing of a word, and 2^5 > WIDTH."""
FINE = 3
"""Lower bits of a shift, which are done a cycle after the upper ones."""

ALIGN = data.StructLayout({"sample": SAMPLE, "line": EXPONENT, "first": 1})
"""A sample beside its line's exponent; `first` marks the line's first."""


class Align(wiring.Component):
    """Words m 2^(e - E + GUARD) of WIDTH bits, rounded to nearest, halves up: golden `align`.

    Latency: `latency` cycles. Throughput: a sample a cycle.

    Ports: i (ALIGN; the line's exponent E is at least the sample's e), o (`point_layout`).
    """

    latency = 4

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(ALIGN)),
                "o": Out(stream.Signature(point_layout(WIDTH))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = Signal()
        present = Signal(self.latency)
        first = Signal(self.latency, reset_less=True)
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.o.valid.eq(present[-1]),
            self.o.payload.first.eq(first[-1]),
        ]
        with m.If(step):
            m.d.sync += [
                present.eq(Cat(self.i.valid, present)),
                first.eq(Cat(self.i.payload.first, first)),
            ]

        sample = self.i.payload.sample
        distance = Signal(EXPONENT)
        shift = Signal(SHIFT, reset_less=True)
        fine = Signal(FINE, reset_less=True)
        m.d.comb += distance.eq(self.i.payload.line - sample.exponent)
        with m.If(step):
            m.d.sync += [
                shift.eq(distance | distance[SHIFT:].any().replicate(SHIFT)),
                fine.eq(shift),
            ]
        for name in ("re", "im"):
            mantissa = Signal(signed(MANTISSA), name=f"{name}_mantissa", reset_less=True)
            # A bit below the word's last place is what rounding needs.
            coarse = Signal(signed(WIDTH + 1), name=f"{name}_coarse", reset_less=True)
            exact = Signal(signed(WIDTH + 1), name=f"{name}_exact", reset_less=True)
            word = Signal(signed(WIDTH), name=f"{name}_word", reset_less=True)
            far = shift & -(1 << FINE)
            with m.If(step):
                m.d.sync += [
                    mantissa.eq(sample[name]),
                    coarse.eq(Cat(Const(0, GUARD + 1), mantissa).as_signed() >> far[:SHIFT]),
                    exact.eq(coarse >> fine),
                    word.eq(exact[1:].as_signed() + exact[0]),
                ]
            m.d.comb += self.o.payload[name].eq(word)
        return m
