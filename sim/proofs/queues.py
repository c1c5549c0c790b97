"""Queues of tasks: nothing overflows, and no task begins before its tokens are there."""

from dataclasses import replace

from amaranth.hdl import Cat, Signal, Value
from amaranth.lib.data import View

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.layout import (
    BATCH,
    BLOCK_BITS,
    COUNT_BITS,
    POSITION_BITS,
    TASK,
    TASK_BITS,
)
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.proofs.bench import Bench, Inside
from backspike.sim.proofs.course import Course
from backspike.sim.proofs.proof import Bug, Load, Proof

TASKS = 1024
"""The longest queue that a machine may have: that of the proofs."""
MACHINE = Machine(name="proof", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=4, units=4,
                  spike_units=4, readout_units=4, layers=4, tasks=TASKS)  # fmt: skip
COUNTED = 2
"""Bits of a number of blocks, one a cycle; nothing but the time it takes depends on it."""
KIND = UPDATE
"""The engine with the shortest descriptor; engines' queues differ in nothing else."""
FIRST = ENGINES.index(KIND.name)
QUEUE = "core.control.task_queue"


def enough(counts, task) -> Value:
    """Every engine has completed as many tasks as the task waits for."""
    waits = [task[f"wait_{name}"] for name in ENGINES]
    return Cat(count >= wait for count, wait in zip(counts, waits, strict=True)).all()


class Queue:
    """Run control and a queue, with an engine that takes tasks and completes them when it likes.

    The two other queues are arbitrary: they run, wait, fail and count as they like. Tasks and
    descriptors are arbitrary, too (but see `Course`), and so are the registers, except that they
    stay as they are from the doorbell to the run's end (the register file's lock), and that a
    change of anything is told (`changed`).
    """

    def __init__(self, load: Load):
        self.bench = bench = Bench()
        module = load("core.control.dispatch")
        module.TaskQueue = load(QUEUE).TaskQueue
        module.DescriptorLoader = load("core.control.descriptor_loader").DescriptorLoader
        wired = ("doorbell", "changed", "batch", "queues_running", "queues_waiting", "faults",
                 "positions")  # fmt: skip
        run = load("core.control.run")
        run.BLOCK_BITS = COUNTED  # so long the blocks are counted, before anything is tried
        self.control = bench.device(run.RunControl(), "control", wired=wired)
        wired = ("start", "dry_run", "abort", "begin", "end", "batch", "done", "counts")
        whole = bench.device(module.Dispatcher(MACHINE, KIND), "queue", wired=wired)
        self.device = queue = whole.component
        self.inside, loader, check = (whole.part(name) for name in ("queue", "loader", "check"))
        control, m = self.control.component, bench.module
        begin, end = (bench.free(Signal(POSITION_BITS, name=name)) for name in ("begin", "end"))
        self.begin, self.end = begin, end
        batch, written = bench.free(Signal(BATCH)), bench.free(Signal(name="written"))
        bench.free(control.doorbell)
        configuration = Cat(batch, begin, end)
        before = bench.past(configuration, "configuration_before")
        locked = bench.past(control.busy | control.doorbell, "locked")
        bench.given(~locked | (configuration == before))
        bench.given(~(control.busy & written))
        m.d.comb += [
            control.batch.eq(batch),
            control.changed.eq((configuration != before) | written),
            queue.start.eq(control.go),
            queue.dry_run.eq(control.dry_run),
            queue.abort.eq(control.abort),
            queue.begin.eq(begin),
            queue.end.eq(end),
            queue.batch.eq(batch),
        ]
        self._others()
        bench.free(queue.done)
        self.course = Course(
            bench, self.inside, begin=begin, end=end, spans=batch.spans, most=TASKS
        )
        self.course.claims()
        self._registers(loader, check)

    def _others(self) -> None:
        """The other queues."""
        bench, queue, control = self.bench, self.device, self.control.component
        m = bench.module
        running = bench.free(Signal(len(ENGINES), name="others_running"))
        waiting = bench.free(Signal(len(ENGINES), name="others_waiting"))
        m.d.comb += [
            control.queues_running.eq(running),
            control.queues_running[FIRST].eq(queue.running),
            control.queues_waiting.eq(waiting),
            control.queues_waiting[FIRST].eq(queue.waiting),
        ]
        for n in range(len(ENGINES)):
            fault, position, count = (
                bench.free(Signal(bits, name=name))
                for name, bits in (
                    ("fault", 4),
                    ("position", POSITION_BITS),
                    ("count", POSITION_BITS),
                )
            )
            own = n == FIRST
            m.d.comb += [
                Value.cast(control.faults[n]).eq(Value.cast(queue.fault) if own else fault),
                control.positions[n].eq(queue.position if own else position),
                queue.counts[n].eq(queue.completed if own else count),
            ]

    def _registers(self, loader: Inside, check: Inside) -> None:
        """How the registers of run control and queue belong together."""
        bench, queue, control = self.bench, self.device, self.control.component
        fits = self.course.fits
        with bench.module.If(queue.running):
            bench.always(control.busy & (self.inside["dry_run"] == ~control.running))
            bench.always(~self.control.state("COUNT", "CALL", "START"))
        # A descriptor is asked for word by word without a gap, and loaded when the last has come.
        under_way = Cat(loader["asking"], *(stage[0] for stage in loader["stages"]))
        bench.always(~under_way.any() | self.inside.state("LOAD"))
        for n in range(1, len(under_way) - 1):
            bench.always(under_way[n] | ~(under_way[:n].any() & under_way[n + 1 :].any()))
        loaded = loader.component.done
        bench.always(~loaded | (self.inside.state("LOAD") & ~under_way.any()))
        bench.always(check.state("IDLE") == ~self.inside.state("CHECK"))
        # What runs was checked, since it was changed last.
        starts = self.control.state("START")
        bench.always(control.go == starts)
        bench.always(~self.control.state("COUNT") | control.dry_run)
        bench.always(control.busy == ~self.control.state("IDLE"))
        bench.always(~(control.running | control.begins | (starts & ~control.dry_run)) | fits)
        bench.always(~(self.control["validated"] & ~control.changed) | fits)
        refused = self.control[f"fault{FIRST}"].any()
        bench.always(~(self.control.state("DRY_RUN") & ~queue.running) | fits | refused)


