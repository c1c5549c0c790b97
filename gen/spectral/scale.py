"""A pair's spectrum on one scale."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.pipeline import Pipeline
from backspike.gen.spectral.layout import column_layout, spectrum_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.ir.spectral_constants import DROPPED, MANTISSA

STAGES = 4
FINE = 2
"""Bits of a shift that are left for the second of two cycles."""


def spectrum_layout(machine: SpectralMachine) -> data.StructLayout:
    """A number of the spectrum, and its row."""
    width = spectrum_width(machine)
    return data.StructLayout({"re": signed(width), "im": signed(width), "row": machine.log_size})


class Scale(wiring.Component):
    """Rounds the columns' transforms, each with its exponent, to units of 2^(DROPPED - 2 GUARD).

    Halves go up. Frequency 0, which is the first word of row 0 since reset, becomes 0.

    Latency: `latency` cycles. Throughput: one word a cycle.

    Ports: i: stream of `column_layout`; o: stream of `spectrum_layout`.
    """

    latency = STAGES

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        super().__init__(
            {
                "i": In(stream.Signature(column_layout(machine))),
                "o": Out(stream.Signature(spectrum_layout(machine))),
            }
        )

    def elaborate(self, platform):
        # A word is multiplied by 2^E and divided by 2^DROPPED at once: it begins `left` places up
        # and goes limit - E down. One place more is kept below, for rounding.
        m = Module()
        width = spectrum_width(self._machine)
        greatest = len(self.i.payload.re) - MANTISSA  # E: what did not fit a sample's mantissa
        limit = max(greatest, DROPPED)
        left = limit - DROPPED
        shift_bits = limit.bit_length()

        go = Signal()
        pipeline = Pipeline(m, enable=go)  # from cycle 0, that of i
        pipeline.put("valid", self.i.valid, at=0, reset=True)
        m.d.comb += [
            go.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(go),
            self.o.valid.eq(pipeline.get("valid", at=STAGES)),
        ]
        zeroed = Signal()  # frequency 0 has passed
        with m.If(go):
            with m.If(self.i.valid & (self.i.payload.row == 0)):
                m.d.sync += zeroed.eq(1)

        shift = pipeline.register("shift", (limit - self.i.payload.exponent)[:shift_bits], at=1)
        fine = pipeline.get("shift", at=2)[:FINE]
        pipeline.put("row", self.i.payload.row, at=0)
        m.d.comb += self.o.payload.row.eq(pipeline.get("row", at=STAGES))
        for part in ("re", "im"):
            word = Signal(signed(len(self.i.payload[part])), name=f"{part}1", reset_less=True)
            with m.If(go):
                m.d.sync += word.eq(self.i.payload[part])
                with m.If((self.i.payload.row == 0) & ~zeroed):
                    m.d.sync += word.eq(0)
            whole = Cat(Const(0, left + 1), word).as_signed()
            # The result fits its width, so places beyond what still shifts are signs.
            coarse = whole >> Cat(Const(0, FINE), shift[FINE:])
            coarse = coarse[: width + (1 << FINE)].as_signed()
            kept = pipeline.register(f"{part}_coarse", coarse, at=2)
            cut = pipeline.register(f"{part}_fine", (kept >> fine)[: width + 1].as_signed(), at=3)
            rounded = (cut + 1)[1 : width + 1].as_signed()
            rounded = pipeline.register(f"{part}_rounded", rounded, at=4)
            m.d.comb += self.o.payload[part].eq(rounded)
        return m
