"""gen.core.shared.events: every bit of every tile becomes one event, lines are announced before.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.shared.events import SpikeScanner
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench
from tests.support.tiles import DENSITIES, events_of, lines_of, random_tile, same_fields

LINES, LENGTH, TAG = 4, 16, 6
SCAN = SpikeScanner(lines=LINES, length=LENGTH, tag_width=TAG)
TO_LINE, TO_EVENT = 4, 6
"""Latencies from a tile: to its first line, to its first event."""

# cocotb


class Order:
    """A line whose announcement is not made to wait is announced before its first event."""

    def __init__(self, lines, events):
        self.lines, self.events = lines, events

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        begun = sum(e["hit"] and e["first"] for e in self.events.got)
        assert begun <= len(self.lines.got), "an event came before its line was announced"


def begin(dut, seed: int, stalls: tuple[float, float, float]):
    bench = Bench(dut, seed)
    source = bench.source("i", SCAN.i.payload.shape(), stalls[0])
    lines = bench.sink("o_lines", SCAN.o_lines.payload.shape(), stalls[1])
    events = bench.sink("o_events", SCAN.o_events.payload.shape(), stalls[2])
    if not stalls[1]:
        bench.add(Order(lines, events))
    return bench, source, lines, events


def tiles_of(rng, count: int, density: float, empty: float) -> list[dict]:
    return [
        {
            "tile": 0 if rng.random() < empty else random_tile(rng, LINES * LENGTH, density),
            "tag": rng.getrandbits(TAG),
            "last": int(rng.random() < 0.3),
        }
        for _ in range(count)
    ]


async def scan(bench, source, lines, events, tiles) -> list[dict]:
    picked = lines_of(tiles, LINES, LENGTH)
    want = events_of(picked)
    source.queue.extend(tiles)
    await bench.until(lambda: len(source.sent) == len(tiles))
    await bench.until(lambda: len(events.got) >= len(want), 1000)
    await bench.tick(20)
    same_fields("events", events.got, want)
    announced = [{"x": line["x"], "tag": line["tag"]} for line in picked if line["word"]]
    same_fields("lines", lines.got, announced)
    return want


@cocotb.test()
@cocotb.parametrize(
    stalls=[(0.0, 0.0, 0.6), (0.0, 0.6, 0.0), (0.6, 0.0, 0.0), (0.3, 0.3, 0.3)],
    density=[0.03, 0.5],
)
async def stalls(dut, stalls, density):
    """Every bit of random tiles becomes one event in order, its line announced before."""
    bench, *streams = begin(dut, 1, stalls)
    await bench.reset()
    await scan(bench, *streams, tiles_of(bench.rng, 60, density, 0.3))


@cocotb.test()
@cocotb.parametrize(density=DENSITIES)
async def one_event_a_cycle(dut, density):
    """If nothing stalls: only empty tiles cost a cycle that has no event, at the most."""
    bench, source, lines, events = begin(dut, 2, (0.0, 0.0, 0.0))
    await bench.reset()
    tiles = tiles_of(bench.rng, 80, density, 0.1)
    want = await scan(bench, source, lines, events, tiles)
    empty = sum(not tile["tile"] for tile in tiles)
    took = events.cycles[-1] + 1 - (source.sent[0] + TO_EVENT)
    assert len(want) <= took <= len(want) + empty, f"{took} cycles for {len(want)} events"


@cocotb.test()
async def latency(dut):
    """A tile's first line and first event come after their latencies."""
    bench, source, lines, events = begin(dut, 3, (0.0, 0.0, 0.0))
    await bench.reset()
    for tile in (1, 1 << LENGTH, 1 << LINES * LENGTH - 1):
        source.queue.append({"tile": tile, "tag": 3, "last": 1})
        await bench.tick(10)
    for sent, line, event in zip(source.sent, lines.cycles, events.cycles, strict=True):
        assert (line - sent, event - sent) == (TO_LINE, TO_EVENT)


# Outside


@each_coroutine(__name__)
def test_scan(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (SCAN, "scan_bench"))
