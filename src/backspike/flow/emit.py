"""Writes a machine's RTL and the page of its registers."""

from pathlib import Path

from backspike.gen.core.engines import KINDS
from backspike.gen.core.layout import ENGINES
from backspike.gen.core.map import core_map
from backspike.gen.host.register_page import markdown
from backspike.gen.machine import Machine
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.map import spectral_map
from backspike.sim.verilator import spectral_model
from backspike.sim.verilator.core_model import TEXT, core_verilog
from backspike.train.checkpoint import replace_file

TASK_WORDS = """\
A task is a word: the layer (bits 0 to 3), the tile (4 to 11), and how many tasks the two other
engines must have completed in this run, in the order fp, bp, wg without the engine itself (12 to
21 and 22 to 31).
"""


def machine_files(machine: Machine | SpectralMachine) -> dict[str, str]:
    """Text of every file of the machine's folder, by name."""
    if isinstance(machine, SpectralMachine):
        verilog = spectral_model.spectral_verilog(machine)
        return {spectral_model.TEXT: verilog, "registers.md": markdown(spectral_map(machine))}
    return {TEXT: core_verilog(machine), "registers.md": registers_page(machine)}


def registers_page(machine: Machine) -> str:
    """The core's register map with what its windows of tasks and descriptors hold."""
    parts = [markdown(core_map(machine)).rstrip(), "", "## Tasks", "", TASK_WORDS.rstrip(), ""]
    for name in ENGINES:
        parts += [f"## Descriptors of engine {name}", "", "| word | name | bits | what it is |"]
        parts += ["| --- | --- | --- | --- |"]
        parts += [
            f"| {field.word} | `{field.name}` | {field.width} | {field.doc} |"
            for field in KINDS[name].fields.values()
        ]
        parts += [""]
    return "\n".join(parts)


def emit_machine(machine: Machine | SpectralMachine, folder: Path) -> list[Path]:
    """Write the machine's files into `folder`, each whole; returns their paths."""
    files = machine_files(machine)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in files.items():
        replace_file(folder / name, text.encode())
        paths.append(folder / name)
    return paths
