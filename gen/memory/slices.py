"""Deep memories of rows, made of block RAMs that lie side by side."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backspike.gen.memory.rows import RowMemory, read_signature, write_signature

BLOCK = {1024: 18, 2048: 9, 4096: 4, 8192: 2}
"""How wide a block RAM (ECP5's DP16KD) is at a depth; below as at 1024, above a bit."""


def slice_width(depth: int) -> int:
    """Bits of a row that one block RAM holds at that depth, or several of its depth."""
    return BLOCK.get(max(depth, min(BLOCK)), 1)


class SlicedMemory(wiring.Component):
    """Rows with one writer and one reader: a `RowMemory` for every `slice_width` bits.

    Left to itself synthesis makes a deep memory of wide and shallow block RAMs, and a multiplexer
    after them, which is slow: a block RAM takes longer than half a cycle at 100 MHz.

    Latency: READ_LATENCY cycles. Throughput: one write and one read a cycle.

    Parameters: width in bits, depth in rows (a power of two). Ports: write, read0.
    """

    def __init__(self, *, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__(
            {"write": In(write_signature(width, depth)), "read0": In(read_signature(width, depth))}
        )

    def elaborate(self, platform):
        m = Module()
        found = []
        step = slice_width(self._depth)
        for first in range(0, self._width, step):
            bits = self.write.data[first : first + step]
            part = RowMemory(width=len(bits), depth=self._depth)
            m.submodules[f"slice{first}"] = part
            m.d.comb += [
                part.write.en.eq(self.write.en),
                part.write.addr.eq(self.write.addr),
                part.write.data.eq(bits),
                part.read0.addr.eq(self.read0.addr),
            ]
            found.append(part.read0.data)
        m.d.comb += self.read0.data.eq(Cat(found))
        return m
