"""gen.memory.slices: as one memory, whatever it is made of."""

import numpy as np
import pytest

from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.memory.slices import SlicedMemory, slice_width
from backspike.sim.bench.array_bench import ArrayBench

WIDTH, DEPTH = 22, 4096


def test_slices_fill_block_rams():
    """Slices have the width at which a block RAM of each depth is filled."""
    widths = {depth: slice_width(1 << depth) for depth in range(4, 19)}
    assert widths == {**dict.fromkeys(range(4, 11), 18), 11: 9, 12: 4, 13: 2,
                      **dict.fromkeys(range(14, 19), 1)}  # fmt: skip


@pytest.mark.verilator
def test_rows():
    """The last slice is narrower than the others."""
    assert WIDTH % slice_width(DEPTH)
    rng = np.random.default_rng(1)
    memory = ArrayBench(SlicedMemory(width=WIDTH, depth=DEPTH), "sliced_memory")
    cycles = 6000
    enable = rng.random(cycles) < 0.5
    few = rng.integers(0, DEPTH, 40)
    written, read = rng.choice(few, (2, cycles))
    read = np.where(read == written, (read + 1) % DEPTH, read)  # never in the cycle that writes it
    data = rng.integers(0, 1 << WIDTH, cycles).astype(np.uint64)
    out = memory(write__en=enable, write__addr=written, write__data=data, read0__addr=read)
    rows = np.zeros(DEPTH, np.uint64)
    for cycle in range(cycles - READ_LATENCY):
        got, want = out["read0__data"][cycle + READ_LATENCY], rows[read[cycle]]
        assert got == want, f"cycle {cycle}: got {got:#x}, want {want:#x}"
        if enable[cycle]:
            rows[written[cycle]] = data[cycle]
