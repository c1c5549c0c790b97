"""gen.core.walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import BATCH
from backspike.gen.core.shared.walk import BlockWalk
from backspike.sim.bench.cocotb_bench import run_bench
from tests.support.streams import Bench, packed
from tests.support.tiles import same_fields

UNITS, ROWS = 8, 10
WALK = BlockWalk(units=UNITS, rows=ROWS)
TO_HEADER = 3
"""Cycles from a task to its first header."""

# cocotb


class WalkBench(Bench):
    """A walk with everything constant driven."""

    def __init__(self, dut, seed: int, stall: float):
        super().__init__(dut, seed)
        rng = self.rng
        self.tasks = self.source("i", stall=stall)
        self.headers = self.sink("o_headers", WALK.o_headers.payload.shape(), stall)
        self.steps = self.sink("o", WALK.o.payload.shape(), stall)
        self.values = {
            "own_unit": rng.randrange(40),
            "source_unit": rng.randrange(40),
            "source_tiles": rng.randint(1, 5),
            "weights": rng.randrange(200),
            "tile_rows": rng.randint(1, 40),
            "source_rows": rng.randint(1, 40),
            "skip": int(rng.random() < 0.2),
        }
        for name, value in self.values.items():
            getattr(dut, name).value = value
        self.blocks = rng.randint(1, 4)
        dut.batch.value = packed(BATCH).pack(steps=1, samples=1, blocks=self.blocks)

    def wanted(self, tiles: list[int]) -> tuple[list[dict], list[dict]]:
        """Headers and steps of these tasks."""
        headers, steps = [], []
        v, blocks = self.values, self.blocks
        for tile in tiles:
            for block in range(blocks):
                own = v["own_unit"] + tile * blocks + block
                last = int(block == blocks - 1)
                headers.append({"unit": own, "block": block, "tile": tile, "last": last})
                for source in range(0 if v["skip"] else v["source_tiles"]):
                    rows = tile * v["tile_rows"] + source * v["source_rows"]
                    steps.append({
                        "unit": v["source_unit"] + source * blocks + block,
                        "own": own,
                        "row": (v["weights"] + rows) % (1 << ROWS),
                        "block": block,
                        "source": source,
                        "last": int(source == v["source_tiles"] - 1),
                    })  # fmt: skip
        return headers, steps


async def walk(dut, seed: int, stall: float) -> None:
    bench = WalkBench(dut, seed, stall)
    await bench.reset()
    tiles = [bench.rng.randrange(10) for _ in range(4)]
    headers, steps = bench.wanted(tiles)
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
def test_walk():
    """Every coroutine of this module holds on the simulated walk."""
    run_bench(WALK, "walk_bench", __name__)
