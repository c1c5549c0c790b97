"""Which backend computes, by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from backspike.compile.compiler import Plan
from backspike.compile.parts import compile_batch
from backspike.drive.backend import Backend
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import Machine
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning

if TYPE_CHECKING:
    from backspike.drive.core_backend import CoreBackend

BACKENDS = ("golden", "rtl")
SERIAL = "serial:"
CHOICES = (*BACKENDS, f"{SERIAL}PORT[:BAUD]")
"""All of them, as they are asked for."""


def check_backend(name: str) -> None:
    """Raise UserError unless there is a backend of that name."""
    if isinstance(name, str) and name.startswith(SERIAL):
        serial_port(name)
    elif name not in BACKENDS:
        raise UserError(f"backend is {name!r}, must be {' or '.join(CHOICES)}")


def serial_port(name: str) -> tuple[str, int | None]:
    """Port and baud (None: as usual) of `serial:PORT[:BAUD]`."""
    port, colon, baud = name.removeprefix(SERIAL).rpartition(":")
    if not colon or not baud.isdecimal():
        port, baud = name.removeprefix(SERIAL), ""
    if not port or (baud and int(baud) == 0):
        raise UserError(
            f"backend is {name!r}, must be {CHOICES[-1]}, as serial:/dev/ttyUSB0:1000000"
        )
    return port, int(baud) if baud else None


def make_backend(
    name: str,
    graph: Graph,
    learning: Learning,
    machine: Machine,
    *,
    steps: int,
    every: bool,
    stateful: bool = False,
    check: bool = False,
    trace: Path | None = None,
    trace_batch: int = 0,
) -> Backend:
    """The backend `golden`, `rtl` or `serial:PORT[:BAUD]`; with `check`, in lockstep with golden.

    steps: T of all batches. every: whether logits and errors are of every step; see `Backend`.
    stateful: whether batches may go on from each other. A machine with a memory of partial sums may
    have room for a part of `learning.batch` alone: see the backend's `room`. trace: a VCD file for
    the waves of the RTL's batch (or part of one) `trace_batch`, counted as Lockstep counts. Raises
    UserError, before anything is built or opened, if the graph does not fit the machine.
    """
    check_backend(name)
    if trace is not None and name != "rtl":
        raise UserError(
            f"trace is {trace} on backend {name}, must be on rtl, which alone has waves"
        )
    from backspike.golden.backend import GoldenBackend  # here: PyTorch takes seconds

    if name == "golden":
        backend: Backend = GoldenBackend(graph, learning, every=every)
    else:
        plan = compile_batch(graph, steps, learning, machine, every=every, stateful=stateful)
        backend = _core(name, plan, trace, trace_batch)
    return Lockstep(backend, GoldenBackend(graph, learning, every=every)) if check else backend


def _core(name: str, plan: Plan, trace: Path | None, trace_batch: int) -> "CoreBackend":
    if name.startswith(SERIAL):
        from backspike.drive.serial_backend import SerialBackend

        return SerialBackend(plan, *serial_port(name))
    from backspike.drive.rtl_backend import RTLBackend

    return RTLBackend(plan, trace=trace, trace_batch=trace_batch)
