"""Run control: rehearse the queues, then run them; nothing runs that is not sound."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.dispatch import COUNT, Fault
from backspike.gen.core.layout import BATCH
from backspike.gen.machine import DEPTH
from backspike.ir.constants import ENGINES


class RunControl(wiring.Component):
    """Starts the engines' queues, first as a rehearsal (see `Dispatcher`), then in earnest.

    The rehearsal is left out as long as nothing has changed since the last one that passed.

    Ports: doorbell; changed: tasks, descriptors or the configuration were written; batch, from two
    cycles before the doorbell on; go (one cycle) with rehearse; abort; running, stuck, faults,
    positions: the queues', in ENGINES' order; busy: a run or rehearsal is under way; begins (one
    cycle), earnest: a run is; fault, fault_engine, fault_task: why the last doorbell was refused.
    """

    def __init__(self):
        queues = len(ENGINES)
        super().__init__(
            {
                "doorbell": In(1),
                "changed": In(1),
                "batch": In(BATCH),
                "go": Out(1),
                "rehearse": Out(1),
                "abort": Out(1),
                "running": In(queues),
                "stuck": In(queues),
                "faults": In(Fault).array(queues),
                "positions": In(COUNT + 1).array(queues),
                "busy": Out(1),
                "earnest": Out(1),
                "begins": Out(1),
                "fault": Out(Fault),
                "fault_engine": Out(2),
                "fault_task": Out(COUNT + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sound = Signal()  # the last rehearsal passed, and nothing has changed since
        room = Signal(10)
        empty = Signal()  # the batch is, or does not fit
        m.d.sync += [
            room.eq(self.batch.steps * self.batch.samples),
            empty.eq((room == 0) | (room > DEPTH) | (self.batch.blocks == 0)),
        ]
        # What the queues say, a cycle later: one that faults is at rest by then, and if all that
        # run were stuck, none can have been helped since.
        stuck = Signal.like(self.stuck)
        faults = [Signal(Fault, name=f"fault{n}") for n in range(len(ENGINES))]
        m.d.sync += [stuck.eq(self.stuck), Cat(faults).eq(Cat(self.faults))]
        with m.FSM() as fsm:
            m.d.sync += [self.go.eq(fsm.ongoing("CALL")), self.abort.eq(fsm.ongoing("ABORT"))]
            m.d.comb += [
                self.begins.eq(fsm.ongoing("CALL") & ~self.rehearse),
                self.earnest.eq(fsm.ongoing("RUN")),
            ]

            def rest():
                m.d.sync += self.busy.eq(0)
                m.next = "REST"

            with m.State("REST"):
                m.d.sync += self.rehearse.eq(~sound | self.changed)
                with m.If(self.doorbell):
                    m.d.sync += [
                        self.fault.eq(Fault.NONE),
                        self.fault_engine.eq(0),
                        self.fault_task.eq(0),
                    ]
                    with m.If(empty):
                        m.d.sync += [self.fault.eq(Fault.BATCH), sound.eq(0)]
                    with m.Else():
                        m.d.sync += self.busy.eq(1)
                        m.next = "CALL"
            with m.State("CALL"):
                m.next = "START"
            with m.State("START"):  # the queues are told, and will run in the next cycle
                m.next = "RUN"
                with m.If(self.rehearse):
                    m.next = "REHEARSE"
            with m.State("REHEARSE"):
                with m.If(Cat(faults).any()):
                    for n in range(len(ENGINES)):
                        with m.If(faults[n] != Fault.NONE):
                            m.d.sync += [self.fault.eq(faults[n]), self.fault_engine.eq(n)]
                    m.next = "ABORT"
                with m.Elif(self.running.any() & (self.running == stuck)):
                    engine = Signal(2)
                    for n in range(len(ENGINES)):
                        with m.If(stuck[n]):
                            m.d.comb += engine.eq(n)
                    m.d.sync += [self.fault.eq(Fault.DEADLOCK), self.fault_engine.eq(engine)]
                    m.next = "ABORT"
                with m.Elif(~self.running.any()):
                    m.d.sync += [sound.eq(1), self.rehearse.eq(0)]
                    m.next = "CALL"
            with m.State("ABORT"):  # a queue's position stays when it stops
                m.d.sync += self.fault_task.eq(Array(self.positions)[self.fault_engine])
                with m.If(~self.running.any()):
                    rest()
            with m.State("RUN"):
                with m.If(~self.running.any()):
                    rest()
        with m.If(self.changed):
            m.d.sync += sound.eq(0)
        return m
