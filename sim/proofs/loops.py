"""Loops of tasks: any task is issued once a span, and counts as completed in the last one."""

from amaranth.hdl import Mux, Signal

from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.course import Course
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.queues import QUEUE, Alone

FEW, SPAN_BITS = 16, 3
"""Tasks at the most, and bits of a number of spans, where loops are followed."""


class Followed:
    """One task, of any place: how often it was issued in a run, and how often it is done."""

    def __init__(self, bench: Bench, course: Course):
        self.bench, self.course = bench, course
        device = course.queue.component
        self.place = place = bench.constant(len(device.position) - 1, "place")
        self.turns = Signal(len(course.span) + 1, name="turns")
        self.in_work, self.looped = Signal(name="in_work"), Signal(name="looped")
        self.ahead = Signal.like(device.position, name="ahead")  # in work, and issued before it
        m = bench.module
        self.issued = course.issue & ~course.dry_run & (device.position == place)
        leaves = device.done & self.in_work & (self.ahead == 0)
        with m.If(device.done & self.in_work):
            m.d.sync += self.ahead.eq(self.ahead - 1)
        with m.If(leaves):
            m.d.sync += self.in_work.eq(0)
        with m.If(self.issued):
            m.d.sync += [self.turns.eq(self.turns + 1), self.in_work.eq(1)]
            m.d.sync += self.ahead.eq(course.work - device.done)
            m.d.sync += self.looped.eq(course.in_loop | course.task.loop)
        with m.If(device.start):
            m.d.sync += [self.turns.eq(0), self.in_work.eq(0), self.looped.eq(0)]

    def claims(self) -> None:
        """It has been done once or, in a loop, once a span, when it counts as completed."""
        bench, course, place = self.bench, self.course, self.place
        m, device = bench.module, course.queue.component
        ended = course.base + course.since
        every = Mux(self.looped, course.spans, 1)
        whole = (self.turns == every) & ~self.in_work
        with m.If(device.running & ~course.dry_run & (place >= course.begin)):
            bench.always(~(device.completed > place - course.begin) | whole)
            bench.always(self.turns <= course.spans)
            with m.If(place < course.base):
                bench.always(whole)
            with m.Elif(place < ended):  # issued in this span, or in the one before
                now = course.span + ~course.returns
                bench.always(self.turns == Mux(course.in_loop, now, every))
                bench.always(~course.in_loop | self.looped)
                left = ~self.in_work & (place + course.work < ended)
                there = (place + course.work == ended + self.ahead) & (self.ahead < course.work)
                bench.always(Mux(self.in_work, there, left))
            with m.Else():
                within = course.in_loop & (course.span != 0) & (place <= course.last)
                bench.always(~self.in_work & (self.turns == Mux(within, course.span, 0)))
                bench.always(~within | self.looped)


def loops(load: Load) -> Bench:
    """A loop's tasks are issued once a span, in order, and are completed in the last one.

    There are up to FEW tasks, and a batch has up to 7 spans: they are nothing but counted and
    compared.
    """
    queue = Alone(load, tasks=FEW, spans=SPAN_BITS)
    bench, course, device, spans = queue.bench, queue.course, queue.device, queue.spans
    m, begin, end = bench.module, queue.begin, queue.end
    followed = Followed(bench, course)
    followed.claims()
    # A dry run leaves no loop open, none within another, and none that only ends.
    task, in_loop = course.task, course.in_loop
    with m.If(course.issue & course.dry_run):
        bench.always(~(task.loop & in_loop) & (~task.again | task.loop | in_loop))
    over = bench.past(device.running & course.dry_run, "dry_ran") & ~device.running
    quiet = ~bench.past(device.fault.as_value().any() | device.abort, "refused")
    bench.always(~(over & quiet) | (~in_loop & (device.position == end)))
    with m.If(device.o.valid):
        bench.always((device.o.payload.span == course.span) & (course.span < spans))
    bench.kept(device.o)
    bench.possible(followed.issued & (followed.turns == 1) & (spans == 2))
    bench.possible(over & quiet & (end == 2) & (begin == 0))
    return bench


PROOFS = (
    Proof(
        name="queue-loops",
        claim="a loop's tasks are issued once for each span, in order, each span when the one "
        "before is done, and count as completed in the last; a dry run finds what is no loop, and "
        "counts a loop's tasks when it ends",
        bench=loops,
        depth=2,
        search=18,
        bugs=(
            Bug(
                "a fence waits for nothing",
                QUEUE,
                "ready.eq(now.empty | ~(task.fence | task.loop))",
                "ready.eq(now.empty | ~task.loop)",
            ),
            Bug(
                "a span begins while the one before is in work",
                QUEUE,
                "ready.eq(now.empty | ~(task.fence | task.loop))",
                "ready.eq(now.empty | ~task.fence)",
            ),
            Bug(
                "a loop of one task goes to where the last loop began",
                QUEUE,
                "again = Mux(task.loop, position, r.loop_begin)",
                "again = r.loop_begin",
            ),
            Bug(
                "the last span is left out",
                QUEUE,
                "last_span.eq(r.span + 1 >= self.batch.spans)",
                "last_span.eq(r.span + 2 >= self.batch.spans)",
            ),
            Bug(
                "tasks count as completed in every span",
                QUEUE,
                "counted.eq(now.last_span)",
                "counted.eq(1)",
            ),
            Bug(
                "a dry run counts a loop's tasks one by one",
                QUEUE,
                "(task.again | now.last_span | ~(r.in_loop | task.loop))",
                "1",
            ),
            Bug(
                "a loop may stay open at the queue's end",
                QUEUE,
                "m.Elif(r.dry_run & now.at_end & r.in_loop)",
                "m.Elif(0)",
            ),
        ),
    ),
)
