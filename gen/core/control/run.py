"""Run control: a dry run of the queues, then the run; nothing runs that was not validated."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, BLOCK_BITS, POSITION_BITS, STEPS_BITS
from backspike.gen.machine import DEPTH
from backspike.ir.constants import ENGINES


class RunControl(wiring.Component):
    """Starts the engines' queues: first as a dry run (see `TaskQueue`), then the run.

    The dry run is left out as long as nothing has changed since the last one that passed. Before it
    the blocks of a batch are counted, and a batch that is none is refused.
    """

    def __init__(self):
        queues = len(ENGINES)
        super().__init__(
            {
                "doorbell": In(1),
                "changed": In(1),  # tasks, descriptors or the configuration were written
                "batch": In(BATCH),  # but its blocks; from two cycles before the doorbell on
                "blocks": Out(BLOCK_BITS),  # sets * spans
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
        batch, misshapen = self.batch, self._misshapen(m)
        many = Signal()  # there are more blocks than can be counted
        # sets * spans, bit by bit of sets.
        sets, bits_left = Signal(BLOCK_BITS), Signal(range(BLOCK_BITS + 1))
        sum_of_bits = (self.blocks << 1) + Mux(sets[-1], batch.spans, 0)
        # What the queues say, a cycle later: one that faults is idle by then, and if all that run
        # were waiting, none can have been given a token since.
        waiting = Signal.like(self.queues_waiting)
        faults = [Signal(Fault, name=f"fault{n}") for n in range(len(ENGINES))]
        deadlock = Signal()  # which lasts
        m.d.sync += [
            waiting.eq(self.queues_waiting),
            Cat(faults).eq(Cat(self.faults)),
            deadlock.eq(self.queues_running.any() & (self.queues_running == waiting)),
        ]
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
                    m.d.sync += [self.busy.eq(1), many.eq(0)]
                    m.next = "CALL"
                    with m.If(~validated | self.changed):
                        m.d.sync += [
                            sets.eq(batch.sets),
                            self.blocks.eq(0),
                            bits_left.eq(BLOCK_BITS),
                        ]
                        m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += bits_left.eq(bits_left - 1)
                with m.If(bits_left != 0):
                    m.d.sync += [self.blocks.eq(sum_of_bits), sets.eq(sets << 1)]
                    m.d.sync += many.eq(many | sum_of_bits[BLOCK_BITS:].any())
                with m.Elif(misshapen | many | (self.blocks == 0)):
                    m.d.sync += self.fault.eq(Fault.BATCH)
                    stop()
                with m.Else():
                    m.next = "CALL"
            with m.State("CALL"):
                m.next = "START"
            with m.State("START"):  # the queues are told, and will run in the next cycle
                m.next = "RUN"
                with m.If(self.dry_run):
                    m.next = "DRY_RUN"
            with m.State("DRY_RUN"):
                with m.If(Cat(faults).any()):
                    self._keep_fault(m, faults)
                    m.next = "ABORT"
                with m.Elif(deadlock):
                    self._keep_deadlock(m, waiting)
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

    def _misshapen(self, m: Module) -> Signal:
        """A block is empty or too large, or the last span is: known two cycles after `batch`."""
        batch = self.batch
        entries, misshapen = Signal(2 * STEPS_BITS), Signal()
        m.d.sync += [
            entries.eq(batch.steps * batch.samples),
            misshapen.eq(
                (entries == 0)
                | (entries > DEPTH)
                | (batch.last_steps == 0)
                | (batch.last_steps > batch.steps)
            ),
        ]
        return misshapen

    def _keep_fault(self, m: Module, faults: list[Signal]) -> None:
        """Keeps the last queue's fault, if several have one."""
        for n, fault in enumerate(faults):
            with m.If(fault != Fault.NONE):
                m.d.sync += [self.fault.eq(fault), self.fault_engine.eq(n)]

    def _keep_deadlock(self, m: Module, waiting: Signal) -> None:
        """Keeps that all queues wait, and which is the last of them."""
        engine = Signal.like(self.fault_engine, name="engine")
        for n in range(len(ENGINES)):
            with m.If(waiting[n]):
                m.d.comb += engine.eq(n)
        m.d.sync += [self.fault.eq(Fault.DEADLOCK), self.fault_engine.eq(engine)]
