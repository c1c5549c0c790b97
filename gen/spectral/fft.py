"""The streaming Fourier transform of lines: golden `fft`, one word a step."""

from collections.abc import Iterator
from typing import NamedTuple

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.butterfly import Butterfly, Role
from backspike.gen.spectral.layout import LOG, point_layout, transformed_width
from backspike.gen.spectral.machine import LARGEST, SMALLEST
from backspike.gen.spectral.rotate import Rotate, rotation_latency
from backspike.ir.spectral_constants import WIDTH

LEAST = SMALLEST.bit_length() - 1
"""log2 of the shortest line's points."""
GREATEST = LARGEST.bit_length() - 1
"""log2 of the longest line's."""


class Stage(NamedTuple):
    """A butterfly over blocks of 2^log_block points, on parts of `width` bits.

    rotated: bits of its words when they have been rotated, by the factors of blocks twice as long;
    None if no rotation follows.
    """

    log_block: int
    role: Role
    width: int
    rotated: int | None


def stages(log_size: int, width: int) -> Iterator[Stage]:
    """The butterflies of the longest line, in the order that words pass them.

    Pairs end with the blocks of 2 points. A rotation follows each second butterfly but the last.
    The first of them makes parts wider by a bit, see `transformed_width`, and it alone.
    """
    extra = 1
    for log_block in range(log_size, 0, -1):
        rotated = None
        if log_block % 2 == 0:
            role = Role.FIRST
        else:
            role = Role.SINGLE if log_block == log_size else Role.SECOND
            if log_block > 1:
                rotated, extra = width + 1 + extra, 0
        yield Stage(log_block, role, width, rotated)
        width = rotated or width + 1


def latency(
    log_size: int, log_points: int, *, width: int = WIDTH, mantissa: int | None = None
) -> int:
    """Steps from a word that goes into `FFT` to the word of that number that comes out."""
    steps = 1  # the register at the end
    for stage in stages(log_size, width):
        steps += 1
        if stage.log_block <= log_points:
            steps += 1 << (stage.log_block - 1)
        if stage.rotated:
            steps += rotation_latency(stage.width + 1, mantissa)
    return steps


class FFT(wiring.Component):
    """Fourier transforms of lines of 2^log_points points, 8 to 2^log_size, golden `fft`.

    A chain of butterflies over blocks of N, N/2 … 2 points with delay lines of half a block, and a
    rotation after each second one. It moves a step for each word that comes in, so that what is
    inside comes out only when more goes in: any words.

    Latency: `latency` steps. Throughput: one word a cycle.

    Parameters: log_size; width of the parts of words that come in; mantissa: see golden `rotate`,
    at least width (so that rotations by 1, in lines that are short, change nothing).

    Ports: i, o: points. A line's words come in in their order, and leave in that of frequencies
    whose log_points bits are reversed; lines follow each other at once. Every line's first word is
    marked; words before the first line are ignored, and o.valid is low until its first is there.
    log_points: constant while words are inside. clear: words inside are forgotten, and none is
    taken.

    Errors: ValueError for another log_size, and a mantissa below width.
    """

    def __init__(self, log_size: int, *, width: int = WIDTH, mantissa: int | None = None):
        if not LEAST <= log_size <= GREATEST:
            raise ValueError(f"log_size is {log_size}, must be {LEAST} to {GREATEST}")
        if mantissa is not None and mantissa < width:
            raise ValueError(f"mantissa is {mantissa}, must be {width} or more")
        self._log_size, self._width, self._mantissa = log_size, width, mantissa
        super().__init__(
            {
                "clear": In(1),
                "log_points": In(LOG),
                "i": In(stream.Signature(point_layout(width))),
                "o": Out(stream.Signature(point_layout(transformed_width(width, log_size)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = Signal()
        m.d.comb += [
            self.i.ready.eq((~self.o.valid | self.o.ready) & ~self.clear),
            step.eq(self.i.valid & self.i.ready),
        ]

        word = self.i.payload
        for stage in stages(self._log_size, self._width):
            log_block = stage.log_block
            butterfly = Butterfly(log_block=log_block, width=stage.width, role=stage.role)
            m.submodules[f"butterfly{log_block}"] = ResetInserter(self.clear)(butterfly)
            m.d.comb += [butterfly.step.eq(step), butterfly.i.eq(word)]
            if log_block > LEAST:
                skip = Signal(name=f"skip{log_block}", reset_less=True)
                m.d.sync += skip.eq(self.log_points < log_block)
                m.d.comb += butterfly.skip.eq(skip)
            word = butterfly.o
            if stage.rotated:
                rotate = Rotate(
                    width=stage.width + 1,
                    block=2 << log_block,
                    mantissa=self._mantissa,
                    out=stage.rotated,
                    upper=log_block < self._log_size,
                )
                m.submodules[f"rotate{log_block}"] = ResetInserter(self.clear)(rotate)
                m.d.comb += [rotate.step.eq(step), rotate.i.eq(word)]
                word = rotate.o

        payload = Signal(self.o.payload.shape(), reset_less=True)
        begun = Signal()  # a line's first has come so far
        with m.If(step):
            m.d.sync += [payload.eq(word), self.o.valid.eq(begun | word.first)]
            with m.If(word.first):
                m.d.sync += begun.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.clear):
            m.d.sync += [begun.eq(0), self.o.valid.eq(0)]
        m.d.comb += self.o.payload.eq(payload)
        return m
