"""gen.core.shared.walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import CONNECTIONS
from backspike.gen.core.shared.walk import TileWalk, connection_layout
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import packed
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes

TO_HEADER = 1
"""Cycles from a task to its first header, and two for each connection."""


def make(reverse: bool) -> TileWalk:
    return TileWalk(blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, reverse=reverse)


# cocotb


class TileBench(WalkBench):
    """A walk through the tiles of connections; it answers for the one that is asked for."""

    def __init__(self, dut, seed: int, stall: float):
        self.reverse = bench_parameters()["reverse"]
        super().__init__(dut, seed, stall, make(self.reverse))
        rng = self.rng
        count = CONNECTIONS if seed == 0 else rng.choice([1, 1, 2, 3, 5])
        self.give(
            {
                "base_first": rng.randrange(40),
                "by_set": rng.randrange(2),
                "connections": count,
                "carry": 0 if self.reverse else rng.randrange(2),
                "skip": int(rng.random() < 0.2),
            }
        )
        self.records = [
            {
                "first": rng.randrange(40),
                "tiles": rng.randint(1, 5),
                "weights": rng.randrange(200),
                "tile_rows": rng.randint(1, 40),
                "source_rows": rng.randint(1, 40),
                "diagonal": int(rng.random() < 0.3),
                "delay": int(rng.random() < 0.4),
            }
            for _ in range(count)
        ]
        layout = packed(connection_layout(BASES, ROWS))
        self.words = [layout.pack(record) for record in self.records]
        self.words += [rng.getrandbits(layout.width) for _ in range(count, CONNECTIONS)]
        self.responders.append(self)

    def respond(self) -> None:
        self.dut.connection.value = self.words[int(self.dut.index.value)]

    def row(self, record: dict[str, int], tile: int, beyond: int) -> int:
        first = record["weights"] + (0 if record["diagonal"] else tile * record["tile_rows"])
        return (first + beyond * record["source_rows"]) % (1 << ROWS)

    def base(self, tile: int, at: Place) -> int:
        by_block = tile * self.batch.blocks + at.block
        by_set = tile * self.batch.sets + at.set
        return self.values["base_first"] + (by_set if self.values["by_set"] else by_block)

    def step(self, record: dict[str, int], tile: int, at: Place, beyond: int) -> Fields:
        source = tile if record["diagonal"] else beyond
        delay, reverse = record["delay"], self.reverse
        return {
            **self.arriving(record["first"], source, at, delay=delay, reverse=reverse),
            "base": self.base(tile, at),
            "row": self.row(record, tile, beyond),
        }

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """A sum for each block."""
        headers, steps = [], []
        tile = work.tile
        for at in work.order(self.batch, self.reverse):
            row = self.row(self.records[0], tile, 0)
            headers.append({"base": self.base(tile, at), "row": row, "tile": tile,
                            "place": work.place_of(at), **at.fields})  # fmt: skip
            if self.values["skip"]:
                continue
            for record in self.records:
                for beyond in range(1 if record["diagonal"] else record["tiles"]):
                    steps.append(self.step(record, tile, at, beyond) | {"last": 0})
            steps[-1]["last"] = 1
        return headers, steps


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle,
    as does a further connection."""
    benches = []
    for seed in range(30):
        benches.append(bench := TileBench(dut, seed, stall))
        counts = await bench.play(4)
        if not stall:
            connections = len(bench.records)
            first = TO_HEADER + 3 * connections - 1  # the first is asked for before
            between = 0 if bench.values["skip"] else connections - 1  # one to the next
            bench.check_times(first, [first + h * (1 + between) + s for h, s in counts])
    check_shapes([bench.batch for bench in benches])
    assert any(len(bench.records) == CONNECTIONS for bench in benches)
    kinds = {
        (record["diagonal"], record["delay"], bench.values["carry"])
        for bench in benches
        if not bench.values["skip"]
        for record in bench.records
    }
    assert len(kinds) == (4 if bench_parameters()["reverse"] else 8)


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("reverse", [False, True])
def test_walk(reverse, simulated):
    """The coroutine holds in both orders."""
    simulated(lambda: (make(reverse), f"walk_{reverse:d}_bench", {"reverse": reverse}))
