"""gen.core.control.run: dry run before a run, what is refused, and when the dry run is left out;
how blocks are counted.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.control.run import RunControl
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, BLOCK_BITS
from backspike.gen.machine import DEPTH
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, packed
from tests.support.wrapped import Inside, Wrapped

QUEUES = 3
GOOD = {"steps": 4, "last_steps": 3, "samples": 4, "sets": 5, "spans": 7}
MOST = (1 << BLOCK_BITS) - 1
COUNTING = BLOCK_BITS + 4
"""Cycles from a doorbell until a misshapen batch is refused, at the most."""

# cocotb


class Queues:
    """Three queues: after `go` each runs for some cycles, and may end in a fault or be waiting.

    `plan(dry_run)` says, for each queue: (cycles, fault, waiting). A waiting queue ends by abort.
    `runs` lists what was begun: True for a dry run. The `blocks` of the batch are known by then.
    """

    def __init__(self, bench: Bench):
        self.dut = bench.dut
        self.plan = lambda dry_run: [(0, Fault.NONE, False)] * QUEUES
        self.left = [None] * QUEUES
        self.runs: list[bool] = []
        self.positions = [3, 4, 5]
        self.blocks = GOOD["sets"] * GOOD["spans"]
        self.now = [(0, Fault.NONE, False)] * QUEUES

    def drive(self) -> None:
        running = waiting = 0
        faults = [Fault.NONE] * QUEUES
        for n, left in enumerate(self.left):
            _, fault, waits = self.now[n]
            if left is None:
                continue
            running |= 1 << n
            if left == 0 and waits:
                waiting |= 1 << n
            elif left == 0 and fault != Fault.NONE:
                faults[n] = fault
        self.dut.queues_running.value, self.dut.queues_waiting.value = running, waiting
        for n in range(QUEUES):
            getattr(self.dut, f"faults__{n}").value = faults[n].value
            getattr(self.dut, f"positions__{n}").value = self.positions[n]

    def sample(self) -> None:
        for n, left in enumerate(self.left):
            if left is None:
                continue
            waits = self.now[n][2]
            if left or not waits:
                self.left[n] = left - 1 if left else None
            if int(self.dut.abort.value):
                self.left[n] = None
        if int(self.dut.go.value):
            assert self.left == [None] * QUEUES, "queues are started while they run"
            assert int(self.dut.blocks.value) == self.blocks
            self.runs.append(bool(int(self.dut.dry_run.value)))
            self.now = self.plan(self.runs[-1])
            self.left = [cycles for cycles, _, _ in self.now]


async def begin(dut, seed: int):
    dut = Inside(dut)
    bench = Bench(dut, seed)
    queues = bench.add(Queues(bench))
    dut.batch.value = packed(BATCH).pack(GOOD)
    await bench.reset()
    return dut, bench, queues


async def ring(dut, bench) -> int:
    """The doorbell, and until all is at rest; returns the cycles that takes."""
    begin = bench.cycle
    dut.doorbell.value = 1
    await bench.tick()
    dut.doorbell.value = 0
    await bench.tick()
    await bench.until(lambda: not int(dut.busy.value), 500)
    return bench.cycle - begin


async def change(dut, bench) -> None:
    dut.changed.value = 1
    await bench.tick()
    dut.changed.value = 0


@cocotb.test()
async def tries_once(dut):
    """A run follows its dry run; the next ones have none until something changes."""
    dut, bench, queues = await begin(dut, 1)
    lengths = bench.rng.choices(range(1, 30), k=QUEUES)
    queues.plan = lambda dry_run: [(n, Fault.NONE, False) for n in lengths]
    await ring(dut, bench)
    assert queues.runs == [True, False]
    await ring(dut, bench)
    await ring(dut, bench)
    assert queues.runs == [True, False, False, False]
    await change(dut, bench)
    await ring(dut, bench)
    assert queues.runs[4:] == [True, False]
    dut.changed.value = 1  # beside the doorbell
    dut.doorbell.value = 1
    await bench.tick()
    dut.changed.value = dut.doorbell.value = 0
    await bench.tick()
    await bench.until(lambda: not int(dut.busy.value))
    assert queues.runs[6:] == [True, False]
    assert int(dut.fault.value) == Fault.NONE.value


@cocotb.test()
async def empty_queues(dut):
    """A run of nothing ends."""
    dut, bench, queues = await begin(dut, 2)
    await ring(dut, bench)
    assert queues.runs == [True, False]


@cocotb.test()
async def running(dut):
    """busy from the doorbell on, running only in the run, begins once, before it."""
    dut, bench, queues = await begin(dut, 3)
    queues.plan = lambda dry_run: [(7, Fault.NONE, False)] * QUEUES
    dut.doorbell.value = 1
    seen = []
    for _ in range(40 + COUNTING):
        await bench.tick()
        dut.doorbell.value = 0
        seen.append(tuple(int(getattr(dut, n).value) for n in ("busy", "running", "begins")))
    order = [key for n, key in enumerate(seen) if n == 0 or key != seen[n - 1]]
    assert order == [(1, 0, 0), (1, 0, 1), (1, 0, 0), (1, 1, 0), (0, 0, 0)]
    assert seen.count((1, 0, 1)) == 1


@cocotb.test()
async def faults(dut):
    """A fault in the dry run stops all queues; nothing is run, and the next dry run is not
    left out."""
    dut, bench, queues = await begin(dut, 4)
    for engine in range(QUEUES):
        for fault in (Fault.QUEUE, Fault.LAYER, Fault.TILE, Fault.UNITS, Fault.WEIGHTS):

            def plan(dry_run, engine=engine, fault=fault):
                others = (bench.rng.randrange(40), Fault.NONE, bench.rng.random() < 0.3)
                return [(5, fault, False) if n == engine else others for n in range(QUEUES)]

            queues.plan = plan
            queues.runs.clear()
            await ring(dut, bench)
            assert queues.runs == [True]
            assert int(dut.fault.value) == fault.value
            assert int(dut.fault_engine.value) == engine
            assert int(dut.fault_task.value) == queues.positions[engine]
            assert queues.left == [None] * QUEUES
    queues.plan = lambda dry_run: [(5, Fault.NONE, False)] * QUEUES
    queues.runs.clear()
    await ring(dut, bench)
    assert queues.runs == [True, False]
    assert int(dut.fault.value) == Fault.NONE.value


@cocotb.test()
async def deadlocks(dut):
    """All queues that still run are waiting: for ever."""
    dut, bench, queues = await begin(dut, 5)
    for waiting in range(1, 1 << QUEUES):
        lengths = [bench.rng.randrange(2, 30) for _ in range(QUEUES)]
        queues.plan = lambda dry_run, lengths=lengths, waiting=waiting: [
            (lengths[n], Fault.NONE, bool(waiting >> n & 1)) for n in range(QUEUES)
        ]
        queues.runs.clear()
        await ring(dut, bench)
        assert queues.runs == [True]
        assert int(dut.fault.value) == Fault.DEADLOCK.value
        engine = int(dut.fault_engine.value)
        assert waiting >> engine & 1
        assert int(dut.fault_task.value) == queues.positions[engine]


async def offer(dut, bench, queues, shape: dict[str, int]) -> None:
    """Writes a batch and rings; it must be run, or refused, as it is good or not."""
    dut.batch.value = packed(BATCH).pack(shape)
    await change(dut, bench)
    await bench.tick()
    queues.runs.clear()
    queues.blocks = shape["sets"] * shape["spans"]
    took = await ring(dut, bench)
    good = (
        1 <= shape["steps"] * shape["samples"] <= DEPTH
        and 1 <= shape["last_steps"] <= shape["steps"]
        and 1 <= queues.blocks <= MOST
    )
    assert queues.runs == ([True, False] if good else []), shape
    want = Fault.NONE if good else Fault.BATCH
    assert int(dut.fault.value) == want.value, shape
    if not good:
        assert took <= COUNTING, f"{took} cycles until {shape} is refused"


@cocotb.test()
async def shapes(dut):
    """A block has 1 to DEPTH entries, and the last span at least a step and no more than others."""
    dut, bench, queues = await begin(dut, 6)
    for steps in (0, 1, 3, 16, 17, 31):
        for samples in (0, 1, 5, 16, 31):
            for last in {0, 1, max(1, steps - 1), steps, min(31, steps + 1), 31}:
                shape = {"steps": steps, "last_steps": last, "samples": samples}
                await offer(dut, bench, queues, GOOD | shape)


@cocotb.test()
async def counts(dut):
    """Blocks are sets times spans; a batch has one at least, and no more than can be counted."""
    dut, bench, queues = await begin(dut, 7)
    some = (0, 1, 2, 3, 64, 90, 91, 127, 128, 4095, 4096, MOST)
    pairs = [(sets, spans) for sets in some for spans in some]
    for _ in range(100):
        sets = bench.rng.getrandbits(bench.rng.randint(1, BLOCK_BITS))
        about = min(MOST, MOST // max(1, sets) + bench.rng.randint(0, 1))
        pairs.append((sets, bench.rng.choice([about, bench.rng.randint(0, about)])))
    products = {sets * spans for sets, spans in pairs}
    assert products >= {0, 1, MOST, MOST + 1}
    for sets, spans in pairs:
        await offer(dut, bench, queues, GOOD | {"sets": sets, "spans": spans})


@cocotb.test()
async def counts_once(dut):
    """Blocks stay counted from run to run; a batch that was refused is counted anew."""
    dut, bench, queues = await begin(dut, 8)
    first = await ring(dut, bench)
    queues.runs.clear()
    assert await ring(dut, bench) < first - BLOCK_BITS
    assert queues.runs == [False]
    for wrong in ({"sets": 0}, {"spans": MOST}, {"last_steps": 5}, {"samples": 0}):
        await offer(dut, bench, queues, GOOD | wrong)
        queues.runs.clear()
        for _ in range(2):  # it stays refused
            await ring(dut, bench)
            assert queues.runs == []
            assert int(dut.fault.value) == Fault.BATCH.value
        await offer(dut, bench, queues, GOOD)


# Outside


@each_coroutine(__name__)
def test_control(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (Wrapped(RunControl()), "control_bench"))
