"""gen.core.shared.group_walk on planes: taps of random tables of entries, against plain loops.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.group_walk import GroupWalk
from backspike.gen.core.shared.window import FIND_CYCLES, PLACES_BITS, READ_CYCLES, TAP_BITS
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Place, Work
from tests.support.coroutines import each_coroutine
from tests.support.tables import ENTRIES, Table
from tests.support.walks import BASES, BLOCKS, ROWS, Fields, WalkBench, check_shapes


def make(group: int) -> GroupWalk:
    return GroupWalk(
        blocks=BLOCKS,
        sources=BASES,
        bases=BASES,
        rows=ROWS,
        group=group,
        entries=ENTRIES,
        places=PLACES_BITS,
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
                "delay": seed >> 1 & 1,
                "carry": seed >> 2 & 1,
            }
        )
        self.table = Table(rng, none=0.0 if seed % 2 else 0.3)
        where, self.kernel = self.table.connection(lines=lines, columns=columns)
        self.give({"windows": where})
        self.table.answer(self)

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """A sum for each tap and group of source tiles."""
        headers, steps = [], []
        v, kernel, tiles = self.values, self.kernel, self.values["source_tiles"]
        taps = [(y, x) for y in range(kernel["lines"]) for x in range(kernel["columns"])]
        for tap, (y, x) in enumerate(taps):
            for first in range(0, tiles, self.group):
                row = v["weights"] + work.tile * kernel["tile_rows"] + tap * tiles + first
                last = first + self.group >= tiles and tap == len(taps) - 1
                number = (kernel["tap"] + tap) % (1 << TAP_BITS)
                headers.append({"row": row % (1 << ROWS), "source": first, "tap": number,
                                "tile": work.tile, "last": int(last),
                                "taps": kernel["taps"]})  # fmt: skip
                found = []
                for source, base, places in self.table.windows(kernel, y, x):
                    for at in self.batch.order():
                        each = self.steps_of(work.tile, first, source, base, at)
                        found += [step | {"places": places} for step in each]
                if not found:
                    anything = {"source_base": None, "base": None, "other": None, "void": 1,
                                "places": None}  # fmt: skip
                    order = self.batch.order()[0]
                    found = [each | anything for each in self.steps_of(0, first, 0, 0, order)]
                for step in found[-self.group :]:
                    step["last"] = 1
                steps += found
        return headers, steps

    def steps_of(self, tile: int, first: int, source: int, base: int, at: Place) -> list[Fields]:
        v, units = self.values, self.kernel["tile_units"]
        found = []
        for part in range(self.group):
            there = v["source_first"] + source + (first + part) * units
            step = self.arriving(there, 0, at, delay=v["delay"])
            lies = v["base_first"] + tile * self.kernel["units"] + base + at.block
            found.append(step | {"source": first + part, "base": lies % (1 << BASES), "last": 0,
                                 "group_last": int(part == self.group - 1)})  # fmt: skip
        return found


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def walks(dut, stall):
    """Headers and steps of random tasks equal plain loops, and without stalls one takes a cycle;
    finding pixels takes its time."""
    benches = []
    for seed in range(40):
        benches.append(bench := TapBench(dut, seed, stall))
        counts = await bench.play(2)
        if not stall:
            find = 1 + FIND_CYCLES
            taps, first = bench.kernel["lines"] * bench.kernel["columns"], 3 + READ_CYCLES
            bench.check_times(first + find, [first + taps * find + sum(each) for each in counts])
    check_shapes([bench.batch for bench in benches])
    late = {(b.values["delay"], b.values["carry"], b.batch.spans > 1) for b in benches}
    assert len(late) == 8
    empty = [
        not bench.table.windows(bench.kernel, y, x)
        for bench in benches
        for y in range(bench.kernel["lines"])
        for x in range(bench.kernel["columns"])
    ]
    assert any(empty)
    assert not all(empty)


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("group", [1, 4])
def test_walk(group, simulated):
    """The coroutine holds with groups of one and of several source tiles."""
    simulated(lambda: (make(group), f"group_walk_planes_{group}_bench", {"group": group}))
