"""Which backend computes, by name."""

from pathlib import Path

from backspike.drive.backend import Backend
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import Machine
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Network

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
    network: Network,
    learning: Learning,
    machine: Machine,
    *,
    check: bool = False,
    trace: Path | None = None,
    trace_batch: int = 0,
) -> Backend:
    """The backend `golden`, `rtl` or `serial:PORT[:BAUD]`; with `check`, in lockstep with golden.

    trace: a VCD file for the waves of the RTL's batch `trace_batch`, counted as Lockstep counts.
    """
    check_backend(name)
    if trace is not None and name != "rtl":
        raise UserError(
            f"trace is {trace} on backend {name}, must be on rtl, which alone has waves"
        )
    from backspike.golden.backend import GoldenBackend  # here, because PyTorch takes seconds

    if name == "golden":
        backend: Backend = GoldenBackend(network, learning)
    elif name.startswith(SERIAL):
        from backspike.drive.serial_backend import SerialBackend

        backend = SerialBackend(network, learning, machine, *serial_port(name))
    else:
        from backspike.drive.rtl_backend import RTLBackend

        backend = RTLBackend(network, learning, machine, trace=trace, trace_batch=trace_batch)
    return Lockstep(backend, GoldenBackend(network, learning)) if check else backend
