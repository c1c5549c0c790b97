"""gen.core.shared.group_walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.group_walk import GroupWalk
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Batch, Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench
from tests.support.tiles import same_fields

BLOCKS, BASES, ROWS = 5, 8, 10
TO_HEADER = 3
"""Cycles from a task to its first header."""


def make(group: int) -> GroupWalk:
    return GroupWalk(blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, group=group)


# cocotb


class WalkBench(Bench):
    """A walk with everything constant driven."""

    def __init__(self, dut, seed: int, stall: float):
        super().__init__(dut, seed)
        rng = self.rng
        self.group = bench_parameters()["group"]
        component = make(self.group)
        self.tasks = self.source("i", stall=stall)
        self.headers = self.sink("o_headers", component.o_headers.payload.shape(), stall)
        self.steps = self.sink("o", component.o.payload.shape(), stall)
        self.values = {
            "base_first": rng.randrange(40),
            "source_first": rng.randrange(40),
            "source_tiles": rng.randint(1, 9),
            "weights": rng.randrange(200),
            "delay": rng.randrange(2),
            "carry": rng.randrange(2),
        }
        for name, value in self.values.items():
            getattr(dut, name).value = value
        # As many blocks as there are bits for, at the most.
        sets, spans = (8, 4) if seed == 1 else (rng.randint(1, 4), rng.randint(1, 4))
        self.batch = Batch(1, 1, 1, spans, sets, sets, 0)
        dut.batch.value = self.batch.batch_port()

    def step(self, tile: int, at: Place, source: int) -> dict:
        v, batch = self.values, self.batch
        outside = v["delay"] & at.head
        block = at.block - v["delay"]
        if outside:
            block = at.set * batch.spans + batch.spans - 1  # of the batch before
        source_base = (v["source_first"] + source * batch.blocks + block) % (1 << BASES)
        return {
            "source_base": None if outside and not v["carry"] else source_base,
            "base": (v["base_first"] + tile * batch.blocks + at.block) % (1 << BASES),
            "set": at.set,
            "tail": at.tail,
            "void": int(outside and not v["carry"]),
            "other": int(outside and v["carry"]),
            "source": source,
        }

    def wanted(self, tile: int) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each group of source tiles."""
        headers, steps = [], []
        group, tiles = self.group, self.values["source_tiles"]
        for first in range(0, tiles, group):
            row = (self.values["weights"] + tile * tiles + first) % (1 << ROWS)
            headers.append({"row": row, "source": first, "tile": tile,
                            "last": int(first + group >= tiles)})  # fmt: skip
            for at in self.batch.order():
                for part in range(group):
                    flags = {"group_last": int(part == group - 1), "last": at.last}
                    steps.append(self.step(tile, at, first + part) | flags)
        return headers, steps


async def walk(dut, seed: int, stall: float) -> WalkBench:
    bench = WalkBench(dut, seed, stall)
    await bench.reset()
    await bench.tick(2)  # the batch is there before a task
    # A place, and what is said of spans, is of neurons: it does not matter here.
    tasks = [Work.draw(bench.rng, bench.rng.randrange(10), bench.batch) for _ in range(4)]
    wanted = [bench.wanted(work.tile) for work in tasks]
    headers, steps = (
        [row for part in parts for row in part] for parts in zip(*wanted, strict=True)
    )
    bench.tasks.queue.extend(work.port() for work in tasks)
    await bench.until(lambda: len(bench.headers.got) >= len(headers))
    await bench.until(lambda: len(bench.steps.got) >= len(steps))
    await bench.tick(20)
    same_fields("headers", bench.headers.got, headers)
    same_fields("steps", bench.steps.got, steps)
    if not stall:
        sent = bench.tasks.sent
        assert bench.headers.cycles[0] == sent[0] + TO_HEADER
        took = TO_HEADER + (len(headers) + len(steps)) // len(tasks)
        ends = [begin + took for begin in sent[:-1]]
        assert sent[1:] == ends, "a step and a header take a cycle each"
    return bench


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle."""
    benches = [await walk(dut, seed, stall) for seed in range(25)]
    batches = [bench.batch for bench in benches]
    assert any(batch.blocks == 1 << BLOCKS for batch in batches)
    assert any(batch.sets == 1 < batch.spans for batch in batches)
    assert any(batch.spans == 1 < batch.sets for batch in batches)
    late = {(b.values["delay"], b.values["carry"], b.batch.spans > 1) for b in benches}
    assert len(late) == 8


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("group", [1, 4])
def test_walk(group, simulated):
    """The coroutine holds with groups of one and of several source tiles."""
    simulated(lambda: (make(group), f"group_walk_{group}_bench", {"group": group}))
