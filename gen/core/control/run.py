"""Run control: a dry run of the queues, then the run; nothing runs that was not validated."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, POSITION_BITS, STEPS_BITS
from backspike.gen.machine import DEPTH
from backspike.ir.constants import ENGINES


class RunControl(wiring.Component):
    """Starts the engines' queues: first as a dry run (see `TaskQueue`), then the run.

    The dry run is left out as long as nothing has changed since the last one that passed.
    """

    def __init__(self):
        queues = len(ENGINES)
        super().__init__(
            {
                "doorbell": In(1),
                "changed": In(1),  # tasks, descriptors or the configuration were written
                "batch": In(BATCH),  # from two cycles before the doorbell on
                "go": Out(1),  # one cycle, with `dry_run`
                "dry_run": Out(1),
                "abort": Out(1),
                "queues_running": In(queues),  # in ENGINES' order
                "queues_waiting": In(queues),
                "faults": In(Fault).array(queues),
                "positions": In(POSITION_BITS).array(queues),
                "busy": Out(1),  # a run or a dry run
                "running": Out(1),  # a run
                "begins": Out(1),  # a run (one cycle)
                "fault": Out(Fault),  # why the last doorbell was refused
                "fault_engine": Out(range(queues)),
                "fault_task": Out(POSITION_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        validated = Signal()  # the last dry run passed, and nothing has changed since
        entries = Signal(2 * STEPS_BITS)
        empty = Signal()  # the batch is, or does not fit
        m.d.sync += [
            entries.eq(self.batch.steps * self.batch.samples),
            empty.eq((entries == 0) | (entries > DEPTH) | (self.batch.blocks == 0)),
        ]
        # What the queues say, a cycle later: one that faults is idle by then, and if all that run
        # were waiting, none can have been given a token since.
        waiting = Signal.like(self.queues_waiting)
        faults = [Signal(Fault, name=f"fault{n}") for n in range(len(ENGINES))]
        m.d.sync += [waiting.eq(self.queues_waiting), Cat(faults).eq(Cat(self.faults))]
        with m.FSM() as fsm:
            m.d.sync += [self.go.eq(fsm.ongoing("CALL")), self.abort.eq(fsm.ongoing("ABORT"))]
            m.d.comb += [
                self.begins.eq(fsm.ongoing("CALL") & ~self.dry_run),
                self.running.eq(fsm.ongoing("RUN")),
            ]

            def stop():
                m.d.sync += self.busy.eq(0)
                m.next = "IDLE"

            with m.State("IDLE"):
                m.d.sync += self.dry_run.eq(~validated | self.changed)
                with m.If(self.doorbell):
                    m.d.sync += [
                        self.fault.eq(Fault.NONE),
                        self.fault_engine.eq(0),
                        self.fault_task.eq(0),
                    ]
                    with m.If(empty):
                        m.d.sync += [self.fault.eq(Fault.BATCH), validated.eq(0)]
                    with m.Else():
                        m.d.sync += self.busy.eq(1)
                        m.next = "CALL"
            with m.State("CALL"):
                m.next = "START"
            with m.State("START"):  # the queues are told, and will run in the next cycle
                m.next = "RUN"
                with m.If(self.dry_run):
                    m.next = "DRY_RUN"
            with m.State("DRY_RUN"):
                with m.If(Cat(faults).any()):
                    for n in range(len(ENGINES)):
                        with m.If(faults[n] != Fault.NONE):
                            m.d.sync += [self.fault.eq(faults[n]), self.fault_engine.eq(n)]
                    m.next = "ABORT"
                with m.Elif(self.queues_running.any() & (self.queues_running == waiting)):
                    engine = Signal.like(self.fault_engine)
                    for n in range(len(ENGINES)):
                        with m.If(waiting[n]):
                            m.d.comb += engine.eq(n)
                    m.d.sync += [self.fault.eq(Fault.DEADLOCK), self.fault_engine.eq(engine)]
                    m.next = "ABORT"
                with m.Elif(~self.queues_running.any()):
                    m.d.sync += [validated.eq(1), self.dry_run.eq(0)]
                    m.next = "CALL"
            with m.State("ABORT"):  # a queue's position stays when it stops
                m.d.sync += self.fault_task.eq(Array(self.positions)[self.fault_engine])
                with m.If(~self.queues_running.any()):
                    stop()
            with m.State("RUN"):
                with m.If(~self.queues_running.any()):
                    stop()
        with m.If(self.changed):
            m.d.sync += validated.eq(0)
        return m
