"""gen.memory.rows: rows, parts of rows, and readers that do not disturb each other."""

import numpy as np
import pytest

from backspike.gen.memory.rows import READ_LATENCY, RowMemory
from backspike.sim.bench.array_bench import ArrayBench

WIDTH, DEPTH, PARTS = 64, 32, 4


@pytest.mark.verilator
def test_rows():
    """Two readers of random traffic see what plain rows hold, written in parts."""
    rng = np.random.default_rng(1)
    memory = ArrayBench(RowMemory(width=WIDTH, depth=DEPTH, readers=2, parts=PARTS), "row_memory")
    cycles = 3000
    enable = rng.integers(0, 1 << PARTS, cycles) * (rng.random(cycles) < 0.5)
    written, first, second = rng.integers(0, DEPTH, (3, cycles))
    # A row is never read in the cycle that writes it.
    first = np.where(first == written, (first + 1) % DEPTH, first)
    second = np.where(second == written, (second + 2) % DEPTH, second)
    data = rng.integers(0, 1 << 63, cycles).astype(np.uint64)
    out = memory(write__en=enable, write__addr=written, write__data=data,
                 read0__addr=first, read1__addr=second)  # fmt: skip
    rows = np.zeros((DEPTH, PARTS), np.uint16)
    for cycle in range(cycles - READ_LATENCY):
        for port, at in (("read0", first), ("read1", second)):
            got = out[f"{port}__data"][cycle + READ_LATENCY]
            want = rows[at[cycle]].view(np.uint64)[0]
            assert got == want, f"{port}, cycle {cycle}: got {got:#x}, want {want:#x}"
        parts = data[cycle : cycle + 1].view(np.uint16)
        for part in range(PARTS):
            if enable[cycle] >> part & 1:
                rows[written[cycle], part] = parts[part]
