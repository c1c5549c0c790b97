"""gen.memory.window: words of rows, in time, and what is refused."""

import numpy as np
import pytest

from backspike.gen.memory.window import RowWindow, choosing, words_of
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.host_traffic import check_answers, ports, random_accesses

DEPTH = 16
SIZES = [(64, 3, True), (64, 2, False), (24, 2, False), (96, 1, False)]
"""(width, latency, halves)."""
HALVES = [0x0000, 0x0001, 0x8001, 0x7BFF, 0xFBFF, 0x3C00]
OTHERS = [0x7C00, 0xFC00, 0x7E01, 0xFFFF, 0x8000]


def is_half(bits: int) -> bool:
    return bits & 0x7C00 != 0x7C00 and bits != 0x8000


def test_words():
    """A row of any width has a power of two of 32-bit words."""
    assert [words_of(width) for width in (1, 16, 32, 33, 64, 65, 96, 256)] == [
        1, 1, 1, 2, 2, 4, 4, 8,
    ]  # fmt: skip


@pytest.mark.verilator
@pytest.mark.parametrize(("width", "latency", "halves"), SIZES)
@pytest.mark.parametrize("busy", [1.0, 0.4])
def test_accesses(width, latency, halves, busy):
    """Random accesses are answered in time from the right word; non-halves are refused."""
    rng = np.random.default_rng(1)
    words = words_of(width)

    def data() -> int:
        if halves:
            low, high = rng.choice([*HALVES, *HALVES, *OTHERS], 2)
            return int(low) | int(high) << 16
        return int(rng.integers(0, 1 << min(32, width) + (rng.random() < 0.2) * (width < 32)))

    later = choosing(words)
    accesses = random_accesses(rng, 1500, DEPTH * words, latency + later, data, busy)
    inputs = ports(accesses, (DEPTH * words - 1).bit_length())
    cycles = len(inputs["host__request__valid"])

    # What the memory answers can be known before, as the window's timing is.
    rows = [int(rng.integers(0, 1 << 24)) for _ in range(DEPTH)]
    answers = np.zeros((cycles, -(-width // 64)), np.uint64)
    expected, enables = {}, {}
    for a in accesses:
        row, word = divmod(a.address, words)
        shift, mask = 32 * word, (1 << min(32, max(0, width - 32 * word))) - 1
        if a.write:
            refused = a.data > (1 << min(32, width)) - 1
            if halves:
                refused = not (is_half(a.data & 0xFFFF) and is_half(a.data >> 16))
            expected[a] = None, refused
            if not refused:
                enables[a.cycle + 1] = 1 << word, row, a.data
                rows[row] = rows[row] & ~(mask << shift) | (a.data & mask) << shift
        else:
            for limb in range(answers.shape[1]):
                answers[a.answered - later, limb] = rows[row] >> 64 * limb & (1 << 64) - 1
            expected[a] = rows[row] >> shift & mask, 0
    row_input = answers if answers.shape[1] > 1 else answers[:, 0]
    window = RowWindow(width=width, depth=DEPTH, latency=latency, halves=halves)
    out = ArrayBench(window, f"window_{width}_{latency}")(row=row_input, **inputs)

    check_answers(out, accesses, expected.__getitem__)
    for cycle in range(cycles):
        enable, row, word = enables.get(cycle, (0, None, None))
        assert out["enable"][cycle] == enable, f"cycle {cycle}"
        if enable:
            assert (out["address"][cycle], out["data"][cycle]) == (row, word)
    for a in accesses:
        assert out["address"][a.cycle + 1] == a.address // words
    refusals = sum(error for _, error in expected.values())
    assert bool(refusals) == (halves or width < 32)
