"""Transformed words become samples again."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import EXPONENT, SAMPLE, complex_layout
from backspike.gen.spectral.normalise import Normalise
from backspike.ir.spectral_constants import MANTISSA


class Pack(wiring.Component):
    """Mantissas of MANTISSA bits and an exponent that counts on from the line's: golden `pack`.

    Latency: `latency` cycles. Throughput: a word a cycle.

    Parameters: width of a word's parts; tag_width: bits that go along with each word.

    Ports: i {word, line (the line's exponent), tag}; o {sample, tag}. The sum of exponents must
    fit EXPONENT bits.
    """

    latency = Normalise.latency + 1

    def __init__(self, *, width: int, tag_width: int):
        self._width, self._tag_width = width, tag_width
        words = {"word": complex_layout(width), "line": EXPONENT, "tag": tag_width}
        samples = {"sample": SAMPLE, "tag": tag_width}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(words))),
                "o": Out(stream.Signature(data.StructLayout(samples))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.normalise = normalise = Normalise(width=self._width, mantissa=MANTISSA)
        step = Signal()
        present = Signal(self.latency)
        line, tag = self.i.payload.line, self.i.payload.tag
        with m.If(step):
            m.d.sync += present.eq(Cat(self.i.valid, present))
            for n in range(normalise.latency):
                later = [
                    Signal.like(x, name=f"{name}{n}", reset_less=True)
                    for x, name in ((line, "line"), (tag, "tag"))
                ]
                m.d.sync += [b.eq(a) for a, b in zip((line, tag), later, strict=True)]
                line, tag = later
            m.d.sync += [
                self.o.payload.sample.re.eq(normalise.o.re),
                self.o.payload.sample.im.eq(normalise.o.im),
                self.o.payload.sample.exponent.eq(line + normalise.exponent),
                self.o.payload.tag.eq(tag),
            ]
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.o.valid.eq(present[-1]),
            normalise.step.eq(step),
            normalise.i.re.eq(self.i.payload.word.re),
            normalise.i.im.eq(self.i.payload.word.im),
        ]
        return m
