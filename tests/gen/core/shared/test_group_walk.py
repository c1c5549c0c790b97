"""gen.core.shared.group_walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.group_walk import GroupWalk
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Work
from tests.support.coroutines import each_coroutine
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes

TO_HEADER = 3
"""Cycles from a task to its first header."""


def make(group: int) -> GroupWalk:
    return GroupWalk(blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, group=group)


# cocotb


class GroupBench(WalkBench):
    """A walk through groups of the tiles of one connection."""

    def __init__(self, dut, seed: int, stall: float):
        self.group = bench_parameters()["group"]
        super().__init__(dut, seed, stall, make(self.group))
        rng = self.rng
        self.give(
            {
                "base_first": rng.randrange(40),
                "source_first": rng.randrange(40),
                "source_tiles": rng.randint(1, 9),
                "weights": rng.randrange(200),
                "delay": rng.randrange(2),
                "carry": rng.randrange(2),
            }
        )

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """A sum for each group of source tiles. A place, and what is said of spans, is of neurons:
        it does not matter here."""
        headers, steps = [], []
        v, group, tile = self.values, self.group, work.tile
        tiles, delay = v["source_tiles"], v["delay"]
        for first in range(0, tiles, group):
            row = (v["weights"] + tile * tiles + first) % (1 << ROWS)
            headers.append({"row": row, "source": first, "tile": tile,
                            "last": int(first + group >= tiles)})  # fmt: skip
            for at in self.batch.order():
                base = v["base_first"] + tile * self.batch.blocks + at.block
                for part in range(group):
                    flags = {"group_last": int(part == group - 1), "last": at.last}
                    step = self.arriving(v["source_first"], first + part, at, delay=delay)
                    steps.append(step | {"base": base % (1 << BASES)} | flags)
        return headers, steps


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle."""
    benches = []
    for seed in range(40):
        benches.append(bench := GroupBench(dut, seed, stall))
        counts = await bench.play(4)
        if not stall:
            bench.check_times(TO_HEADER, [TO_HEADER + sum(each) for each in counts])
    check_shapes([bench.batch for bench in benches])
    late = {(b.values["delay"], b.values["carry"], b.batch.spans > 1) for b in benches}
    assert len(late) == 8


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("group", [1, 4])
def test_walk(group, simulated):
    """The coroutine holds with groups of one and of several source tiles."""
    simulated(lambda: (make(group), f"group_walk_{group}_bench", {"group": group}))
