"""The RTL backend: trains on the emitted core, simulated by Verilator from compiled code."""

from pathlib import Path

from backspike.compile.compiler import compile_network
from backspike.drive.core_backend import CoreBackend
from backspike.drive.rtl_core import RTLCore
from backspike.gen.machine import Machine
from backspike.ir.learning import Learning
from backspike.ir.network import Network


class RTLBackend(CoreBackend):
    """See `backspike.drive.backend.Backend`.

    trace, trace_batch: see RTLCore.
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
        core = RTLCore(plan, trace=trace, trace_batch=trace_batch)
        super().__init__(network, core)
        self.simulator, self.simulation = core.simulator, core.simulation
