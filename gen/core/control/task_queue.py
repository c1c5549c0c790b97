"""An engine's queue of tasks: fetched in order, held back until their tokens are there, counted."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    BATCH,
    BLOCK_BITS,
    LAYER_BITS,
    PLACE_BITS,
    POSITION_BITS,
    TASK,
    TASK_BITS,
    TILE_BITS,
)
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


class TaskQueue(wiring.Component):
    """Works through a range of tasks.

    A task is issued when every engine has completed as many tasks of this run as it waits for.
    Counts only grow, so a token is never lost, taken twice or overtaken. Before the first task of
    another layer, of a loop, and of one with a fence, the engine runs empty.

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
                "tile_valid": In(1),  # the layer has tile `o.payload.tile`
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
        machine, position, completed = self._machine, self.position, self.completed
        begin, end = Signal(POSITION_BITS), Signal(POSITION_BITS)
        work = Signal(POSITION_BITS)  # tasks that are issued and not done
        task = Signal(TASK, reset_less=True)
        dry_run, layer_loaded = Signal(), Signal()  # loaded: the descriptor of `layer`
        fetching = Signal(range(READ_LATENCY + 1))
        tokens, ready, issue, empty = Signal(), Signal(), Signal(), Signal()
        exceeds_end, at_end = Signal(), Signal()
        # The loop that the task in hand is in, and its span.
        loop_begin, span = Signal(POSITION_BITS), Signal(BLOCK_BITS)
        last_span, repeats = Signal(), Signal()
        counted = Signal()  # what is in work counts as completed when it is done
        in_loop, misplaced = Signal(), Signal()
        m.d.comb += [
            self.tasks.addr.eq(position),
            *(self.o.payload[name].eq(task[name]) for name in ("tile", "place", "keep", "step")),
            self.o.payload.span.eq(span),
            tokens.eq(
                (self.counts[0] >= task.wait_fp)
                & (self.counts[1] >= task.wait_bp)
                & (self.counts[2] >= task.wait_wg)
            ),
            empty.eq(work == 0),
            ready.eq(empty | ~(task.fence | task.loop)),
            self.busy.eq(~empty),
            repeats.eq(task.again & ~last_span & ~dry_run),
        ]
        m.d.sync += [
            exceeds_end.eq((position > end) | (end > machine.tasks)),
            at_end.eq(position == end),
            last_span.eq(span + 1 >= self.batch.spans),
            misplaced.eq((task.place + Mux(task.keep, self.batch.sets, 1)) > machine.states),
            work.eq(work + (issue & ~dry_run) - self.done),
        ]
        with m.If(self.done & counted):
            m.d.sync += completed.eq(completed + 1)

        def stop(fault):
            m.d.comb += self.fault.eq(fault)
            m.next = "IDLE"

        with m.FSM() as fsm:
            m.d.comb += self.running.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += fetching.eq(0)
                with m.If(self.start):
                    m.d.sync += [
                        dry_run.eq(self.dry_run),
                        position.eq(self.begin),
                        begin.eq(self.begin),
                        end.eq(self.end),
                        completed.eq(0),
                        work.eq(0),  # what a reset has cut off may still have been done after it
                        layer_loaded.eq(0),
                        span.eq(0),
                        counted.eq(1),
                        in_loop.eq(0),
                    ]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += fetching.eq(fetching + 1)
                with m.If(self.abort):
                    m.next = "IDLE"
                with m.Elif(fetching == 0):
                    pass  # the comparisons are of the position before
                with m.Elif(dry_run & exceeds_end):
                    stop(Fault.QUEUE)
                with m.Elif(dry_run & at_end & in_loop):
                    stop(Fault.LOOP)
                with m.Elif(at_end):
                    with m.If(empty):
                        m.next = "IDLE"
                with m.Elif(fetching == READ_LATENCY):
                    m.d.sync += [task.eq(self.tasks.data), fetching.eq(0)]
                    m.next = "TOKENS"
            with m.State("TOKENS"):
                with m.If(self.abort):
                    m.next = "IDLE"
                with m.Elif(~tokens):
                    m.d.comb += self.waiting.eq(1)
                with m.Elif(~ready):
                    pass  # for the engine itself
                with m.Elif(layer_loaded & (self.layer == task.layer)):
                    m.next = "ISSUE"
                with m.Elif(empty):
                    m.d.sync += [self.layer.eq(task.layer), layer_loaded.eq(1)]
                    with m.If(task.layer >= machine.layers):
                        stop(Fault.LAYER)
                    with m.Else():
                        m.d.comb += self.load.eq(1)
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.check.eq(self.load_done & dry_run)
                with m.If(self.load_done):
                    m.next = "ISSUE"
                with m.If(self.check):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.check_done):
                    m.next = "ISSUE"
                    with m.If(self.check_fault != Fault.NONE):
                        stop(self.check_fault)
            with m.State("ISSUE"):
                m.d.comb += self.o.valid.eq(~dry_run)
                with m.If(dry_run & ~self.tile_valid):
                    stop(Fault.TILE)
                with m.Elif(dry_run & misplaced):
                    stop(Fault.PLACE)
                with m.Elif(dry_run & (Mux(task.loop, in_loop, task.again & ~in_loop))):
                    stop(Fault.LOOP)
                with m.Elif(dry_run | self.o.ready):
                    m.d.comb += issue.eq(1)
                    again = Mux(task.loop, position, loop_begin)
                    m.d.sync += position.eq(Mux(repeats, again, position + 1))
                    m.d.sync += in_loop.eq((in_loop | task.loop) & ~task.again)
                    with m.If(task.loop):
                        m.d.sync += [loop_begin.eq(position), counted.eq(last_span)]
                    with m.If(task.again):
                        m.d.sync += span.eq(Mux(repeats, span + 1, 0))
                    with m.If(dry_run & (task.again | last_span | ~(in_loop | task.loop))):
                        m.d.sync += completed.eq(position + 1 - begin)
                    m.next = "FETCH"
        return m
