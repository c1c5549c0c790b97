"""gen.core.shared.walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import BATCH
from backspike.gen.core.shared.walk import TileWalk
from backspike.sim.bench.cocotb_bench import bench_parameters, run_bench
from tests.support.streams import Bench, packed
from tests.support.tiles import same_fields

BASES, ROWS = 8, 10
TO_HEADER = 3
"""Cycles from a task to its first header."""


def make(group: int) -> TileWalk:
    return TileWalk(sources=BASES, bases=BASES, rows=ROWS, group=group)


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
            "source_tiles": rng.randint(1, 5),
            "weights": rng.randrange(200),
            "tile_rows": rng.randint(1, 40),
            "source_rows": rng.randint(1, 40),
            "skip": int(not self.group and rng.random() < 0.2),
        }
        for name, value in self.values.items():
            getattr(dut, name).value = value
        self.blocks = rng.randint(1, 4)
        dut.batch.value = packed(BATCH).pack(steps=1, samples=1, blocks=self.blocks)

    def row(self, tile: int, source: int) -> int:
        v = self.values
        return (v["weights"] + tile * v["tile_rows"] + source * v["source_rows"]) % (1 << ROWS)

    def step(self, tile: int, block: int, source: int) -> dict:
        """What is said of a step, in whatever order it comes."""
        v, blocks = self.values, self.blocks
        return {
            "source_base": (v["source_first"] + source * blocks + block) % (1 << BASES),
            "base": v["base_first"] + tile * blocks + block,
            "block": block,
            "source": source,
        }

    def by_blocks(self, tile: int) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each block."""
        headers, steps = [], []
        v, blocks = self.values, self.blocks
        for block in range(blocks):
            last = int(block == blocks - 1)
            base = v["base_first"] + tile * blocks + block
            headers.append({"base": base, "block": block, "tile": tile, "last": last})
            for source in range(0 if v["skip"] else v["source_tiles"]):
                last = int(source == v["source_tiles"] - 1)
                row = {"row": self.row(tile, source), "last": last, "group_last": 1}
                steps.append(self.step(tile, block, source) | row)
        return headers, steps

    def by_groups(self, tile: int) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each group of source tiles."""
        headers, steps = [], []
        group, tiles = self.group, self.values["source_tiles"]
        for first in range(0, tiles, group):
            headers.append({"row": self.row(tile, first), "source": first, "tile": tile,
                            "last": int(first + group >= tiles)})  # fmt: skip
            for block in range(self.blocks):
                for part in range(group):
                    flags = {"group_last": int(part == group - 1),
                             "last": int(block == self.blocks - 1)}  # fmt: skip
                    steps.append(self.step(tile, block, first + part) | flags)
        return headers, steps


async def walk(dut, seed: int, stall: float) -> None:
    bench = WalkBench(dut, seed, stall)
    await bench.reset()
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


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle."""
    for seed in range(20):
        await walk(dut, seed, stall)


# Outside


@pytest.mark.verilator
@pytest.mark.parametrize("group", [0, 1, 4])
def test_walk(group):
    """Without groups, and with groups of one and of several source tiles."""
    run_bench(make(group), f"walk_{group}_bench", __name__, parameters={"group": group})
