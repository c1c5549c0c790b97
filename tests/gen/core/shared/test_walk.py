"""gen.core.shared.walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.walk import TileWalk
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Batch, Place
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench
from tests.support.tiles import same_fields

BLOCKS, BASES, ROWS = 4, 8, 10
TO_HEADER = 3
"""Cycles from a task to its first header."""


def make(group: int, reverse: bool) -> TileWalk:
    return TileWalk(
        blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, group=group, reverse=reverse
    )


# cocotb


class WalkBench(Bench):
    """A walk with everything constant driven."""

    def __init__(self, dut, seed: int, stall: float):
        super().__init__(dut, seed)
        rng = self.rng
        parameters = bench_parameters()
        self.group, self.reverse = parameters["group"], parameters["reverse"]
        component = make(self.group, self.reverse)
        self.tasks = self.source("i", stall=stall)
        self.headers = self.sink("o_headers", component.o_headers.payload.shape(), stall)
        self.steps = self.sink("o", component.o.payload.shape(), stall)
        self.values = {
            "base_first": rng.randrange(40),
            "by_set": rng.randrange(2),
            "source_first": rng.randrange(40),
            "source_tiles": rng.randint(1, 5),
            "weights": rng.randrange(200),
            "tile_rows": rng.randint(1, 40),
            "source_rows": rng.randint(1, 40),
            "skip": int(not self.group and rng.random() < 0.2),
        }
        for name, value in self.values.items():
            getattr(dut, name).value = value
        # As many blocks as there are bits for, at the most.
        sets, spans = rng.randint(1, 4), rng.randint(1, 4)
        self.batch = Batch(1, 1, 1, spans, sets, sets, 0)
        dut.batch.value = self.batch.batch_port()

    def row(self, tile: int, source: int) -> int:
        v = self.values
        return (v["weights"] + tile * v["tile_rows"] + source * v["source_rows"]) % (1 << ROWS)

    def base(self, tile: int, at: Place) -> int:
        by_block = tile * self.batch.blocks + at.block
        by_set = tile * self.batch.sets + at.set
        return self.values["base_first"] + (by_set if self.values["by_set"] else by_block)

    def step(self, tile: int, at: Place, source: int) -> dict:
        """What is said of a step, in whatever order it comes."""
        source_base = self.values["source_first"] + source * self.batch.blocks + at.block
        return {
            "source_base": source_base % (1 << BASES),
            "base": self.base(tile, at),
            "set": at.set,
            "tail": at.tail,
            "source": source,
        }

    def by_blocks(self, tile: int) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each block."""
        headers, steps = [], []
        v = self.values
        for at in self.batch.order(self.reverse):
            headers.append(
                {"base": self.base(tile, at), "row": self.row(tile, 0), "tile": tile, **at.fields}
            )
            for source in range(0 if v["skip"] else v["source_tiles"]):
                last = int(source == v["source_tiles"] - 1)
                row = {"row": self.row(tile, source), "last": last, "group_last": 1}
                steps.append(self.step(tile, at, source) | row)
        return headers, steps

    def by_groups(self, tile: int) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each group of source tiles."""
        headers, steps = [], []
        group, tiles = self.group, self.values["source_tiles"]
        for first in range(0, tiles, group):
            headers.append({"row": self.row(tile, first), "source": first, "tile": tile,
                            "last": int(first + group >= tiles)})  # fmt: skip
            for at in self.batch.order():
                for part in range(group):
                    flags = {"group_last": int(part == group - 1), "last": at.last}
                    steps.append(self.step(tile, at, first + part) | flags)
        return headers, steps


async def walk(dut, seed: int, stall: float) -> Batch:
    bench = WalkBench(dut, seed, stall)
    await bench.reset()
    await bench.tick(2)  # the batch is there before a task
    tiles = [bench.rng.randrange(10) for _ in range(4)]
    tasks = [(bench.by_groups if bench.group else bench.by_blocks)(tile) for tile in tiles]
    headers, steps = ([row for part in parts for row in part] for parts in zip(*tasks, strict=True))
    bench.tasks.queue.extend(tiles)
    await bench.until(lambda: len(bench.headers.got) >= len(headers))
    await bench.until(lambda: len(bench.steps.got) >= len(steps))
    await bench.tick(20)
    same_fields("headers", bench.headers.got, headers)
    same_fields("steps", bench.steps.got, steps)
    if not stall:
        sent = bench.tasks.sent
        assert bench.headers.cycles[0] == sent[0] + TO_HEADER
        took = TO_HEADER + (len(headers) + len(steps)) // len(tiles)
        ends = [begin + took for begin in sent[:-1]]
        assert sent[1:] == ends, "a step and a header take a cycle each"
    return bench.batch


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle."""
    batches = [await walk(dut, seed, stall) for seed in range(25)]
    assert any(batch.blocks == 1 << BLOCKS for batch in batches)
    assert any(batch.sets == 1 < batch.spans for batch in batches)
    assert any(batch.spans == 1 < batch.sets for batch in batches)


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize(("group", "reverse"), [(0, False), (0, True), (1, False), (4, False)])
def test_walk(group, reverse, simulated):
    """The coroutine holds in both orders, and with groups of one and of several source tiles."""
    parameters = {"group": group, "reverse": reverse}
    simulated(lambda: (make(group, reverse), f"walk_{group}_{reverse:d}_bench", parameters))
