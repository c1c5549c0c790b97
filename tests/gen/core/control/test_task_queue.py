"""gen.core.control.task_queue: loops, fences, waits, places, and what counts as completed.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

from dataclasses import dataclass

import cocotb
import pytest

from backspike.gen.core.control.task_queue import WORK, TaskQueue
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, TASK
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, Memory, packed
from tests.support.wrapped import Inside, Wrapped

MACHINE = Machine(name="bench", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=256,
                  units=32, spike_units=64, readout_units=16, layers=4, tasks=64,
                  states=8)  # fmt: skip

# cocotb


@dataclass(frozen=True)
class Issue:
    """A task that the engine must be given: its position, its span, and whether it counts."""

    position: int
    span: int
    counts: bool


def issues(tasks: list[dict[str, int]], spans: int) -> list[Issue]:
    """Plain loops: tasks in order, those of a loop for one span after the other."""
    found, begin = [], 0
    while begin < len(tasks):
        end = begin + 1
        if tasks[begin]["loop"]:
            while not tasks[end - 1]["again"]:
                end += 1
            for span in range(spans):
                found += [Issue(n, span, span == spans - 1) for n in range(begin, end)]
        else:
            found.append(Issue(begin, 0, True))
        begin = end
    return found


class QueueBench(Bench):
    """A queue with its tasks; the bench plays its engine, the loader, the check and the other
    queues."""

    def __init__(self, dut, seed: int):
        super().__init__(Inside(dut), seed)
        dut = self.dut
        self.own = ENGINES.index(bench_parameters()["engine"])
        self.words: dict[int, int] = {}
        self.add(Memory(self, dut.tasks__addr, dut.tasks__data,
                        lambda at: self.words.get(at, 0), READ_LATENCY))  # fmt: skip
        dut.tile_valid.value = 1
        self.counts = [0, 0, 0]
        self.tasks: list[dict[str, int]] = []
        self.want: list[Issue] = []
        self.taken = self.finished = self.waited = 0
        self.loads: list[int] = []
        self._loading = 0
        self.answers = {"load": 0, "check": 0}  # cycles until an answer
        self.fault, self.fault_at = Fault.NONE, 0
        self.pace = 0.2
        self.add(self)

    def drive(self) -> None:
        rng, dut = self.rng, self.dut
        self._done = self.finished < self.taken and rng.random() < self.pace
        dut.done.value = self._done
        dut.o__ready.value = rng.random() < 0.4
        for n in range(3):
            if n != self.own:
                self.counts[n] += rng.random() < 0.1
            getattr(dut, f"counts__{n}").value = self.counts[n]
        for name in self.answers:
            getattr(dut, f"{name}_done").value = self.answers[name] == 1
            self.answers[name] = max(0, self.answers[name] - 1)

    def sample(self) -> None:
        dut = self.dut
        for name in self.answers:
            if int(getattr(dut, name).value):
                self.answers[name] = self.rng.randint(1, 4)
        if self._loading:
            assert self.finished == self.taken, "a layer is loaded under a task"
            self.loads.append(int(dut.layer.value))
        self._loading = int(dut.load.value)
        fault = Fault(int(dut.fault.value))
        if fault != Fault.NONE:
            self.fault, self.fault_at = fault, int(dut.position.value)
        self.counts[self.own] = int(dut.completed.value)
        self.waited += int(dut.waiting.value)
        if self.want:
            done = self.want[: self.finished]
            assert int(dut.completed.value) == sum(issue.counts for issue in done)
            assert int(dut.busy.value) == (self.finished < self.taken)
        if int(dut.o__valid.value) and int(dut.o__ready.value):
            self.take()
        self.finished += self._done

    def take(self) -> None:
        """The task that comes is the one that is due, and all that it waits for has come."""
        issue = self.want[self.taken]
        task = self.tasks[issue.position]
        assert int(self.dut.position.value) == issue.position
        got = packed(WORK).unpack(int(self.dut.o__payload.value))
        assert got["span"] == issue.span, f"task {issue.position} is of span {got['span']}"
        for name in ("tile", "place", "keep", "step"):
            assert got[name] == task[name]
        assert self.loads[-1] == task["layer"]
        for name, count in zip(ENGINES, self.counts, strict=True):
            assert count >= task[f"wait_{name}"], f"task {issue.position} did not wait for {name}"
        if task["fence"] or task["loop"]:
            assert self.finished == self.taken, f"task {issue.position} did not wait until idle"
        self.taken += 1

    def draw(self, count: int) -> list[dict[str, int]]:
        """Random tasks, some of them in loops; they wait for others, and for their own engine."""
        rng = self.rng
        tasks: list[dict[str, int]] = []
        layer = completed = 0  # tasks that are completed before a loop begins
        left = 0  # of a loop
        for n in range(count):
            begins = not left and rng.random() < 0.3
            if begins:
                left = rng.randint(1, min(4, count - n))
            if not left or begins:
                completed = n
            if rng.random() < 0.3:
                layer = rng.randrange(MACHINE.layers)
            waits = {f"wait_{name}": rng.randint(0, n) if rng.random() < 0.3 else 0
                     for name in ENGINES}  # fmt: skip
            waits[f"wait_{ENGINES[self.own]}"] = rng.choice([0, rng.randint(0, completed)])
            tasks.append({
                **waits, "layer": layer, "tile": rng.getrandbits(8),
                "place": rng.randrange(4), "keep": rng.randrange(2), "step": rng.randrange(2),
                "loop": int(begins), "again": int(left == 1), "fence": int(rng.random() < 0.2),
            })  # fmt: skip
            left = max(0, left - 1)
        return tasks

    async def start(
        self, tasks: list[dict[str, int]], *, dry_run: bool, spans: int, sets: int = 1
    ) -> None:
        dut = self.dut
        self.tasks = tasks
        shape = packed(TASK)
        self.words.clear()
        self.words |= {n: shape.pack(task) for n, task in enumerate(tasks)}
        dut.batch.value = packed(BATCH).pack(sets=sets, spans=spans, blocks=sets * spans)
        await self.tick(2)
        self.taken = self.finished = 0
        self.fault = Fault.NONE
        dut.begin.value, dut.end.value = 0, len(tasks)
        dut.dry_run.value, dut.start.value = dry_run, 1
        await self.tick()
        dut.start.value = 0
        self.counts = [0, 0, 0]
        self.want = [] if dry_run else issues(tasks, spans)
        await self.tick()

    async def finish(self) -> None:
        await self.until(lambda: not int(self.dut.running.value), 50_000)
        self.want = []


def of(**fields: int) -> dict[str, int]:
    names = ("loop", "again", "place", "keep", "step", "tile", "layer", "fence")
    waits = [f"wait_{name}" for name in ENGINES]
    return dict.fromkeys((*names, *waits), 0) | fields


@cocotb.test()
async def loops(dut):
    """Tasks in order, those of a loop again and again, a span each; none before its tokens are
    there, with a fence none before the engine is idle. Loops count in their last span."""
    bench = QueueBench(dut, 1)
    await bench.reset()
    seen = set()
    for n in range(40):
        spans = bench.rng.choice([1, 2, 3, 5])
        tasks = bench.draw(bench.rng.randint(1, 16))
        bench.pace = 0.02 if n % 4 == 0 else 0.3
        if bench.rng.random() < 0.5:
            await bench.start(tasks, dry_run=True, spans=spans)
            await bench.finish()
            assert bench.fault == Fault.NONE
            assert int(bench.dut.completed.value) == len(tasks)
        await bench.start(tasks, dry_run=False, spans=spans)
        wanted = len(bench.want)
        await bench.finish()
        assert bench.taken == bench.finished == wanted
        assert int(bench.dut.completed.value) == len(tasks)
        seen |= {(t["loop"], t["again"], spans > 1) for t in tasks}
    assert len(seen) == 8
    assert bench.waited, "no task had to wait"


@cocotb.test()
async def loops_of_one_task(dut):
    """Several of them follow each other, each with all of its spans."""
    bench = QueueBench(dut, 2)
    await bench.reset()
    for dry_run in (True, False, False):
        tasks = [of(tile=n, loop=1, again=1, step=1) for n in range(3)]
        await bench.start(tasks, dry_run=dry_run, spans=3)
        await bench.finish()
        assert int(bench.dut.completed.value) == 3
        assert bench.taken == (0 if dry_run else 9)


@cocotb.test()
async def loads_once(dut):
    """A layer is loaded before its first task, and again after another's: not for each span."""
    bench = QueueBench(dut, 3)
    await bench.reset()
    for layers, loads in (((1, 1), 1), ((1, 2), 6)):
        tasks = [of(layer=n) for n in layers]
        tasks[0]["loop"] = tasks[-1]["again"] = 1
        bench.loads.clear()
        await bench.start(tasks, dry_run=False, spans=3)
        await bench.finish()
        assert len(bench.loads) == loads


