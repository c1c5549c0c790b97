"""gen.core.shared.events: tiles into lines, lines into events: each once, in order, no pause.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.shared.events import EventEmitter, RowCompactor, line_layout
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, packed
from tests.support.tiles import DENSITIES, events_of, lines_of, random_tile, same_fields

LINES, LENGTH, TAG = 4, 16, 6
SIZES = {"lines": LINES, "length": LENGTH, "tag_width": TAG}
PICKER, EMITTER = RowCompactor(**SIZES), EventEmitter(**SIZES)

# cocotb


def random_tiles(rng, count: int, density: float) -> list[dict]:
    return [
        {
            "tile": random_tile(rng, LINES * LENGTH, density * rng.choice([0, 1, 1])),
            "tag": rng.getrandbits(TAG),
            "last": int(rng.random() < 0.3),
        }
        for _ in range(count)
    ]


class Lines:
    """Gives room at random; takes every line that comes, as `Sink` does."""

    def __init__(self, bench: Bench, stall: float):
        self._bench, self._stall = bench, stall
        self._shape = packed(line_layout(LINES, LENGTH, TAG))
        self.got: list[dict] = []
        self.cycles: list[int] = []

    def drive(self) -> None:
        self._bench.dut.room.value = self._bench.rng.random() >= self._stall

    def sample(self) -> None:
        if int(self._bench.dut.o__valid.value):
            self.got.append(self._shape.unpack(int(self._bench.dut.o__payload.value)))
            self.cycles.append(self._bench.cycle)


def begin_picker(dut, seed: int, stalls: tuple[float, float]):
    bench = Bench(dut, seed)
    source = bench.source("i", PICKER.i.payload.shape(), stalls[0])
    return bench, source, bench.add(Lines(bench, stalls[1]))


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.5), (0.5, 0.0), (0.4, 0.4)], density=[0.03, 0.4])
async def picks(dut, stalls, density):
    """The picker makes of random tiles the lines that plain loops make, with stalls."""
    bench, source, sink = begin_picker(dut, 1, stalls)
    await bench.reset()
    tiles = random_tiles(bench.rng, 150, density)
    want = lines_of(tiles, LINES, LENGTH)
    source.queue.extend(tiles)
    await bench.until(lambda: len(source.sent) == len(tiles))
    await bench.until(lambda: len(sink.got) >= len(want), 500)
    await bench.tick(10)
    same_fields("lines", sink.got, want)


@cocotb.test()
async def picks_without_a_pause(dut):
    """A line a cycle, the first 3 cycles after its tile; a tile follows at once, and an empty one
    that waits makes way: at once if no tile is in work any more, or in two cycles."""
    bench, source, sink = begin_picker(dut, 2, (0.0, 0.0))
    await bench.reset()
    tiles = random_tiles(bench.rng, 200, 0.05)
    source.queue.extend(tiles)
    await bench.until(lambda: len(source.sent) == len(tiles))
    await bench.tick(20)
    taken = last = source.sent[0]  # cycles: when the tile is taken; of the last line before it
    cycles = []
    for tile, sent in zip(tiles, source.sent, strict=True):
        assert sent == taken
        lines = len(lines_of([tile], LINES, LENGTH))
        if lines:
            begun = max(taken + 1, last)
            cycles += [begun + 2 + n for n in range(lines)]
            last = begun + lines
            taken = begun
        else:
            taken += 1 if taken + 1 >= last else 2
    assert sink.cycles == cycles


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.4, 0.4)])
async def emits(dut, stalls):
    """The emitter's events of random lines equal plain loops; without stalls one comes a cycle."""
    bench = Bench(dut, 3)
    source = bench.source("i", EMITTER.i.payload.shape(), stalls[0])
    sink = bench.sink("o", EMITTER.o.payload.shape(), stalls[1])
    await bench.reset()
    rng = bench.rng
    lines = []
    for density in DENSITIES:
        for _ in range(30):
            last = rng.randrange(2)
            word = random_tile(rng, LENGTH, density)
            if word or last:  # only a last line may be empty
                lines.append({"x": rng.randrange(LINES), "word": word,
                              "tag": rng.getrandbits(TAG), "last": last})  # fmt: skip
    want = events_of(lines)
    source.queue.extend(lines)
    await bench.until(lambda: len(sink.got) >= len(want))
    await bench.tick(10)
    same_fields("events", sink.got, want)
    if stalls == (0.0, 0.0):
        first = source.sent[0] + 1
        assert sink.cycles == list(range(first, first + len(want)))


# Outside


@each_coroutine(__name__, "picks", "picks_without_a_pause")
def test_line_picker(simulated):
    """The coroutine holds on the simulated picker."""
    simulated(lambda: (PICKER, "line_picker_bench"))


@each_coroutine(__name__, "emits")
def test_event_emitter(simulated):
    """The coroutine holds on the simulated emitter."""
    simulated(lambda: (EMITTER, "event_emitter_bench"))
