"""gen.core.shared.walk on planes: windows of random tables of entries, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import PLACE_BITS
from backspike.gen.core.shared.walk import TileWalk, connection_layout
from backspike.gen.core.shared.window import FIND_CYCLES, entry_layout
from backspike.gen.memory.rows import READ_LATENCY
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import Memory, packed
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes

ENTRIES = 5
"""Bits of an entry's address."""


def make(reverse: bool) -> TileWalk:
    return TileWalk(
        blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, reverse=reverse, entries=ENTRIES
    )


# cocotb


class PlaneBench(WalkBench):
    """A walk through the pixels of a plane, and the windows of its connections."""

    def __init__(self, dut, seed: int, stall: float):
        self.reverse = bench_parameters()["reverse"]
        super().__init__(dut, seed, stall, make(self.reverse))
        rng = self.rng
        self.lines, self.columns = rng.choice([(1, 1), (1, 4), (3, 1), (2, 3), (3, 3)])
        by_set = rng.randrange(2)
        pixels = self.lines * self.columns
        count = rng.choice([1, 1, 2, 3])
        self.give(
            {
                "base_first": rng.randrange(40),
                "by_set": by_set,
                "connections": count,
                "carry": 0 if self.reverse else rng.randrange(2),
                "skip": int(rng.random() < 0.1),
                "lines": self.lines,
                "columns": self.columns,
                "units": pixels * (self.batch.sets if by_set else self.batch.blocks) % (1 << BASES),
            }
        )
        none = 0.0 if seed % 2 else 0.3  # of entries, outside the plane
        self.table = [
            {
                "source": rng.getrandbits(BASES),
                "weights": rng.getrandbits(ROWS),
                "count": 0 if rng.random() < none else rng.randint(1, 3),
            }
            for _ in range(1 << ENTRIES)
        ]
        self.records = [
            {
                "first": rng.randrange(40),
                "tiles": rng.randint(1, 4),
                "weights": rng.randrange(200),
                "tile_rows": rng.randint(1, 40),
                "source_rows": rng.randint(1, 40),
                "diagonal": int(rng.random() < 0.3),
                "delay": int(rng.random() < 0.4),
                "rows": rng.randrange((1 << ENTRIES) - 3),
                "columns": rng.randrange((1 << ENTRIES) - 4),
                **{name: rng.getrandbits(BASES) for name in ("tile_units", "x_source", "y_source")},
                **{name: rng.getrandbits(ROWS) for name in ("x_weights", "y_weights")},
            }
            for _ in range(count)
        ]
        layout = packed(connection_layout(BASES, ROWS, ENTRIES))
        self.words = [layout.pack(record) for record in self.records]
        self.responders.append(self)
        entry = packed(entry_layout(BASES, ROWS))
        entries = [entry.pack(each) for each in self.table]
        ports = dut.table__addr, dut.table__data
        self.add(Memory(self, *ports, lambda at: entries[at], READ_LATENCY))

    def respond(self) -> None:
        index = int(self.dut.index.value)
        self.dut.connection.value = self.words[min(index, len(self.words) - 1)]

    def windows(self, record: dict[str, int], y: int, x: int) -> list[tuple[int, int]]:
        """Where a window's pixels lie, and their weights, counted from the connection's."""
        row, column = self.table[record["rows"] + y], self.table[record["columns"] + x]
        return [
            (
                row["source"] + column["source"] + i * record["y_source"] + j * record["x_source"],
                row["weights"] + column["weights"]
                + i * record["y_weights"] + j * record["x_weights"],
            )
            for i in range(row["count"])
            for j in range(column["count"])
        ]  # fmt: skip

    def base(self, tile: int, pixel: int, at: Place) -> int:
        each, offset = self.batch.blocks, at.block
        if self.values["by_set"]:
            each, offset = self.batch.sets, at.set
        first = self.values["base_first"] + tile * self.values["units"]
        return (first + pixel * each + offset) % (1 << BASES)

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """A sum for each pixel and block."""
        headers, steps = [], []
        tile, pixels = work.tile, self.lines * self.columns
        for pixel in range(pixels):
            y, x = divmod(pixel, self.columns)
            for at in work.order(self.batch, self.reverse):
                first = self.records[0]
                row = first["weights"] + (0 if first["diagonal"] else tile * first["tile_rows"])
                place = work.place_of(at) + (pixel * self.batch.sets if work.keep else 0)
                base = self.base(tile, pixel, at)
                headers.append({"base": base, "row": row % (1 << ROWS), "tile": tile,
                                **at.fields, "place": place % (1 << PLACE_BITS),
                                "last": at.last * (pixel == pixels - 1)})  # fmt: skip
                if self.values["skip"]:
                    continue
                for record in self.records:
                    found = self.steps_of(record, tile, y, x, at)
                    steps += [step | {"base": base, "last": 0} for step in found]
                steps[-1]["last"] = 1
        return headers, steps

    def steps_of(self, record, tile: int, y: int, x: int, at: Place) -> list[Fields]:
        sources = [tile] if record["diagonal"] else range(record["tiles"])
        windows = self.windows(record, y, x)
        row = record["weights"] + (0 if record["diagonal"] else tile * record["tile_rows"])
        found = []
        for source_at, row_at in windows:
            for n, source in enumerate(sources):
                first = record["first"] + source_at + source * record["tile_units"]
                where = self.arriving(first, 0, at, delay=record["delay"], reverse=self.reverse)
                there = row + row_at + n * record["source_rows"]
                found.append(where | {"source": source, "row": there % (1 << ROWS)})
        if windows:
            return found
        where = self.arriving(0, 0, at, delay=record["delay"], reverse=self.reverse)
        anything = {"source_base": None, "row": None, "other": None}
        return [where | anything | {"void": 1, "source": sources[0]}]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle,
    as does a further connection; finding windows takes its time."""
    benches = []
    for seed in range(40):
        benches.append(bench := PlaneBench(dut, seed, stall))
        counts = await bench.play(3)
        if not stall:
            connections, pixels = len(bench.records), bench.lines * bench.columns
            first = 1 + 2 * connections + FIND_CYCLES * connections
            between = 0 if bench.values["skip"] else connections - 1  # one to the next
            rest = (pixels - 1) * FIND_CYCLES * connections
            bench.check_times(first, [first + rest + h * (1 + between) + s for h, s in counts])
    check_shapes([bench.batch for bench in benches])
    empty = [
        not bench.windows(record, y, x)
        for bench in benches
        for record in bench.records
        for y in range(bench.lines)
        for x in range(bench.columns)
    ]
    assert any(empty)
    assert not all(empty)


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("reverse", [False, True])
def test_walk(reverse, simulated):
    """The coroutine holds in both orders."""
    simulated(lambda: (make(reverse), f"walk_planes_{reverse:d}_bench", {"reverse": reverse}))