@cocotb.test()
async def loads_early(dut):
    """A layer is loaded while its task waits for others, but not under a task before it."""
    bench = QueueBench(dut, 7)
    await bench.reset()
    other = next(name for name in ENGINES if name != ENGINES[bench.own])
    for before in (0, 1):
        tasks = [of(layer=1)] * before + [of(layer=2, **{f"wait_{other}": 40})]
        bench.loads.clear()
        await bench.start(tasks, dry_run=False, spans=1)
        await bench.until(lambda: int(bench.dut.waiting.value) and bench.taken == bench.finished)
        await bench.until(lambda: bench.loads[-1:] == [2] and int(bench.dut.waiting.value))
        assert bench.counts[ENGINES.index(other)] < 40
        assert bench.taken == before
        await bench.finish()
        assert bench.loads == [1] * before + [2]


@cocotb.test()
async def places(dut):
    """A place beyond those that there are is refused, with a place for each set if it is kept."""
    bench = QueueBench(dut, 4)
    await bench.reset()
    last = MACHINE.states - 1
    for place, keep, sets, good in (
        (last, 0, 1, True), (last, 0, 9, True), (last + 1, 0, 1, False), (1023, 0, 1, False),
        (last, 1, 1, True), (last, 1, 2, False), (0, 1, last + 1, True), (0, 1, last + 2, False),
        (1023, 1, 8191, False),
    ):  # fmt: skip
        await bench.start([of(), of(place=place, keep=keep)], dry_run=True, spans=1, sets=sets)
        await bench.finish()
        assert bench.fault == (Fault.NONE if good else Fault.PLACE), (place, keep, sets)
        assert good or bench.fault_at == 1


