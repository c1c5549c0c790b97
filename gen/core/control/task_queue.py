"""An engine's queue of tasks: fetched in order, held back until their tokens are there, counted."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    BATCH,
    BLOCK_BITS,
    COUNT_BITS,
    LAYER_BITS,
    PLACE_BITS,
    POSITION_BITS,
    TASK,
    TASK_BITS,
    TILE_BITS,
)
from backspike.gen.core.shared.bitops import exceeds
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature
from backspike.ir.constants import ENGINES

WORK = data.StructLayout(
    {
        "tile": TILE_BITS,  # of neurons
        "place": PLACE_BITS,  # see TASK
        "keep": 1,
        "step": 1,  # one span only
        "span": BLOCK_BITS,  # this one, in the engine's order
    }
)
"""What an engine is told of a task."""


class Registers:
    """What a queue keeps while it runs."""

    def __init__(self):
        self.begin = Signal(POSITION_BITS)
        self.end = Signal(POSITION_BITS)
        self.dry_run = Signal()
        self.fetching = Signal(range(READ_LATENCY + 1))
        self.task = Signal(TASK, reset_less=True)  # in hand
        self.layer_loaded = Signal()  # the descriptor of `layer` is
        self.layer_same = Signal()  # it is the layer of the task in hand
        # Tasks that are issued and not done: how many but for the last one, if `entered`, and
        # whether there are none.
        self.work = Signal(POSITION_BITS)
        self.entered = Signal()  # one was issued in the cycle before
        self.work_empty = Signal(init=1)  # there is none in `work`
        self.counted = Signal()  # what is in work counts as completed when it is done
        # The loop that the task in hand is in, and its span.
        self.in_loop = Signal()
        self.loop_begin = Signal(POSITION_BITS)
        self.span = Signal(BLOCK_BITS)


class Conditions:
    """What a queue knows of the task in hand."""

    def __init__(self):
        self.tokens = Signal()  # all are there
        self.empty = Signal()  # the engine is
        self.ready = Signal()  # the engine is, if the task wants it to be
        self.repeats = Signal()  # the loop's first task comes after it
        self.issue = Signal()
        # Of registers, a cycle late.
        self.exceeds_end = Signal()
        self.at_end = Signal()
        self.last_span = Signal()
        self.misplaced = Signal()


class TaskQueue(wiring.Component):
    """Works through a range of tasks.

    A task is issued when every engine has completed as many tasks of this run as it waits for.
    Counts only grow, so a token is never lost, taken twice or overtaken. Before the first task of
    another layer, of a loop, and of one with a fence, the engine runs empty. Another layer is
    loaded while its task waits.

    Tasks of a loop are issued again for each span of the batch, and count as completed in the last
    one: whatever is in work is of one span. A loop must end before another begins.

    A dry run checks every task and counts it as completed at once, without the engine; loops are
    gone through once, and if a batch has several spans, their tasks are counted when they end: in
    the first span nobody can wait for them. So a fault, and a wait that can never end, is found
    before anything is changed.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        super().__init__(
            {
                "start": In(1),  # one cycle, with `dry_run`, `begin` and `end`
                "dry_run": In(1),
                "begin": In(POSITION_BITS),
                "end": In(POSITION_BITS),
                "batch": In(BATCH),  # constant while a run lasts
                "abort": In(1),  # ends a dry run; held until all queues are idle
                "tasks": Out(read_signature(TASK_BITS, machine.tasks)),
                "counts": In(POSITION_BITS).array(len(ENGINES)),  # completed, of every engine
                "completed": Out(POSITION_BITS),
                "position": Out(POSITION_BITS),  # of the task in hand
                "load": Out(1),  # one cycle: load `layer`
                "layer": Out(LAYER_BITS),
                "load_done": In(1),
                "check": Out(1),  # one cycle: check the layer
                "check_done": In(1),
                "check_fault": In(Fault),
                "tile_valid": In(1),  # the layer has tile `o.payload.tile`; a cycle after it
                "o": Out(stream.Signature(WORK)),
                "done": In(1),  # the engine has finished a task (one cycle)
                "busy": Out(1),  # a task is in work
                "running": Out(1),
                "waiting": Out(1),  # for a token
                "fault": Out(Fault),  # one cycle, dry runs only
            }
        )

    def elaborate(self, platform):
        m = Module()
        r = Registers()
        now = self._conditions(m, r)
        with m.FSM() as fsm:
            m.d.comb += self.running.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += r.fetching.eq(0)
                with m.If(self.start):
                    self._begin(m, r)
                    m.next = "FETCH"
            with m.State("FETCH"):
                self._fetch(m, r, now)
            with m.State("TOKENS"):
                self._wait(m, r, now)
            with m.State("LOAD"):
                m.d.comb += self.check.eq(self.load_done & r.dry_run)
                with m.If(self.load_done):
                    m.next = "TOKENS"
                with m.If(self.load_done & now.tokens):
                    m.next = "ISSUE"
                with m.If(self.check):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.check_done):
                    m.next = "TOKENS"
                    with m.If(self.check_fault != Fault.NONE):
                        self._stop(m, self.check_fault)
            with m.State("ISSUE"):
                self._issue(m, r, now)
        return m

    def _conditions(self, m: Module, r: Registers) -> Conditions:
        """What is known of the task in hand in every cycle, and what is counted."""
        task, position, machine = r.task, self.position, self._machine
        now = Conditions()
        m.d.comb += [
            self.tasks.addr.eq(position),
            *(self.o.payload[name].eq(task[name]) for name in ("tile", "place", "keep", "step")),
            self.o.payload.span.eq(r.span),
            now.tokens.eq(
                (self.counts[0] >= task.wait_fp)
                & (self.counts[1] >= task.wait_bp)
                & (self.counts[2] >= task.wait_wg)
            ),
            now.empty.eq(r.work_empty & ~r.entered),
            now.ready.eq(now.empty | ~(task.fence | task.loop)),
            self.busy.eq(~now.empty),
            now.repeats.eq(task.again & ~now.last_span & ~r.dry_run),
        ]
        m.d.sync += [
            now.exceeds_end.eq((position > r.end) | exceeds(r.end, machine.tasks)),
            now.at_end.eq(position == r.end),
            now.last_span.eq(r.span + 1 >= self.batch.spans),
            now.misplaced.eq(
                exceeds(task.place + Mux(task.keep, self.batch.sets, 1), machine.states)
            ),
            r.entered.eq(now.issue & ~r.dry_run),
            r.work.eq(
                r.work + Cat(r.entered ^ self.done, (self.done & ~r.entered).replicate(COUNT_BITS))
            ),
        ]
        with m.If(r.entered & ~self.done):
            m.d.sync += r.work_empty.eq(0)
        with m.If(~r.entered & self.done & (r.work == 1)):
            m.d.sync += r.work_empty.eq(1)
        with m.If(self.done & r.counted):
            m.d.sync += self.completed.eq(self.completed + 1)
        return now

    def _stop(self, m: Module, fault) -> None:
        m.d.comb += self.fault.eq(fault)
        m.next = "IDLE"

    def _begin(self, m: Module, r: Registers) -> None:
        """A run's registers as it starts."""
        m.d.sync += [
            r.dry_run.eq(self.dry_run),
            self.position.eq(self.begin),
            r.begin.eq(self.begin),
            r.end.eq(self.end),
            self.completed.eq(0),
            r.work.eq(0),  # what a reset has cut off may still have been done after it
            r.work_empty.eq(1),
            r.layer_loaded.eq(0),
            r.span.eq(0),
            r.counted.eq(1),
            r.in_loop.eq(0),
        ]

    def _fetch(self, m: Module, r: Registers, now: Conditions) -> None:
        """Takes the next task out of the memory, or ends."""
        fetching = r.fetching
        m.d.sync += fetching.eq(fetching + 1)
        with m.If(self.abort):
            m.next = "IDLE"
        with m.Elif(fetching == 0):
            pass  # the comparisons are of the position before
        with m.Elif(r.dry_run & now.exceeds_end):
            self._stop(m, Fault.QUEUE)
        with m.Elif(r.dry_run & now.at_end & r.in_loop):
            self._stop(m, Fault.LOOP)
        with m.Elif(now.at_end):
            with m.If(now.empty):
                m.next = "IDLE"
        with m.Elif(fetching == READ_LATENCY):
            task = data.View(TASK, self.tasks.data[: TASK.size])
            m.d.sync += [
                r.task.eq(task),
                r.layer_same.eq(task.layer == self.layer),
                fetching.eq(0),
            ]
            m.next = "TOKENS"

    def _wait(self, m: Module, r: Registers, now: Conditions) -> None:
        """Has the task's layer loaded as soon as the engine is empty, and waits for its tokens."""
        layer = r.task.layer
        loaded = r.layer_loaded & r.layer_same
        with m.If(self.abort):
            m.next = "IDLE"
        with m.Elif(now.empty & ~loaded):
            m.d.sync += [self.layer.eq(layer), r.layer_loaded.eq(1), r.layer_same.eq(1)]
            with m.If(layer >= self._machine.layers):
                self._stop(m, Fault.LAYER)
            with m.Else():
                m.d.comb += self.load.eq(1)
                m.next = "LOAD"
        with m.Elif(~now.tokens):
            m.d.comb += self.waiting.eq(1)
        with m.Elif(now.ready & loaded):  # else for the engine itself
            m.next = "ISSUE"

    def _issue(self, m: Module, r: Registers, now: Conditions) -> None:
        """Hands the task to the engine, and goes on to the next one; a dry run only looks at it."""
        task, dry_run, position = r.task, r.dry_run, self.position
        m.d.comb += self.o.valid.eq(~dry_run)
        with m.If(dry_run & ~self.tile_valid):
            self._stop(m, Fault.TILE)
        with m.Elif(dry_run & now.misplaced):
            self._stop(m, Fault.PLACE)
        with m.Elif(dry_run & (Mux(task.loop, r.in_loop, task.again & ~r.in_loop))):
            self._stop(m, Fault.LOOP)
        with m.Elif(dry_run | self.o.ready):
            m.d.comb += now.issue.eq(1)
            again = Mux(task.loop, position, r.loop_begin)
            m.d.sync += position.eq(Mux(now.repeats, again, position + 1))
            m.d.sync += r.in_loop.eq((r.in_loop | task.loop) & ~task.again)
            with m.If(task.loop):
                m.d.sync += [r.loop_begin.eq(position), r.counted.eq(now.last_span)]
            with m.If(task.again):
                m.d.sync += r.span.eq(Mux(now.repeats, r.span + 1, 0))
            with m.If(dry_run & (task.again | now.last_span | ~(r.in_loop | task.loop))):
                m.d.sync += self.completed.eq(position + 1 - r.begin)
            m.next = "FETCH"
