"""The RTL backend: trains on the emitted core, simulated by Verilator from compiled code."""

from pathlib import Path

from backspike.compile.compiler import compile_network
from backspike.drive.core_backend import CoreBackend
from backspike.gen.machine import Machine
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.sim.verilator.machine_model import machine_library
from backspike.sim.verilator.simulator import Simulator


class RTLBackend(CoreBackend):
    """See `backspike.drive.backend.Backend`.

    trace: VCD file for the waves of batch `trace_batch`, counted from 0 by `forward`s.
    Raises UserError if the network does not fit the machine, before anything is built.
    """

    name = "rtl"

    def __init__(
        self,
        network: Network,
        learning: Learning,
        machine: Machine,
        *,
        trace: Path | None = None,
        trace_batch: int = 0,
    ):
        plan = compile_network(network, learning, machine)
        library = machine_library(machine, trace=trace is not None)
        self.simulator = Simulator(library, machine.map())
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

    def close(self) -> None:
        self.simulator.close()

    def _run(self, program: str, *, forward: int, backward: int) -> None:
        """A batch's waves are those of the run that is its forward pass, and up to the next one."""
        forwards = program != "update"
        if forwards and self._trace is not None and self._forwards == self._trace_batch:
            self.simulator.trace(self._trace)
        super()._run(program, forward=forward, backward=backward)
        if forwards and self._trace is not None and self._forwards == self._trace_batch + 1:
            self.simulator.trace(None)
        self._forwards += forwards
