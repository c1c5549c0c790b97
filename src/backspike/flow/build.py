"""From a machine to a bitstream on a board, and a report of what it takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from backspike.flow.reports.area import area, components
from backspike.flow.reports.report import Report
from backspike.flow.toolchain.family import FAMILIES
from backspike.flow.toolchain.place import Placement, pack, place, resources
from backspike.flow.toolchain.synthesis import synthesise
from backspike.gen.boards.board import Board
from backspike.system.progress import Progress
from backspike.system.tools import ToolFailed
from backspike.system.toolset import WASM, YOSYS, Toolset

Log = Callable[[str], None]
"""Takes a line of progress."""
TOP = "top.v"


@dataclass(frozen=True)
class Design:
    """What is built. files: `top.v` (module `top`) and the constraints."""

    machine: str
    files: dict[str, str]


@dataclass(frozen=True)
class Built:
    """report, and the bitstream unless the report has a problem."""

    report: Report
    bitstream: bytes | None


def build(
    board: Board,
    design: Design,
    seeds: Sequence[int],
    log: Log = lambda line: None,
    jobs: int = 1,
    tools: Toolset = WASM,
) -> Built:
    """Synthesise, place and route once a seed, `jobs` of them at a time, and pack the fastest one
    that meets its clocks.

    A design that does not fit, cannot be routed or is too slow gives a report whose `problem` says
    so, and no bitstream. Nothing is written but the cache, which keeps netlists and placements.
    The report has no throughput: see there.
    Raises UserError if a tool is not installed, ToolFailed if one fails otherwise.
    """
    family = FAMILIES[board.family]
    tools.check(family.name)
    with stage("synthesis", log):
        progress = Progress(log, "synthesis")
        netlist = synthesise(design.files[TOP], family.name, tools=tools, progress=progress)
    pins = {name: text for name, text in design.files.items() if name != TOP}
    taken = area(netlist.cells, family)
    report = Report(
        board=board.name,
        machine=design.machine,
        device=board.device,
        speed=board.speed,
        package=board.package,
        tools={tools.program(tool): tools.version(tool) for tool in (YOSYS, family.place)}
        | {package: metadata.version(package) for package in ("amaranth", *family.packages)},
        clock=board.clock / 1e6,
        area=taken,
        resources=tuple(resources(board, netlist, pins, taken.ffs, tools)),
        components=tuple(components(netlist, family)),
    )
    if not report.fits:
        return Built(replace(report, problem=_does_not_fit(report)), None)

    def try_seed(seed: int) -> tuple[Placement, Path] | ToolFailed:
        name = f"place and route, seed {seed} ({list(seeds).index(seed) + 1} of {len(seeds)})"
        try:
            with stage(name, log):
                progress = Progress(log, name)
                found, folder = place(board, seed, netlist.path, pins, tools, progress)
        except ToolFailed as error:
            return error
        log(f"seed {seed}: {found.mhz:.1f} MHz, {report.clock:g} MHz wanted")
        return found, folder

    with ThreadPoolExecutor(jobs) as pool:
        tried = list(pool.map(try_seed, seeds))
    done = [each for each in tried if not isinstance(each, ToolFailed)]
    report = replace(report, placements=tuple(placement for placement, _ in done))
    for seed, each in zip(seeds, tried, strict=True):
        if isinstance(each, ToolFailed):
            return Built(replace(report, problem=_no_way(report, seed, each)), None)
    fast = [each for each in done if each[0].met]
    if not fast:
        return Built(replace(report, problem=_too_slow(report)), None)
    best, folder = max(fast, key=lambda each: each[0].mhz)
    with stage(f"bitstream of seed {best.seed}", log):
        bitstream = pack(board, folder, tools)
    file = f"{board.name}-{design.machine}{Path(family.bitstream).suffix}"
    return Built(replace(report, bitstream=file, seed=best.seed), bitstream)


@contextmanager
def stage(name: str, log: Log) -> Iterator[None]:
    """Log what begins, and how long it took."""
    log(f"{name} …")
    begun = time.monotonic()
    yield
    log(f"{name}: {time.monotonic() - begun:.0f} s")


def _does_not_fit(report: Report) -> str:
    return (
        f"machine {report.machine!r} does not fit {report.board} ({report.device}): it needs "
        f"{report.lacking}"
    )


def _no_way(report: Report, seed: int, error: ToolFailed) -> str:
    """Full parts fail so, after a long search."""
    why = error.cause.removeprefix("ERROR: ") or str(error)
    why = why.split(". Use `--")[0]  # an option of the tool's own
    fill = ", ".join(f"{each.share:.0%} of {each.name}" for each in report.resources)
    return (
        f"machine {report.machine!r} cannot be placed and routed on {report.board} "
        f"({report.device}) with seed {seed}: it takes {fill}; {why}"
    )


def _too_slow(report: Report) -> str:
    fastest = max(each.mhz for each in report.placements)
    seeds = len(report.placements)
    return (
        f"machine {report.machine!r} is too slow on {report.board}: {fastest:.1f} MHz at best with "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, and its clock is {report.clock:g} MHz"
    )
