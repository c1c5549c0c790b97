"""gen.core.shared.accumulate: an engine's lanes against sums of Python's integers.

(A lane by itself: test_lane.) The coroutines below `# cocotb` run inside the simulation, the tests
outside.
"""

import cocotb
import pytest

from backspike.gen.core.shared.accumulate import Accumulator
from backspike.gen.core.shared.sum_buffer import BLOCKS
from backspike.gen.machine import DEPTH
from backspike.sim.bench.cocotb_bench import bench_parameters, run_bench
from tests.support.rational import GRID
from tests.support.streams import Bench, Pulses, packed

LANES, LINES = 2, 4
WIDTH = {False: 52, True: 91}
HALVES = [0, 1, 0x8001, 0x3C00, 0xBC00, 0x3FF, 0x7BFF, 0xFBFF]
"""Zero, the smallest, one, the largest subnormal, the largest, and their negatives."""

# cocotb


def fixed(half: int) -> int:
    """In units of 2^-24."""
    return -GRID[half & 0x7FFF] if half & 0x8000 else GRID[half]


class Drain:
    """Takes a block of sums, all entries in any order, at its own pace.

    `sums` has a list of LANES lists for each block, `touched` its masks.
    """

    def __init__(self, bench: Bench, slow: float):
        self.bench, self.slow, self.dut = bench, slow, bench.dut
        self.layout = packed(component().sums.shape())
        self.todo: list[int] = []
        self.sums: list[list[list[int]]] = []
        self.touched: list[int] = []
        # (entry, sums of its block): asked for in this cycle, and in the one before.
        self._asked: tuple[int, list[list[int]]] | None = None
        self._coming: tuple[int, list[list[int]]] | None = None

    def drive(self) -> None:
        self._coming, self._asked = self._asked, None
        if self.todo and self.bench.rng.random() >= self.slow:
            entry = self.todo.pop()
            self._asked = entry, self.sums[-1]
            self.dut.entry.value = entry
        else:
            self.dut.entry.value = self.bench.rng.randrange(DEPTH)
        # Until the cycle in which the last sum is read.
        self.dut.busy.value = bool(self.todo)

    def sample(self) -> None:
        if self._coming is not None:
            sums = self.layout.unpack(int(self.dut.sums.value))
            entry, block = self._coming
            for lane in range(LANES):
                block[lane][entry] = sums[lane]
        if int(self.dut.start.value):
            assert not self.todo, "a block was handed on while the drain was at work"
            self.todo = self.bench.rng.sample(range(DEPTH), DEPTH)
            self.sums.append([[0] * DEPTH for _ in range(LANES)])
            self.touched.append(int(self.dut.touched.value))


def component() -> Accumulator:
    return accumulator(bench_parameters()["product"])


def accumulator(product: bool) -> Accumulator:
    return Accumulator(lanes=LANES, lines=LINES, product=product, width=WIDTH[product])


def random_half(rng) -> int:
    half = rng.getrandbits(16)
    if rng.random() < 0.4 or half & 0x7C00 == 0x7C00 or half == 0x8000:
        return rng.choice(HALVES)
    return half


def block(rng, product: bool, lines: int):
    """(events with values, vectors, sums, touched) of one block."""
    events, vectors, touched = [], [], 0
    sums = [[0] * DEPTH for _ in range(LANES)]
    for _ in range(lines):
        vector = [random_half(rng) for _ in range(LANES)]
        entries = rng.sample(range(DEPTH), rng.choice([1, 1, 2, 5, DEPTH]))
        vectors.append(sum(half << 16 * n for n, half in enumerate(vector)))
        for n, i in enumerate(entries):
            value = random_half(rng)
            events.append({"event": {"i": i, "x": rng.randrange(LINES), "first": int(n == 0),
                                     "end": 0, "hit": 1}, "value": value})  # fmt: skip
            touched |= 1 << i
            for lane in range(LANES):
                factor = fixed(value) if product else 1
                sums[lane][i] += fixed(vector[lane]) * factor
    if events and rng.random() < 0.8:
        events[-1]["event"]["end"] = 1
    else:  # the last tile is empty
        noise = {"i": rng.randrange(DEPTH), "x": 0, "first": 1, "end": 1, "hit": 0}
        events.append({"event": noise, "value": random_half(rng)})
    if not product:
        events = [{"event": event["event"]} for event in events]
    return events, vectors, sums, touched


def begin(dut, seed: int, stalls: tuple[float, float, float]):
    bench = Bench(dut, seed)
    events = bench.source("i_events", component().i_events.payload.shape(), stalls[0])
    vectors = bench.source("i_vectors", stall=stalls[1])
    drain = bench.add(Drain(bench, stalls[2]))
    pulses = bench.add(Pulses(bench, "event", "start", "stall_vector", "stall_drain"))
    return bench, events, vectors, drain, pulses


