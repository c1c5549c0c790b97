"""Which backend computes, by name."""

from pathlib import Path

from backspike.backend import Backend
from backspike.check import Lockstep
from backspike.errors import UserError
from backspike.gen.machine import MACHINES, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.network import Learning, Network

BACKENDS = ("golden", "rtl")


def find_machine(name: str) -> Machine:
    """The preset called `name` that trains."""
    if name not in MACHINES:
        raise UserError(f"machine is {name!r}: {', '.join(MACHINES)} is allowed")
    return MACHINES[name]


def find_any_machine(name: str) -> Machine | SpectralMachine:
    """The preset called `name`, of either kind."""
    machines = {**MACHINES, **SPECTRAL_MACHINES}
    if name not in machines:
        raise UserError(f"machine is {name!r}: {', '.join(machines)} is allowed")
    return machines[name]


def make_backend(
    name: str,
    network: Network,
    learning: Learning,
    machine: Machine,
    *,
    check: bool = False,
    trace: Path | None = None,
    trace_batch: int = 0,
) -> Backend:
    """The backend `golden` or `rtl`; with `check`, in lockstep with golden.

    trace: a VCD file for the waves of the RTL's batch `trace_batch`, counted as Lockstep counts.
    """
    if name not in BACKENDS:
        raise UserError(f"backend is {name!r}: {' or '.join(BACKENDS)} is allowed")
    if trace is not None and name != "rtl":
        raise UserError(f"trace is {trace} on backend {name}: only rtl has waves")
    from backspike.golden.backend import GoldenBackend  # here, because PyTorch takes seconds

    if name == "golden":
        backend: Backend = GoldenBackend(network, learning)
    else:
        from backspike.sim.backend import RTLBackend

        backend = RTLBackend(network, learning, machine, trace=trace, trace_batch=trace_batch)
    return Lockstep(backend, GoldenBackend(network, learning)) if check else backend
