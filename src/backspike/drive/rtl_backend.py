"""A graph on the emitted core, simulated by Verilator from compiled code."""

from pathlib import Path

from backspike.compile.compiler import Plan
from backspike.drive.core_backend import CoreBackend
from backspike.sim.verilator.machine_model import machine_library
from backspike.sim.verilator.simulator import Simulator


class RTLBackend(CoreBackend):
    """See `CoreBackend`.

    trace: VCD file for the waves of batch `trace_batch`, counted from 0 by `forward`s.
    """

    name = "rtl"

    def __init__(self, plan: Plan, *, trace: Path | None = None, trace_batch: int = 0):
        library = machine_library(plan.machine, trace=trace is not None)
        self.simulator = Simulator(library, plan.machine.map())
        super().__init__(plan, self.simulator)
        if trace is not None:
            trace.parent.mkdir(parents=True, exist_ok=True)
        self._trace, self._trace_batch = trace, trace_batch
        self._forwards = 0

    def simulation(self) -> dict:
        """Simulated cycles (the host port's included), seconds in compiled code, their ratio."""
        cycles, seconds = self.simulator.cycles, self.simulator.seconds
        return {
            "cycles": cycles,
            "seconds": seconds,
            "cycles_per_second": cycles / seconds if seconds else 0.0,
        }

    def _run(self, program: str, *, forward: int, backward: int, carry: bool) -> None:
        """A batch's waves are those of the run that is its forward pass, and up to the next one."""
        forwards = program != "update"
        if forwards and self._trace is not None and self._forwards == self._trace_batch:
            self.simulator.trace(self._trace)
        super()._run(program, forward=forward, backward=backward, carry=carry)
        if forwards and self._trace is not None and self._forwards == self._trace_batch + 1:
            self.simulator.trace(None)
        self._forwards += forwards
