"""The course of a queue, told by what it issues: which tasks are in work, and in which span."""

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib.data import View

from backspike.gen.core.layout import TASK
from backspike.gen.memory.rows import READ_LATENCY
from backspike.sim.proofs.bench import Bench, Inside


class Course:
    """What a `TaskQueue` has issued since its start, and the loop that it is in.

    A run is tried first, and nothing changes until it is over. So of a run it is assumed that its
    tasks come as the dry run has found them: no loop begins within a loop or ends without one, the
    queue's end is in none, and a loop that comes again has its first and its last task where they
    were. That a dry run finds all else is claimed.
    """

    def __init__(self, bench: Bench, queue: Inside, *, begin, end, spans, most: int):
        self.bench, self.queue = bench, queue
        self.begin, self.end, self.spans, self.most = begin, end, spans, most
        device = queue.component
        self.task, self.dry_run = View(TASK, Value.cast(queue["task"])), queue["dry_run"]
        self.issue = queue["issue"]
        self.fits = (begin <= end) & (end <= most)
        self.work = bench.count(device.o.valid & device.o.ready, device.done, most, "in_work")
        bench.given(~device.done | (self.work != 0))
        # Issued since the start, or since the begin of the loop's span: `since` tasks from `base`.
        self.base = Signal.like(device.position, name="base")
        self.since = Signal.like(device.position, name="since")
        self.in_loop = Signal(name="course_in_loop")
        self.last = Signal.like(device.position, name="loop_last")
        self.span = Signal.like(queue["span"], name="course_span")
        self.repeats = self.task.again & (self.span + 1 < spans) & ~self.dry_run
        self._count()
        self.returns = self.in_loop & ~queue["in_loop"]  # to the loop's first task
        self._given()

    def _count(self) -> None:
        m, device, task = self.bench.module, self.queue.component, self.task
        with m.If(self.issue):
            m.d.sync += self.since.eq(self.since + 1)
            with m.If(task.loop):
                m.d.sync += [self.base.eq(device.position), self.since.eq(1), self.in_loop.eq(1)]
            with m.If(task.again):
                m.d.sync += [self.last.eq(device.position), self.in_loop.eq(self.repeats)]
                m.d.sync += self.span.eq(Mux(self.repeats, self.span + 1, 0))
        with m.If(device.start):
            m.d.sync += [self.base.eq(self.begin), self.since.eq(0)]
            m.d.sync += [self.in_loop.eq(0), self.span.eq(0)]

    def _well(self, task, position) -> Value:
        """The task may stand where it stands."""
        once_more = self.in_loop & (self.span != 0)
        return (
            (task.loop == (self.returns | (task.loop & ~self.in_loop)))
            & (~task.again | self.in_loop | task.loop)
            & (~once_more | (task.again == (position == self.last)))
        )

    def _given(self) -> None:
        bench, queue, device = self.bench, self.queue, self.queue.component
        fetched = queue.state("FETCH") & (queue["fetching"] == READ_LATENCY) & ~self.dry_run
        inner = device.position != self.end
        bench.given(
            ~(fetched & inner)
            | self._well(View(TASK, device.tasks.data[: TASK.size]), device.position)
        )
        bench.given(~(fetched & ~inner) | ~self.in_loop)

    def claims(self) -> None:
        """How the queue's registers belong to its course, while it runs."""
        bench, m, queue = self.bench, self.bench.module, self.queue
        device, task = queue.component, self.task
        position, in_hand = device.position, ~queue.state("IDLE", "FETCH")
        ended = self.base + self.since
        bench.always(queue["work"] + queue["entered"] == self.work)
        bench.always(queue["work_empty"] == (queue["work"] == 0))
        with m.If(device.running):
            bench.always((queue["end"] == self.end) & (queue["begin"] == self.begin))
            bench.always((queue["span"] == self.span) & (self.in_loop | (self.span == 0)))
            bench.always(~queue["in_loop"] | self.in_loop)
            bench.always(~self.in_loop | (self.since != 0))
            bench.always(~self.in_loop | (queue["loop_begin"] == self.base))
            bench.always(~self.returns | (~self.dry_run & (position == self.base)))
            bench.always(~self.returns | ((self.span != 0) & (self.last + 1 == ended)))
            bench.always(self.returns | (position == ended))
            bench.always((self.span == 0) | (self.span < self.spans))
            once_more = self.in_loop & (self.span != 0)
            before_last = Mux(queue.state("FETCH"), self.returns | (position <= self.last), 1)
            bench.always(~once_more | ((self.base <= self.last) & before_last))
            bench.always(~once_more | (position <= self.last))
            with m.If(in_hand):
                bench.always(queue["last_span"] == (self.span + 1 >= self.spans))
                bench.always(self.dry_run | self._well(task, position))
            with m.If(queue.state("LOAD", "CHECK", "ISSUE") & (task.fence | task.loop)):
                bench.always(self.work == 0)
            with m.If(queue.state("LOAD", "CHECK")):
                bench.always(self.work == 0)  # a queue runs empty before it changes layers
            with m.If(self.fits):
                bench.always((self.begin <= self.base) & (ended <= self.end))
                bench.always(queue.state("FETCH") | (position < self.end))
            with m.Else():
                bench.always(self.dry_run & (position == self.begin) & queue.state("FETCH"))
                bench.always((self.since == 0) & (self.base == self.begin))
            self._completed(ended)
        with m.Else():
            bench.always(self.work == 0)
        self._fetching()

    def _completed(self, ended) -> None:
        """What is counted as completed, in a dry run and in a run."""
        bench, m, queue = self.bench, self.bench.module, self.queue
        completed, many = queue.component.completed, self.spans > 1
        before = self.base - self.begin
        with m.If(self.dry_run):
            bench.always((self.work == 0) & (self.span == 0))
            bench.always(completed == Mux(self.in_loop & many, before, ended - self.begin))
        with m.Else():
            last = ~self.in_loop | (~self.returns & (self.span + 1 >= self.spans))
            bench.always((queue["counted"] == last) & (self.work <= self.since))
            bench.always(
                completed + Mux(last, self.work, 0) == Mux(last, ended - self.begin, before)
            )

    def _fetching(self) -> None:
        bench, queue, position = self.bench, self.queue, self.queue.component.position
        fetching, end = queue["fetching"], queue["end"]
        bench.always(queue.state("IDLE", "FETCH") | (fetching == 0))
        known = (position == end) | ~queue.state("FETCH")
        bench.always((fetching <= READ_LATENCY) | known)
        with bench.module.If(queue.state("FETCH") & (fetching != 0)):
            bench.always(queue["at_end"] == (position == end))
            bench.always(queue["exceeds_end"] == ((position > end) | (end > self.most)))
