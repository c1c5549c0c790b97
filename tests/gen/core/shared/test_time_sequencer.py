"""gen.core.shared.time_sequencer: the order in which a block's sums leave, for every shape."""

import itertools
import random
from dataclasses import dataclass

import numpy as np
import pytest

from backspike.gen.core.shared.time_sequencer import TimeSequencer, slot_layout
from backspike.gen.machine import DEPTH
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.batches import Batch, Place, check_variety
from tests.support.streams import packed

SHAPES = [(t, s) for t in range(1, DEPTH + 1) for s in range(1, DEPTH // t + 1)]
SETTLING = 2
"""Cycles that the shape of a batch is there before a block begins."""


@dataclass
class Drain:
    """What a sequencer is made for, and when its last pass began."""

    reuse: int
    recurrence: int
    reverse: bool
    pass_begun: int = 0

    def block(self, batch: Batch, at: Place, start: int, mode: "Mode"):
        """(cycle, slot) of every slot of a block that is started in a cycle."""
        slots = []
        all_steps, own = range(batch.all_steps), batch.steps_of(at)
        ends = (all_steps[-1], all_steps[0]) if self.reverse else (all_steps[0], all_steps[-1])
        cycle = start + 2
        steps = reversed(own) if self.reverse else own
        for t, second in itertools.product(steps, range(1 + mode.twice)):
            fresh = t == ends[0] and not mode.carry
            if not mode.free and (second or not fresh):  # it goes on with what the last one left
                cycle = max(cycle, self.pass_begun + self.recurrence)
            self.pass_begun = cycle
            for s in range(batch.samples):
                entry = (t - own[0]) * batch.samples + s
                skip = mode.skips >> entry & 1
                for phase in range(1 if skip else self.reuse):
                    over = skip or phase == self.reuse - 1
                    slot = {
                        "valid": 1,
                        "entry": entry,
                        "sample": s,
                        "phase": phase,
                        "skip": skip,
                        "second": second,
                        "row_end": int(over and second == mode.twice),
                        "fresh": int(fresh),
                        "final": int(t == ends[1]),
                        "block_end": 0,
                    }
                    slots.append((cycle, slot))
                    cycle += 1
        slots[-1][1]["block_end"] = 1
        return slots


@dataclass
class Mode:
    """What else a block is told. skips: mask of the entries that take one slot."""

    free: bool
    skips: int
    twice: int
    carry: int


def every_shape(rng: random.Random) -> list[Batch]:
    """Each with some last step, spans and sets."""
    return [
        Batch(t, rng.choice([t, rng.randint(1, t)]), s, rng.randint(1, 3), sets, 0, s - 1)
        for t, s in rng.sample(SHAPES, len(SHAPES))
        for sets in (1, 2, 3)
    ]


@dataclass
class Inputs:
    """What is driven in each cycle; noise where it must not matter."""

    rng: random.Random
    rows: list[dict[str, int]]

    def until(self, cycle: int, batch: Batch, mode: Mode) -> None:
        """The same up to this cycle."""
        while len(self.rows) < cycle:
            noise = {name: self.rng.randrange(2) for name in ("head", "tail")}
            self.rows.append({"start": 0, "batch": batch.batch_port(), **vars(mode), **noise})

    def columns(self) -> dict[str, np.ndarray]:
        """Ports; the batch's shape is there SETTLING cycles earlier."""
        ports = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        ports["batch"][:-SETTLING] = ports["batch"][SETTLING:].copy()
        return ports


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("reuse", "recurrence", "reverse"),
    [(1, 9, True), (2, 13, False), (4, 7, True), (8, 1, False), (1, 17, False)],
)
def test_every_shape(reuse, recurrence, reverse):
    """Blocks follow each other as soon as they may, in the last slot's cycle, or later; one that
    goes on with the samples of the last one waits for them, as a second pass does for the first;
    one of other samples does not, unless they go on from batch to batch.

    The shape is there two cycles before a block begins and until its last slot, so after another
    one a block begins two cycles later at the earliest.
    """
    rng = random.Random(1)
    drain = Drain(reuse, recurrence, reverse)
    layout = packed(slot_layout(reuse))
    want, busy = {}, []
    waits = {"goes on": 0, "other samples": 0, "the batch before": 0, "second pass": 0}
    batches = every_shape(rng)
    check_variety(batches)
    start, last = 3, 0
    inputs = Inputs(rng, [])
    for batch in batches:
        mode = Mode(rng.random() < 0.3, 0, rng.randrange(2), rng.randrange(2))
        for at in batch.order(reverse):
            mode.skips = rng.getrandbits(DEPTH) if rng.random() < 0.5 else 0
            before = drain.pass_begun
            slots = drain.block(batch, at, start, mode)
            want |= dict(slots)
            early = slots[0][0] == start + 2 < before + recurrence
            if not mode.free and start == last:
                if not (at.tail if reverse else at.head):
                    waits["goes on"] += slots[0][0] > start + 2
                elif mode.carry:
                    waits["the batch before"] += slots[0][0] > start + 2
                else:
                    waits["other samples"] += early
            waits["second pass"] += any(slot["second"] for _, slot in slots)
            last = slots[-1][0]
            busy += range(start + 1, last)
            inputs.until(start, batch, mode)
            inputs.until(start + 1, batch, mode)
            inputs.rows[-1] |= {"start": 1, "head": at.head, "tail": at.tail}
            start = last + rng.choice([0, 0, 1, 5, recurrence]) + SETTLING * at.last
            inputs.until(start, batch, mode)
    inputs.until(start + 5, batches[-1], Mode(False, 0, 0, 0))
    out = ArrayBench(
        TimeSequencer(reuse=reuse, recurrence=recurrence, reverse=reverse),
        f"time_sequencer_{reuse}_{recurrence}",
    )(**inputs.columns())

    for cycle in range(len(inputs.rows)):
        got = layout.unpack(int(out["o"][cycle]))
        if cycle in want:
            assert got == want[cycle], f"cycle {cycle}"
        else:
            assert not got["valid"], f"cycle {cycle}"
    assert np.flatnonzero(out["busy"]).tolist() == busy
    if recurrence > 1:
        assert all(waits.values()), f"nothing showed whether a block waits: {waits}"