def counts(load: Load) -> Bench:
    """No counter ever exceeds the queue, and an engine works in runs only."""
    queue = Queue(load)
    bench, device, control = queue.bench, queue.device, queue.control.component
    bench.always(~device.running | (device.completed <= TASKS))
    bench.always(~(device.running & queue.course.fits) | (device.position <= queue.end))
    bench.always(device.busy == (queue.course.work != 0))
    bench.always(~device.o.valid | control.running)
    bench.kept(device.o)
    # A layer's descriptor changes only while the engine has nothing to do.
    config = Value.cast(device.config)
    changed = config != bench.past(config, "config_before")
    bench.always(~(changed & bench.past(1, "begun")) | (queue.course.work == 0))
    bench.possible(control.running & device.running & (queue.begin == 7))
    return bench


class Alone:
    """A queue alone, with a loader and a check that take as long as they like; it runs what was
    tried, and all else is arbitrary.

    tasks: how many it has at the most; spans: bits of their number; own: it is told its own count.
    """

    def __init__(self, load: Load, *, tasks: int, spans: int, own: bool = False):
        self.bench = bench = Bench()
        module = load(QUEUE)
        module.POSITION_BITS, module.BLOCK_BITS = tasks.bit_length(), spans
        queue = module.TaskQueue(replace(MACHINE, tasks=tasks))
        wired = ("begin", "end", "batch", *(("counts",) if own else ()))
        self.inside = bench.device(queue, "queue", wired=wired)
        self.device = device = self.inside.component
        m = bench.module
        self.begin, self.end = (
            bench.constant(len(device.begin), name) for name in ("begin", "end")
        )
        self.spans = bench.constant(spans, "spans")
        bench.given(self.spans != 0)
        m.d.comb += [
            device.begin.eq(self.begin),
            device.end.eq(self.end),
            device.batch.spans.eq(self.spans),
        ]
        bench.given(~(device.start & device.running))
        bench.given(~device.abort | self.inside["dry_run"])
        for n, count in enumerate(device.counts if own else ()):
            if n == FIRST:
                m.d.comb += count.eq(device.completed)
            else:
                bench.free(count)
        self.course = Course(
            bench, self.inside, begin=self.begin, end=self.end, spans=self.spans, most=tasks
        )
        bench.given(~device.start | device.dry_run | self.course.fits)
        bench.given(~(device.load_done & ~self.inside.state("LOAD")))
        self.course.claims()


