"""gen.core.shared.group_walk on planes: taps of random tables of entries, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.group_walk import GroupWalk
from backspike.gen.core.shared.window import FIND_CYCLES, entry_layout, strides_layout
from backspike.gen.memory.rows import READ_LATENCY
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.streams import Memory, packed
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes

ENTRIES = 5
"""Bits of an entry's address."""


def make(group: int) -> GroupWalk:
    return GroupWalk(
        blocks=BLOCKS, sources=BASES, bases=BASES, rows=ROWS, group=group, entries=ENTRIES
    )


# cocotb


class TapBench(WalkBench):
    """A walk through the taps of a kernel, and the pixels that each meets."""

    def __init__(self, dut, seed: int, stall: float):
        self.group = bench_parameters()["group"]
        super().__init__(dut, seed, stall, make(self.group))
        rng = self.rng
        lines, columns = rng.choice([(1, 1), (1, 3), (3, 1), (2, 2), (3, 3)])
        self.give(
            {
                "base_first": rng.randrange(40),
                "source_first": rng.randrange(40),
                "source_tiles": rng.randint(1, 9),
                "weights": rng.randrange(200),
                "delay": rng.randrange(2),
                "carry": rng.randrange(2),
                "lines": lines,
                "columns": columns,
                "units": rng.getrandbits(BASES),
                "tile_rows": rng.getrandbits(ROWS),
            }
        )
        none = 0.0 if seed % 2 else 0.3  # of entries, outside the plane
        self.table = [
            {
                "source": rng.getrandbits(BASES),
                "weights": rng.getrandbits(BASES),
                "count": 0 if rng.random() < none else rng.randint(1, 3),
            }
            for _ in range(1 << ENTRIES)
        ]
        self.strides = {
            "rows": rng.randrange((1 << ENTRIES) - 3),
            "columns": rng.randrange((1 << ENTRIES) - 3),
            **{name: rng.getrandbits(BASES) for name in
               ("tile_units", "x_source", "y_source", "x_weights", "y_weights")},
        }  # fmt: skip
        dut.strides.value = packed(strides_layout(BASES, BASES, ENTRIES)).pack(self.strides)
        entry = packed(entry_layout(BASES, BASES))
        entries = [entry.pack(each) for each in self.table]
        ports = dut.table__addr, dut.table__data
        self.add(Memory(self, *ports, lambda at: entries[at], READ_LATENCY))

    def pixels(self, y: int, x: int) -> list[tuple[int, int]]:
        """Where the pixels that a tap meets lie, of sources and of gradients."""
        s = self.strides
        row, column = self.table[s["rows"] + y], self.table[s["columns"] + x]
        return [
            (
                row["source"] + column["source"] + i * s["y_source"] + j * s["x_source"],
                row["weights"] + column["weights"] + i * s["y_weights"] + j * s["x_weights"],
            )
            for i in range(row["count"])
            for j in range(column["count"])
        ]

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """A sum for each tap and group of source tiles."""
        headers, steps = [], []
        v, tiles = self.values, self.values["source_tiles"]
        taps = [(y, x) for y in range(v["lines"]) for x in range(v["columns"])]
        for tap, (y, x) in enumerate(taps):
            for first in range(0, tiles, self.group):
                row = v["weights"] + work.tile * v["tile_rows"] + tap * tiles + first
                last = first + self.group >= tiles and tap == len(taps) - 1
                headers.append({"row": row % (1 << ROWS), "source": first, "tap": tap,
                                "tile": work.tile, "last": int(last)})  # fmt: skip
                found = []
                for source, base in self.pixels(y, x):
                    for at in self.batch.order():
                        found += self.steps_of(work.tile, first, source, base, at)
                if not found:
                    anything = {"source_base": None, "base": None, "other": None, "void": 1}
                    order = self.batch.order()[0]
                    found = [each | anything for each in self.steps_of(0, first, 0, 0, order)]
                for step in found[-self.group :]:
                    step["last"] = 1
                steps += found
        return headers, steps

    def steps_of(self, tile: int, first: int, source: int, base: int, at: Place) -> list[Fields]:
        v, units = self.values, self.strides["tile_units"]
        found = []
        for part in range(self.group):
            there = v["source_first"] + source + (first + part) * units
            step = self.arriving(there, 0, at, delay=v["delay"])
            lies = v["base_first"] + tile * v["units"] + base + at.block
            found.append(step | {"source": first + part, "base": lies % (1 << BASES), "last": 0,
                                 "group_last": int(part == self.group - 1)})  # fmt: skip
        return found


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle;
    finding pixels takes its time."""
    benches = []
    for seed in range(60):
        benches.append(bench := TapBench(dut, seed, stall))
        counts = await bench.play(2)
        if not stall:
            find = 1 + FIND_CYCLES
            taps = bench.values["lines"] * bench.values["columns"]
            bench.check_times(3 + find, [3 + taps * find + sum(each) for each in counts])
    check_shapes([bench.batch for bench in benches])
    late = {(b.values["delay"], b.values["carry"], b.batch.spans > 1) for b in benches}
    assert len(late) == 8
    empty = [
        not bench.pixels(y, x)
        for bench in benches
        for y in range(bench.values["lines"])
        for x in range(bench.values["columns"])
    ]
    assert any(empty)
    assert not all(empty)


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("group", [1, 4])
def test_walk(group, simulated):
    """The coroutine holds with groups of one and of several source tiles."""
    simulated(lambda: (make(group), f"group_walk_planes_{group}_bench", {"group": group}))
