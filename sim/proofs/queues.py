"""Queues of tasks: nothing overflows, and no task begins before its tokens are there."""

from amaranth.hdl import Cat, Signal, Value
from amaranth.lib.data import View

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.layout import BATCH, POSITION_BITS, TASK
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.proofs.bench import Bench, Inside
from backspike.sim.proofs.proof import Bug, Load, Proof

TASKS = 1024
"""The longest queue that a machine may have: that of the proofs."""
MACHINE = Machine(name="proof", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=4, units=4,
                  spike_units=4, readout_units=4, layers=4, tasks=TASKS)  # fmt: skip
COUNTED = 2
"""Bits of a number of blocks, one a cycle; nothing but the time it takes depends on it."""
KIND = UPDATE
"""The engine with the shortest descriptor; engines' queues differ in nothing else."""


class Queue:
    """Run control and a queue, with an engine that takes tasks and completes them when it likes.

    The two other queues are arbitrary: they run, wait, fail and count as they like. Tasks and
    descriptors are arbitrary, too, and so are the registers, except that they stay as they are
    from the doorbell to the run's end (the register file's lock), and that a change of anything is
    told (`changed`).
    """

    def __init__(self, load: Load):
        self.bench = bench = Bench()
        module = load("core.control.dispatch")
        module.TaskQueue = load("core.control.task_queue").TaskQueue
        module.DescriptorLoader = load("core.control.descriptor_loader").DescriptorLoader
        first = ENGINES.index(KIND.name)
        wired = ("doorbell", "changed", "batch", "queues_running", "queues_waiting", "faults",
                 "positions")  # fmt: skip
        run = load("core.control.run")
        run.BLOCK_BITS = COUNTED  # so long the blocks are counted, before anything is tried
        self.control = bench.device(run.RunControl(), "control", wired=wired)
        wired = ("start", "dry_run", "abort", "begin", "end", "batch", "done")
        whole = bench.device(module.Dispatcher(MACHINE, KIND), "queue", wired=wired)
        self.device = queue = whole.component
        self.inside, loader, check = (whole.part(name) for name in ("queue", "loader", "check"))
        control, m = self.control.component, bench.module
        begin, end = (bench.free(Signal(POSITION_BITS, name=name)) for name in ("begin", "end"))
        batch, written = bench.free(Signal(BATCH)), bench.free(Signal(name="written"))
        bench.free(control.doorbell)
        configuration = Cat(batch, begin, end)
        before = bench.past(configuration, "configuration_before")
        locked = bench.past(control.busy | control.doorbell, "locked")
        bench.given(~locked | (configuration == before))
        bench.given(~(control.busy & written))
        running = bench.free(Signal(len(ENGINES), name="others_running"))
        waiting = bench.free(Signal(len(ENGINES), name="others_waiting"))
        m.d.comb += [
            control.batch.eq(batch),
            control.changed.eq((configuration != before) | written),
            queue.start.eq(control.go),
            queue.dry_run.eq(control.dry_run),
            queue.abort.eq(control.abort),
            queue.begin.eq(begin),
            queue.end.eq(end),
            queue.batch.eq(batch),
            control.queues_running.eq(running),
            control.queues_running[first].eq(queue.running),
            control.queues_waiting.eq(waiting),
            control.queues_waiting[first].eq(queue.waiting),
        ]
        for n in range(len(ENGINES)):
            fault, position = bench.free(Signal(4, name="fault")), bench.free(Signal(POSITION_BITS))
            own = n == first
            m.d.comb += [
                Value.cast(control.faults[n]).eq(Value.cast(queue.fault) if own else fault),
                control.positions[n].eq(queue.position if own else position),
            ]
        self.begin, self.end = begin, end
        bench.free(queue.done)
        self.issues = queue.o.valid & queue.o.ready
        self.work = bench.count(self.issues, queue.done, TASKS, "work")
        bench.given(~queue.done | (self.work != 0))
        self._registers(loader, check)

    def _registers(self, loader: Inside, check: Inside) -> None:
        """How the registers belong together."""
        bench, queue, control = self.bench, self.device, self.control.component
        begin, end, first = self.begin, self.end, ENGINES.index(KIND.name)
        issued, dry_run = self.inside["issued"], self.inside["dry_run"]
        self.fits = (begin <= end) & (end <= TASKS)
        with bench.module.If(queue.running):
            bench.always(control.busy & (self.inside["end"] == end))
            bench.always(queue.position == begin + issued)
            bench.always(dry_run == ~control.running)
            bench.always(~self.control.state("COUNT", "CALL", "START"))
            with bench.module.If(dry_run):
                bench.always((self.work == 0) & (queue.completed == issued))
            with bench.module.If(self.fits):
                bench.always((issued <= end - begin) & (queue.position <= end))
                bench.always(self.inside.state("FETCH") | (queue.position < end))
            with bench.module.Else():
                bench.always(dry_run & (issued == 0) & self.inside.state("FETCH"))
            with bench.module.If(self.inside.state("LOAD", "CHECK")):
                bench.always(self.work == 0)  # a queue runs empty before it changes layers
        with bench.module.Else():
            bench.always(self.work == 0)
        bench.always(loader["loading"] == self.inside.state("LOAD"))
        bench.always(check.state("IDLE") == ~self.inside.state("CHECK"))
        # What runs was checked, since it was changed last.
        starts = self.control.state("START")
        bench.always(control.go == starts)
        bench.always(~self.control.state("COUNT") | control.dry_run)
        bench.always(control.busy == ~self.control.state("IDLE"))
        bench.always(~(control.running | control.begins | (starts & ~control.dry_run)) | self.fits)
        bench.always(~(self.control["validated"] & ~control.changed) | self.fits)
        refused = self.control[f"fault{first}"].any()
        bench.always(~(self.control.state("DRY_RUN") & ~queue.running) | self.fits | refused)
        fetching, at_end = self.inside["fetching"], self.inside["at_end"]
        bench.always(self.inside.state("IDLE", "FETCH") | (fetching == 0))
        with bench.module.If(self.inside.state("FETCH") & (fetching != 0)):
            bench.always(at_end == (queue.position == self.inside["end"]))
            bench.always(
                self.inside["exceeds_end"]
                == ((queue.position > self.inside["end"]) | (self.inside["end"] > TASKS))
            )
        bench.always(queue.completed + self.work == issued)


