"""An engine's queue of tasks: fetched in order, held back until their tokens are there, counted."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import LAYER_BITS, POSITION_BITS, TASK, TILE_BITS, WORD_BITS
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature


class TaskQueue(wiring.Component):
    """Works through a range of tasks.

    A task is issued when the other two engines have completed as many tasks of this run as it
    waits for. Counts only grow, so a token is never lost, taken twice or overtaken. Before the
    first task of another layer the engine runs empty, and the layer is loaded.

    A dry run checks every task and counts it as completed at once, without the engine. So a fault,
    and a wait that can never end, is found before anything is changed.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        super().__init__(
            {
                "start": In(1),  # one cycle, with `dry_run`, `begin` and `end`
                "dry_run": In(1),
                "begin": In(POSITION_BITS),
                "end": In(POSITION_BITS),
                "abort": In(1),  # ends a dry run; held until all queues are idle
                "tasks": Out(read_signature(WORD_BITS, machine.tasks)),
                "waits_first": In(POSITION_BITS),  # completed counts of the two others
                "waits_second": In(POSITION_BITS),
                "completed": Out(POSITION_BITS),
                "position": Out(POSITION_BITS),  # of the task in hand
                "load": Out(1),  # one cycle: load `layer`
                "layer": Out(LAYER_BITS),
                "load_done": In(1),
                "check": Out(1),  # one cycle: check the layer
                "check_done": In(1),
                "check_fault": In(Fault),
                "tile_valid": In(1),  # the layer has tile `o.payload`
                "o": Out(stream.Signature(TILE_BITS)),  # the tile to work on
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
        end, issued = Signal(POSITION_BITS), Signal(POSITION_BITS)
        task = Signal(TASK, reset_less=True)
        dry_run, layer_loaded = Signal(), Signal()  # loaded: the descriptor of `layer`
        fetching = Signal(range(READ_LATENCY + 1))
        tokens, finish, empty = Signal(), Signal(), Signal()
        exceeds_end, at_end = Signal(), Signal()
        m.d.comb += [
            self.tasks.addr.eq(position),
            self.o.payload.eq(task.tile),
            tokens.eq(
                (self.waits_first >= task.wait_first) & (self.waits_second >= task.wait_second)
            ),
            empty.eq(completed == issued),
            self.busy.eq(~empty),
            finish.eq(self.done),
        ]
        m.d.sync += exceeds_end.eq((position > end) | (end > machine.tasks))
        m.d.sync += at_end.eq(position == end)
        with m.If(finish):
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
                        end.eq(self.end),
                        issued.eq(0),
                        completed.eq(0),
                        layer_loaded.eq(0),
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
                with m.If((dry_run & self.tile_valid) | (self.o.valid & self.o.ready)):
                    m.d.comb += finish.eq(self.done | dry_run)
                    m.d.sync += [issued.eq(issued + 1), position.eq(position + 1)]
                    m.next = "FETCH"
        return m
