"""gen.core.shared.time_sequencer: the order in which a block's sums leave, for every shape."""

import numpy as np
import pytest

from backspike.gen.core.layout import BATCH
from backspike.gen.core.shared.time_sequencer import TimeSequencer, slot_layout
from backspike.gen.machine import DEPTH
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.streams import packed

SHAPES = [(t, s) for t in range(1, DEPTH + 1) for s in range(1, DEPTH // t + 1)]


def block(
    steps: int, samples: int, reuse: int, recurrence: int, reverse: bool, skipped: int, free: bool
):
    """(cycle, slot) of every slot of a block, cycles counted from the first.

    skipped: mask of the entries that take one slot.
    """
    slots = []
    begin = 0
    for n in range(steps):
        t = steps - 1 - n if reverse else n
        cycle = begin
        for s in range(samples):
            skip = skipped >> t * samples + s & 1
            for phase in range(1 if skip else reuse):
                slot = {
                    "valid": 1,
                    "entry": t * samples + s,
                    "sample": s,
                    "phase": phase,
                    "skip": skip,
                    "row_end": int(skip or phase == reuse - 1),
                    "first_step": int(n == 0),
                    "last_step": int(t == steps - 1),
                    "block_end": 0,
                }
                slots.append((cycle, slot))
                cycle += 1
        begin = cycle if free else max(cycle, begin + recurrence)
    slots[-1][1]["block_end"] = 1
    return slots


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("reuse", "recurrence", "reverse"), [(1, 9, True), (2, 13, False), (4, 7, True), (8, 1, False)]
)
def test_every_shape(reuse, recurrence, reverse):
    """Blocks follow each other as soon as they may, in the last slot's cycle, or later.

    The shape is there two cycles before a block begins and until its last slot, so after another
    one a block begins two cycles later at the earliest.
    """
    rng = np.random.default_rng(1)
    order = [shape for shape in rng.permutation(SHAPES).tolist() for _ in range(3)]
    layout, batch = packed(slot_layout(reuse)), packed(BATCH)
    starts, batches, frees, skips, want, busy = [], [], [], [], {}, []
    cycle = 3
    for n, (steps, samples) in enumerate(order):
        skipped = int(rng.integers(1 << DEPTH)) if rng.random() < 0.5 else 0
        free = bool(rng.random() < 0.5)
        slots = block(steps, samples, reuse, recurrence, reverse, skipped, free)
        want |= {cycle + 2 + at: slot for at, slot in slots}
        last = cycle + 2 + slots[-1][0]
        busy += range(cycle + 1, last)
        following = last + int(rng.choice([0, 0, 1, 5])) + 2 * (n % 3 == 2)
        starts.append(cycle)
        batches += [batch.pack(steps=steps, samples=samples, blocks=1)] * (following - cycle)
        frees += [free] * (following - cycle)
        skips += [skipped] * (following - cycle)
        cycle = following
    cycles = cycle + 5
    start = np.zeros(cycles, int)
    start[starts] = 1
    shape, free, skip = (np.array([x[0]] * 3 + x + [x[-1]] * 5) for x in (batches, frees, skips))
    shape[:-2] = shape[2:]
    out = ArrayBench(
        TimeSequencer(reuse=reuse, recurrence=recurrence, reverse=reverse),
        f"time_sequencer_{reuse}_{recurrence}",
    )(start=start, batch=shape, free=free, skips=skip)

    for cycle in range(cycles):
        got = layout.unpack(int(out["o"][cycle]))
        if cycle in want:
            assert got == want[cycle], f"cycle {cycle}"
        else:
            assert not got["valid"], f"cycle {cycle}"
    assert np.flatnonzero(out["busy"]).tolist() == busy
