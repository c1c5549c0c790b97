"""gen.core.shared.walk on planes: windows of random tables of entries, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.layout import PLACE_BITS
from backspike.gen.core.shared.walk import TileWalk, connection_layout
from backspike.gen.core.shared.window import FIND_CYCLES, PLACES_BITS, READ_CYCLES
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import packed
from tests.support.tables import ENTRIES, Table
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes


def make(reverse: bool) -> TileWalk:
    return TileWalk(
        blocks=BLOCKS,
        sources=BASES,
        bases=BASES,
        rows=ROWS,
        reverse=reverse,
        entries=ENTRIES,
        places=PLACES_BITS,
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
            }
        )
        units = pixels * (self.batch.sets if by_set else self.batch.blocks)
        plane = {"lines": self.lines, "columns": self.columns, "units": units}
        self.table = Table(rng, none=0.0 if seed % 2 else 0.3)
        # What the neurons' plane is the first one tells.
        found = [self.table.connection(**(plane if n == 0 else {})) for n in range(count)]
        self.table.answer(self)
        self.units = units
        self.records = [
            {
                "first": rng.randrange(40),
                "tiles": rng.randint(1, 4),
                "weights": rng.randrange(200),
                "tile_rows": rng.randint(1, 40),
                "source_rows": rng.randint(1, 40),
                "diagonal": int(rng.random() < 0.3),
                "delay": int(rng.random() < 0.4),
                "windows": where,
            }
            for where, _ in found
        ]
        self.planes = [plane for _, plane in found]
        layout = packed(connection_layout(BASES, ROWS, ENTRIES))
        self.words = [layout.pack(record) for record in self.records]
        for record, plane in zip(self.records, self.planes, strict=True):  # the table has it
            record["source_rows" if self.reverse else "tile_rows"] = plane["tile_rows"]
        self.responders.append(self)

    def respond(self) -> None:
        index = int(self.dut.index.value)
        self.dut.connection.value = self.words[min(index, len(self.words) - 1)]

    def base(self, tile: int, pixel: int, at: Place) -> int:
        each, offset = self.batch.blocks, at.block
        if self.values["by_set"]:
            each, offset = self.batch.sets, at.set
        first = self.values["base_first"] + tile * self.units
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
                for record, plane in zip(self.records, self.planes, strict=True):
                    windows = self.table.windows(plane, y, x)
                    found = self.steps_of(record, plane["tile_units"], tile, windows, at)
                    steps += [step | {"base": base, "last": 0} for step in found]
                steps[-1]["last"] = 1
        return headers, steps

    def steps_of(self, record, units: int, tile: int, windows, at: Place) -> list[Fields]:
        sources = [tile] if record["diagonal"] else range(record["tiles"])
        row = record["weights"] + (0 if record["diagonal"] else tile * record["tile_rows"])
        found = []
        for source_at, row_at, places in windows:
            for n, source in enumerate(sources):
                first = record["first"] + source_at + source * units
                where = self.arriving(first, 0, at, delay=record["delay"], reverse=self.reverse)
                there = row + row_at + n * record["source_rows"]
                found.append(
                    where | {"source": source, "row": there % (1 << ROWS), "places": places}
                )
        if windows:
            return found
        where = self.arriving(0, 0, at, delay=record["delay"], reverse=self.reverse)
        anything = {"source_base": None, "row": None, "other": None, "places": None}
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
            first = 1 + (2 + READ_CYCLES + 1 + FIND_CYCLES) * connections
            between = 0 if bench.values["skip"] else connections - 1  # one to the next
            rest = (pixels - 1) * FIND_CYCLES * connections
            bench.check_times(first, [first + rest + h * (1 + between) + s for h, s in counts])
    check_shapes([bench.batch for bench in benches])
    empty = [
        not bench.table.windows(plane, y, x)
        for bench in benches
        for plane in bench.planes
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
