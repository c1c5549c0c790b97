"""The factors of a rotation, one after another."""

import math

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.spectral.layout import TWIDDLE, complex_layout
from backspike.ir.spectral_constants import TWIDDLE_FRACTION


def twiddles(block: int) -> list[tuple[int, int]]:
    """(re, im) of the factors for blocks of `block` points, in the order of the points.

    Quarter p of the block is rotated by W^(q i), W = exp(-2 pi j / block), i = 0 … block/4 - 1,
    with q = 0, 2, 1, 3 for p = 0, 1, 2, 3. In multiples of 2^-TWIDDLE_FRACTION, to nearest.
    """
    angles = [2 * math.pi * (q * i) / block for q in (0, 2, 1, 3) for i in range(block // 4)]
    scale = 1 << TWIDDLE_FRACTION
    return [(round(math.cos(a) * scale), round(-math.sin(a) * scale)) for a in angles]


class Twiddles(wiring.Component):
    """For each word of a line the factor that it is rotated by: a counter and a ROM.

    Latency: `latency` steps from `first` to the factor of that word. Throughput: one a step.

    Parameters: block: points after which the factors repeat, a power of two from 16 on; upper:
    whether lines reach the block's upper half; if not, the ROM has the lower half only.

    Ports: step: everything moves, only then; first: the word is its line's first; o: the factor.

    Errors: ValueError for a block that is not such a number.
    """

    latency = 3

    def __init__(self, *, block: int, upper: bool = True):
        if block < 16 or block & (block - 1):
            raise ValueError(f"block is {block}, must be a power of two from 16 on")
        self._table = twiddles(block)[: block if upper else block // 2]
        super().__init__({"step": In(1, init=1), "first": In(1), "o": Out(complex_layout(TWIDDLE))})

    def elaborate(self, platform):
        m = Module()
        layout = complex_layout(TWIDDLE)
        rom = memory.Memory(
            shape=layout,
            depth=len(self._table),
            init=[{"re": re, "im": im} for re, im in self._table],
        )
        m.submodules.rom = rom
        read = rom.read_port()
        index = Signal(exact_log2(len(self._table)), reset_less=True)
        factor = Signal(layout, reset_less=True)
        m.d.comb += [read.addr.eq(index), read.en.eq(self.step), self.o.eq(factor)]
        with m.If(self.step):
            m.d.sync += [index.eq(Mux(self.first, 0, index + 1)), factor.eq(read.data)]
        return m
