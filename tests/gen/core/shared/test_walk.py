"""gen.core.shared.walk: headers and steps of random tasks, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import CONNECTIONS
from backspike.gen.core.shared.walk import TileWalk, connection_layout
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Batch, Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, packed
from tests.support.tiles import same_fields

BLOCKS, BASES, ROWS = 5, 8, 10
TO_HEADER = 1
"""Cycles from a task to its first header, and two for each connection."""


def make(reverse: bool) -> TileWalk:
    return TileWalk(blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, reverse=reverse)


# cocotb


class WalkBench(Bench):
    """A walk with everything constant driven; it answers for the connection that is asked for."""

    def __init__(self, dut, seed: int, stall: float):
        super().__init__(dut, seed)
        rng = self.rng
        self.reverse = bench_parameters()["reverse"]
        component = make(self.reverse)
        self.tasks = self.source("i", stall=stall)
        self.headers = self.sink("o_headers", component.o_headers.payload.shape(), stall)
        self.steps = self.sink("o", component.o.payload.shape(), stall)
        count = CONNECTIONS if seed == 0 else rng.choice([1, 1, 2, 3, 5])
        self.values = {
            "base_first": rng.randrange(40),
            "by_set": rng.randrange(2),
            "connections": count,
            "carry": 0 if self.reverse else rng.randrange(2),
            "skip": int(rng.random() < 0.2),
        }
        for name, value in self.values.items():
            getattr(dut, name).value = value
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
        # As many blocks as there are bits for, at the most.
        sets, spans = (8, 4) if seed == 1 else (rng.randint(1, 4), rng.randint(1, 4))
        self.batch = Batch(1, 1, 1, spans, sets, sets, 0)
        dut.batch.value = self.batch.batch_port()

    def respond(self) -> None:
        self.dut.connection.value = self.words[int(self.dut.index.value)]

    def row(self, record: dict[str, int], tile: int, beyond: int) -> int:
        first = record["weights"] + (0 if record["diagonal"] else tile * record["tile_rows"])
        return (first + beyond * record["source_rows"]) % (1 << ROWS)

    def base(self, tile: int, at: Place) -> int:
        by_block = tile * self.batch.blocks + at.block
        by_set = tile * self.batch.sets + at.set
        return self.values["base_first"] + (by_set if self.values["by_set"] else by_block)

    def step(self, record: dict[str, int], tile: int, at: Place, beyond: int) -> dict:
        batch, carry = self.batch, self.values["carry"]
        source = tile if record["diagonal"] else beyond
        outside = record["delay"] & (at.tail if self.reverse else at.head)
        block = at.block
        if record["delay"]:
            block += 1 if self.reverse else -1
            if outside:
                block = at.set * batch.spans + batch.spans - 1  # of the batch before
        source_base = (record["first"] + source * batch.blocks + block) % (1 << BASES)
        return {
            "source_base": None if outside and not carry else source_base,
            "base": self.base(tile, at),
            "row": self.row(record, tile, beyond),
            "set": at.set,
            "tail": at.tail,
            "void": int(outside and not carry),
            "other": int(outside and carry),
            "source": source,
        }

    def wanted(self, work: Work) -> tuple[list[dict], list[dict]]:
        """Headers and steps of a task: a sum for each block."""
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


async def walk(dut, seed: int, stall: float) -> WalkBench:
    bench = WalkBench(dut, seed, stall)
    await bench.reset()
    await bench.tick(2)  # the batch is there before a task
    tasks = [Work.draw(bench.rng, bench.rng.randrange(10), bench.batch) for _ in range(4)]
    wanted = [bench.wanted(work) for work in tasks]
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
        sent, count = bench.tasks.sent, len(bench.records)
        first = TO_HEADER + 2 * count
        assert bench.headers.cycles[0] == sent[0] + first
        between = 0 if bench.values["skip"] else count - 1  # from connection to connection
        took = [first + len(h) * (1 + between) + len(s) for h, s in wanted]
        ends = [begin + cycles for begin, cycles in zip(sent[:-1], took[:-1], strict=True)]
        assert sent[1:] == ends, "a step, a header and a further connection take a cycle each"
    return bench


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle."""
    benches = [await walk(dut, seed, stall) for seed in range(30)]
    batches = [bench.batch for bench in benches]
    assert any(batch.blocks == 1 << BLOCKS for batch in batches)
    assert any(batch.sets == 1 < batch.spans for batch in batches)
    assert any(batch.spans == 1 < batch.sets for batch in batches)
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