def counts(load: Load) -> Bench:
    """No counter ever exceeds the queue, and its tasks are issued one by one."""
    queue = Queue(load)
    bench, inside = queue.bench, queue.inside
    device, control = queue.device, queue.control.component
    issued = inside["issued"]
    bench.always((device.completed <= issued) & (issued <= TASKS))
    bench.always(device.busy == (queue.work != 0))
    bench.always(~device.o.valid | control.running)
    bench.kept(device.o)
    bench.possible(control.running & device.running & (queue.begin == 7))
    return bench


def tokens(load: Load) -> Bench:
    """A task is issued as the memory has it, with its layer loaded and all its tokens there."""
    queue = Queue(load)
    bench, inside, m = queue.bench, queue.inside, queue.bench.module
    device = queue.device
    # Any place of the task memory holds any word, for ever; the memory takes READ_LATENCY cycles.
    place, held = bench.constant(10, "place"), bench.constant(32, "held")
    word = View(TASK, held)
    asked, addresses = device.tasks.addr, []
    for n in range(READ_LATENCY):
        asked = bench.past(asked, f"asked{n}")
        addresses.append(asked)
    bench.given((addresses[-1] != place) | (device.tasks.data == held))
    # The others' counts only grow while a run lasts: `queue-counts`.
    for count in (device.waits_first, device.waits_second):
        runs = bench.past(device.running, "runs")
        bench.given(~runs | (count >= bench.past(count, "count_before")))

    here = device.running & (device.position == place)
    there = (device.waits_first >= word.wait_first) & (device.waits_second >= word.wait_second)
    with m.If(here):
        with m.If(inside.state("FETCH")):
            with m.If(device.position != queue.end):
                for n, address in enumerate(addresses):
                    bench.always((inside["fetching"] <= n) | (address == place))
                bench.always(inside["fetching"] <= READ_LATENCY)
        with m.Else():
            bench.always(Value.cast(inside["task"]) == held)
        with m.If(inside.state("LOAD", "CHECK", "ISSUE")):
            bench.always(there & inside["layer_loaded"] & (inside.component.layer == word.layer))
        with m.If(device.o.valid):
            bench.always(there & (device.o.payload == word.tile))
    # A layer's descriptor changes only while the engine has nothing to do.
    config = Value.cast(device.config)
    changed = config != bench.past(config, "config_before")
    bench.always(~(changed & bench.past(1, "begun")) | (queue.work == 0))
    bench.possible(here & inside.state("LOAD") & (place == 5) & (word.wait_first == 3))
    return bench


PROOFS = (
    Proof(
        name="queue-counts",
        claim="completed <= issued <= the queue's tasks <= 1024: no counter of a queue overflows",
        bench=counts,
        depth=4,
        search=18,
        cut="t:$mul",  # the extents of layers
        bugs=(
            Bug(
                "a queue may end before it begins",
                "core.control.task_queue",
                "((position > end) | (end > machine.tasks))",
                "(end > machine.tasks)",
            ),
            Bug(
                "a queue that was changed is not tried again",
                "core.control.run",
                "self.dry_run.eq(~validated | self.changed)",
                "self.dry_run.eq(~validated)",
            ),
            Bug(
                "a queue may be longer than its memory",
                "core.control.task_queue",
                "((position > end) | (end > machine.tasks))",
                "(position > end)",
            ),
        ),
    ),
    Proof(
        name="queue-tokens",
        claim="a task is issued as it stands in the memory, its layer loaded, and not before the "
        "other engines have completed as many tasks as it waits for",
        bench=tokens,
        depth=4,
        search=16,
        cut="t:$mul",
        bugs=(
            Bug(
                "only one of the two tokens is waited for",
                "core.control.task_queue",
                "(self.waits_first >= task.wait_first) & (self.waits_second >= task.wait_second)",
                "self.waits_first >= task.wait_first",
            ),
            Bug(
                "the word is taken a cycle early",
                "core.control.task_queue",
                "with m.Elif(fetching == READ_LATENCY):",
                "with m.Elif(fetching == READ_LATENCY - 1):",
            ),
        ),
    ),
)