@cocotb.test()
@cocotb.parametrize(
    stalls=[(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.7, 0.0), (0.0, 0.0, 0.7), (0.3, 0.3, 0.3)]
)
async def sums(dut, stalls):
    """Sums of random blocks equal those of Python's integers, with stalls on every side."""
    bench, events, vectors, drain, pulses = begin(dut, 1, stalls)
    await bench.reset()
    product = bench_parameters()["product"]
    blocks = [block(bench.rng, product, bench.rng.choice([0, 1, 2, 8])) for _ in range(60)]
    for sent, rows, _, _ in blocks:
        events.queue.extend(sent)
        vectors.queue.extend(rows)
    await bench.until(lambda: not events.queue)
    await bench.until(lambda: len(drain.sums) == len(blocks) and not drain.todo)
    await bench.tick(50)
    for n, (_, _, want, touched) in enumerate(blocks):
        assert drain.touched[n] == touched, f"block {n}"
        assert drain.sums[n] == want, f"block {n}"
    assert len(drain.sums) == len(blocks)
    assert not vectors.queue, "a vector is left"
    assert len(pulses.cycles["event"]) == sum(e["event"]["hit"] for b in blocks for e in b[0])


@cocotb.test()
async def one_event_a_cycle(dut):
    """With vectors there and the drain done in time the events never pause."""
    bench, events, vectors, drain, pulses = begin(dut, 2, (0.0, 0.0, 0.0))
    await bench.reset()
    product = bench_parameters()["product"]
    count = 0
    while count < 12:
        sent, rows, _, _ = block(bench.rng, product, 8)
        if len(sent) < DEPTH + 1:  # the drain takes so long
            continue
        events.queue.extend(sent)
        vectors.queue.extend(rows)
        count += 1
    last = len(events.queue)
    await bench.until(lambda: len(drain.sums) == count)
    assert events.sent == list(range(events.sent[0], events.sent[0] + last))
    assert not pulses.cycles["stall_vector"]
    assert not pulses.cycles["stall_drain"]
    assert pulses.cycles["start"][-1] - events.sent[-1] == component().latency


@cocotb.test()
async def stalls_are_told(dut):
    """Waiting for a vector, and for the drain, in just those cycles."""
    bench, events, vectors, drain, pulses = begin(dut, 3, (0.0, 0.0, 0.0))
    await bench.reset()
    hit = {"i": 3, "x": 0, "first": 1, "end": 1, "hit": 1}
    events.queue.append({"event": hit})
    offered = bench.cycle
    await bench.tick(10)
    assert pulses.cycles["stall_vector"] == list(range(offered, bench.cycle))
    assert not events.sent
    assert not pulses.cycles["event"]
    vectors.queue.append(0x3C00)
    await bench.tick(10)
    assert len(pulses.cycles["event"]) == 1
    told = len(pulses.cycles["stall_vector"])
    drain.slow = 1.0  # never done
    for _ in range(BLOCKS - 1):
        assert not pulses.cycles["stall_drain"]
        events.queue.append({"event": hit})
        vectors.queue.append(0x3C00)
        await bench.tick(20)
    assert len(pulses.cycles["stall_vector"]) == told
    assert pulses.cycles["stall_drain"][-1] == bench.cycle - 1
    assert len(pulses.cycles["start"]) == 1


@cocotb.test()
async def long_and_short(dut):
    """Blocks that are longer and shorter than the drain takes even out."""
    bench, events, vectors, drain, pulses = begin(dut, 4, (0.0, 0.0, 0.0))
    await bench.reset()
    for n in range(12):
        for line in range(1 if n % 2 else 3):
            entries = range(1 if n % 2 else DEPTH)
            for i in entries:
                event = {"i": i, "x": 0, "first": int(i == 0), "hit": 1, "end": 0}
                if line == (0 if n % 2 else 2) and i == entries[-1]:
                    event["end"] = 1
                value = {"value": 0x3C00} if bench_parameters()["product"] else {}
                events.queue.append({"event": event, **value})
            vectors.queue.append(0x3C00)
    await bench.until(lambda: len(drain.sums) == 12)
    assert not pulses.cycles["stall_drain"]


# Outside


@pytest.mark.verilator
@pytest.mark.parametrize("product", [False, True])
def test_accumulator(product):
    """Every coroutine of this module holds on the simulated lanes, for halves and products."""
    name = f"accumulator_{'products' if product else 'halves'}"
    run_bench(accumulator(product), name, __name__, parameters={"product": product})
