"""From a machine to a bitstream on a board, and a report of what it takes."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from backspike.flow.area import area, components
from backspike.flow.family import FAMILIES
from backspike.flow.place import Placement, pack, place, prepare, resources
from backspike.flow.report import Report
from backspike.flow.synthesis import synthesise
from backspike.flow.tools import YOSYS, ToolFailed, version
from backspike.gen.boards.board import Board

Tell = Callable[[str], None]
"""Takes a line of progress."""


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
    tell: Tell = lambda line: None,
    jobs: int = 1,
) -> Built:
    """Synthesise, place and route once a seed, `jobs` of them at a time, and pack the fastest one
    that meets its clocks.

    A design that does not fit, cannot be routed or is too slow gives a report whose `problem` says
    so, and no bitstream. Nothing is written but temporary folders and the cache of netlists. The
    report has no throughput: see there.
    Raises UserError if a tool is not installed, ToolFailed if one fails otherwise.
    """
    family = FAMILIES[board.family]
    with stage("synthesis", tell):
        netlist = synthesise(design.files["top.v"], family.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, netlist.path, design.files)
        report = Report(
            board=board.name,
            machine=design.machine,
            device=board.device,
            speed=board.speed,
            package=board.package,
            tools={tool: version(tool) for tool in (YOSYS, family.place)},
            clock=board.clock / 1e6,
            area=area(netlist.cells, family),
            resources=tuple(resources(board, folder)),
            components=tuple(components(netlist, family)),
        )
        if not report.fits:
            return Built(replace(report, problem=_does_not_fit(report)), None)

        def try_seed(seed: int) -> Placement | ToolFailed:
            try:
                with stage(f"place and route, seed {seed}", tell):
                    prepare(folder / str(seed), netlist.path, design.files)
                    found = place(board, seed, folder / str(seed))
            except ToolFailed as error:
                return error
            tell(f"seed {seed}: {found.mhz:.1f} MHz, {report.clock:g} MHz wanted")
            return found

        with ThreadPoolExecutor(jobs) as pool:
            tried = dict(zip(seeds, pool.map(try_seed, seeds), strict=True))
        placements = tuple(each for each in tried.values() if isinstance(each, Placement))
        for seed, each in tried.items():
            if isinstance(each, ToolFailed):
                problem = _no_way(report, seed, each)
                return Built(replace(report, placements=placements, problem=problem), None)
        report = replace(report, placements=placements)
        fast = [each for each in placements if each.met]
        if not fast:
            return Built(replace(report, problem=_too_slow(report)), None)
        best = max(fast, key=lambda each: each.mhz).seed
        with stage(f"bitstream of seed {best}", tell):
            bitstream = pack(board, folder / str(best))
    file = f"{board.name}-{design.machine}{Path(family.bitstream).suffix}"
    return Built(replace(report, bitstream=file, seed=best), bitstream)


@contextmanager
def stage(name: str, tell: Tell) -> Iterator[None]:
    """Tell what begins, and how long it took."""
    tell(f"{name} …")
    begun = time.monotonic()
    yield
    tell(f"{name}: {time.monotonic() - begun:.0f} s")


def _does_not_fit(report: Report) -> str:
    lacking = ", ".join(
        f"{each.used:,} {each.name} of {each.available:,}"
        for each in report.resources
        if each.used > each.available
    )
    return (
        f"machine {report.machine!r} does not fit {report.board} ({report.device}): it needs "
        f"{lacking}"
    )


def _no_way(report: Report, seed: int, error: ToolFailed) -> str:
    """Full parts fail so, after a long search."""
    said = [line for line in str(error).splitlines() if line.startswith("ERROR")]
    fill = ", ".join(f"{each.share:.0%} of {each.name}" for each in report.resources)
    return (
        f"machine {report.machine!r} cannot be placed and routed on {report.board} "
        f"({report.device}) with seed {seed}: it takes {fill}; "
        f"{said[-1].removeprefix('ERROR: ') if said else str(error).splitlines()[0]}"
    )


def _too_slow(report: Report) -> str:
    fastest = max(each.mhz for each in report.placements)
    seeds = len(report.placements)
    return (
        f"machine {report.machine!r} is too slow on {report.board}: {fastest:.1f} MHz at best with "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, and its clock is {report.clock:g} MHz"
    )