@cocotb.test()
async def loops_that_are_none(dut):
    """A loop within another, an end without a beginning, and a beginning without an end."""
    bench = QueueBench(dut, 5)
    await bench.reset()
    begins, ends, both, plain = of(loop=1), of(again=1), of(loop=1, again=1), of()
    for tasks, at in (
        ([begins, plain, ends, plain, both, begins, ends], None),
        ([plain, ends], 1),
        ([begins, ends, ends], 2),
        ([both, ends], 1),
        ([begins, begins, ends], 1),
        ([begins, both], 1),
        ([begins], 1),
        ([plain, both, begins, plain], 4),
    ):
        await bench.start([dict(task) for task in tasks], dry_run=True, spans=2)
        await bench.finish()
        assert bench.fault == (Fault.NONE if at is None else Fault.LOOP), tasks
        assert at is None or bench.fault_at == at


@cocotb.test()
async def waits_within_a_loop(dut):
    """A task that waits for one of its own loop waits for ever, and the dry run finds it; in a
    batch of one span it need not."""
    bench = QueueBench(dut, 6)
    await bench.reset()
    own = f"wait_{ENGINES[bench.own]}"
    tasks = [of(loop=1), of(again=1, **{own: 1}), of(**{own: 2})]
    await bench.start(tasks, dry_run=True, spans=1)
    await bench.finish()
    await bench.start(tasks, dry_run=False, spans=1)
    await bench.finish()
    assert int(bench.dut.completed.value) == 3
    await bench.start(tasks, dry_run=True, spans=2)
    await bench.tick(200)
    assert int(bench.dut.waiting.value)
    assert int(bench.dut.position.value) == 1
    bench.dut.abort.value = 1
    await bench.finish()
    bench.dut.abort.value = 0
    # What comes after the loop may wait for all of it.
    tasks[1][own] = 0
    for dry_run in (True, False):
        await bench.start(tasks, dry_run=dry_run, spans=2)
        await bench.finish()
        assert int(bench.dut.completed.value) == 3


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("engine", ["fp", "wg"])
def test_queue(engine, simulated):
    """The coroutine holds for the queue of each end of the list of engines."""
    simulated(lambda: (Wrapped(TaskQueue(MACHINE)), "task_queue_bench", {"engine": engine}))