def tokens(load: Load) -> Bench:
    """A task is issued as the memory has it, with its layer loaded and all its tokens there; with
    a fence, or at a loop's begin, only while nothing is in work, as a layer is loaded."""
    queue = Alone(load, tasks=TASKS, spans=BLOCK_BITS, own=True)
    bench, inside, device = queue.bench, queue.inside, queue.device
    m, work = bench.module, queue.course.work
    # Any place of the task memory holds any word, for ever; the memory takes READ_LATENCY cycles.
    place, held = bench.constant(COUNT_BITS, "place"), bench.constant(TASK_BITS, "held")
    word = View(TASK, held[: TASK.size])
    asked, addresses = device.tasks.addr, []
    for n in range(READ_LATENCY):
        asked = bench.past(asked, f"asked{n}")
        addresses.append(asked)
    bench.given((addresses[-1] != place) | (device.tasks.data == held))
    # The others' counts only grow while a run lasts: `queue-counts`.
    runs = bench.past(device.running, "runs")
    for n, count in enumerate(device.counts):
        if n != FIRST:
            bench.given(~runs | (count >= bench.past(count, f"count_before{n}")))

    here = device.running & (device.position == place)
    there = enough(device.counts, word)
    with m.If(here):
        with m.If(inside.state("FETCH")):
            with m.If(device.position != queue.end):
                for n, address in enumerate(addresses):
                    bench.always((inside["fetching"] <= n) | (address == place))
        with m.Else():
            bench.always(Value.cast(inside["task"]) == held[: TASK.size])
            bench.always(inside["layer_same"] == (device.layer == word.layer))
        with m.If(inside.state("LOAD", "CHECK", "ISSUE")):
            bench.always(inside["layer_loaded"] & (device.layer == word.layer))
        bench.always(~inside.state("ISSUE") | there)
        with m.If(device.o.valid):
            payload = device.o.payload
            bench.always(there & (payload.tile == word.tile) & (payload.place == word.place))
            bench.always((payload.keep == word.keep) & (payload.step == word.step))
            bench.always(~(word.fence | word.loop) | (work == 0))
    bench.always(~device.load | (work == 0))
    bench.possible(here & inside.state("LOAD") & ~there & (place == 1) & (word.layer == 3))
    bench.possible(here & device.o.valid & (place == 1) & (word.wait_fp == 3))
    return bench


PROOFS = (
    Proof(
        name="queue-counts",
        claim="completed <= the queue's tasks <= 1024, and no more are in work: no counter of a "
        "queue overflows; nothing runs that was not tried; a layer's descriptor changes while "
        "nothing is in work",
        bench=counts,
        depth=4,
        search=18,
        cut="t:$mul",  # the extents of layers
        bugs=(
            Bug(
                "a queue may end before it begins",
                QUEUE,
                "((position > r.end) | exceeds(r.end, machine.tasks))",
                "(exceeds(r.end, machine.tasks))",
            ),
            Bug(
                "a queue that was changed is not tried again",
                "core.control.run",
                "self.dry_run.eq(~validated | self.changed)",
                "self.dry_run.eq(~validated)",
            ),
            Bug(
                "a queue may be longer than its memory",
                QUEUE,
                "((position > r.end) | exceeds(r.end, machine.tasks))",
                "(position > r.end)",
            ),
        ),
    ),
    Proof(
        name="queue-tokens",
        claim="a task is issued as it stands in the memory, its layer loaded, and not before all "
        "engines have completed as many tasks as it waits for; with a fence, when its own engine "
        "is empty, which it also is when a layer is loaded",
        bench=tokens,
        depth=4,
        search=18,
        bugs=(
            Bug(
                "only two of the three tokens are waited for",
                QUEUE,
                "& (self.counts[1] >= task.wait_bp)",
                "",
            ),
            Bug(
                "the word is taken a cycle early",
                QUEUE,
                "with m.Elif(fetching == READ_LATENCY):",
                "with m.Elif(fetching == READ_LATENCY - 1):",
            ),
            Bug(
                "a layer is loaded while the engine has something to do",
                QUEUE,
                "m.Elif(now.empty & ~loaded)",
                "m.Elif(~loaded)",
            ),
            Bug(
                "a task whose layer is loaded waits for nothing more",
                QUEUE,
                "m.If(self.load_done & now.tokens)",
                "m.If(self.load_done)",
            ),
        ),
    ),
)
