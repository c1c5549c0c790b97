"""Writes a machine's RTL and the page of its registers."""

import re
from pathlib import Path

from backspike.gen.clean import waivers
from backspike.gen.machine import Accelerator, top_name
from backspike.ir.errors import UserError
from backspike.sim.verilator.machine_model import machine_verilog
from backspike.system.files import write_file

PREFIX = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
"""What Verilog and VHDL both take as a name."""
PAGE = "registers.md"


def check_prefix(prefix: str) -> None:
    """Raises UserError unless `prefix` can be the name of a module."""
    if not PREFIX.fullmatch(prefix):
        raise UserError(
            f"prefix is {prefix!r}, must be a letter, then letters, digits and single underscores"
        )


def machine_files(machine: Accelerator, prefix: str | None = None) -> dict[str, str]:
    """Text of every file of the machine's folder, by name: the Verilog, Verilator's waivers for
    it, and the registers. prefix: of all modules, instead of `top_name`."""
    name = prefix or top_name(machine)
    return {
        f"{name}.v": machine_verilog(machine, prefix),
        f"{name}.vlt": waivers(name),
        PAGE: machine.page(),
    }


def write_machine(machine: Accelerator, folder: Path, prefix: str | None = None) -> list[Path]:
    """Write the machine's files into `folder`, each whole; returns their paths."""
    return write_files(machine_files(machine, prefix), folder)


def write_files(files: dict[str, str], folder: Path) -> list[Path]:
    """Write texts by their paths in `folder`, each whole; returns where they are."""
    paths = []
    for name, text in files.items():
        write_file(folder / name, text.encode())
        paths.append(folder / name)
    return paths
