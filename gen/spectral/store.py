"""The frame store: the samples that a run transforms, and what the host sees of them at rest."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature
from backspike.gen.memory.slices import SlicedMemory
from backspike.gen.memory.window import RowWindow
from backspike.gen.spectral.layout import SAMPLE
from backspike.gen.spectral.machine import SpectralMachine
from backspike.ir.spectral_constants import MANTISSA

PART = 24
"""Bits in which the host sees a sample's part, with the sign extended."""
PIXEL = 16
"""Bits of a word for a pixel of an image."""
SAMPLE_WORDS = 2
"""Words of a sample in its window."""


def sample_word(part: Value, exponent: Value) -> Value:
    """How the host sees a part of a sample: the mantissa, and above it the exponent."""
    return Cat(part, part[-1].replicate(PART - MANTISSA), exponent, Const(0, 2))


def is_sample_word(word: Value) -> Value:
    """Whether a word is a mantissa with exponent 0."""
    sign = word[MANTISSA - 1 : PART]
    return (sign.all() | ~sign.any()) & ~word[PART:].any()


def pixel_part(pixel: Value) -> Value:
    """A pixel less mid-scale, at full scale: a sample's part (see golden's `samples`)."""
    return Cat(Const(0, MANTISSA - len(pixel)), pixel[:-1], ~pixel[-1])


class FrameStore(wiring.Component):
    """`points` samples, each part and the exponents in a memory of their own.

    While `rest` is high the host has the ports: `pixels` (write only) takes a pixel of both images
    a word, the image's in bits 15 to 0, the reference's above, and refuses one that is too large;
    `samples` shows word 0 with the real part and word 1 with the imaginary part, each in bits 23 to
    0 with the exponent in bits 31 to 24. Both are in the order of addresses, row * size + column. A
    written sample's exponent becomes 0; a word that gives it another, or whose mantissa does not
    fit, is refused.

    Latency: READ_LATENCY cycles from address to sample. Throughput: a read and a write a cycle. A
    sample that is written in one cycle must not be read in the next, and is new from the cycle
    after that on. The host's: see `RowWindow`.

    Ports: read, write: the passes'; pixels, samples: the host's windows; rest; written (one
    cycle): the host has written a sample.
    """

    def __init__(self, machine: SpectralMachine):
        self.machine = machine
        depth = machine.points
        super().__init__(
            {
                "read": In(read_signature(SAMPLE.size, depth)),
                "write": In(write_signature(SAMPLE.size, depth)),
                "pixels": In(HostBus(exact_log2(depth))),
                "samples": In(HostBus(exact_log2(depth * SAMPLE_WORDS))),
                "rest": In(1),
                "written": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth, bits = self.machine.points, self.machine.pixel_bits
        m.submodules.pixels_window = pixels = RowWindow(
            width=WORD,
            depth=depth,
            latency=READ_LATENCY,
            allowed=lambda word: ~(word[bits:PIXEL].any() | word[PIXEL + bits :].any()),
        )
        m.submodules.samples_window = samples = RowWindow(
            width=SAMPLE_WORDS * WORD, depth=depth, latency=READ_LATENCY, allowed=is_sample_word
        )
        wiring.connect(m, wiring.flipped(self.pixels), pixels.host)
        wiring.connect(m, wiring.flipped(self.samples), samples.host)

        parts = {}
        for name, field in SAMPLE:
            parts[name] = SlicedMemory(width=field.width, depth=depth)
            m.submodules[name] = parts[name]

        found, kept = Signal(SAMPLE), data.View(SAMPLE, self.write.data)
        m.d.comb += [
            self.read.data.eq(found),
            samples.row.eq(Cat(sample_word(part, found.exponent) for part in (found.re, found.im))),
        ]
        # What the host writes, and whether: at the most one window at a time does.
        wrote = pixels.enable.replicate(SAMPLE_WORDS) | samples.enable
        mantissa = samples.data[:MANTISSA]
        image, reference = (pixels.data[first : first + bits] for first in (0, PIXEL))
        host = {
            "re": (wrote[0], Mux(pixels.enable, pixel_part(image), mantissa)),
            "im": (wrote[1], Mux(pixels.enable, pixel_part(reference), mantissa)),
            "exponent": (wrote.any(), Const(0)),
        }
        # Out of registers, because the way to so many block RAMs is long.
        address = Signal(len(self.write.addr), name="write_address", reset_less=True)
        m.d.sync += address.eq(
            Mux(self.rest, Mux(pixels.enable, pixels.address, samples.address), self.write.addr)
        )
        for name, part in parts.items():
            enable, value = Signal(name=f"{name}_enable"), Signal.like(found[name], name=name)
            host_enable, host_value = host[name]
            m.d.sync += [
                enable.eq(Mux(self.rest, host_enable, self.write.en)),
                value.eq(Mux(self.rest, host_value, kept[name])),
            ]
            m.d.comb += [
                part.write.en.eq(enable),
                part.write.addr.eq(address),
                part.write.data.eq(value),
                part.read0.addr.eq(Mux(self.rest, samples.address, self.read.addr)),
                found[name].eq(part.read0.data),
            ]
        m.d.comb += self.written.eq(self.rest & wrote.any())
        return m
