"""Figures of what goes onto a board: area and clock, the netlist, the link, the proofs."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from backspike.bench import link
from backspike.bench.figure import Figure, at_least, at_most
from backspike.drive.comparison import Counts
from backspike.flow.machine import build_machine
from backspike.flow.netlist import lockstep as netlist
from backspike.flow.reports.report import Report
from backspike.gen.boards.board import BOARDS
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.sim.proofs.catalogue import PROOFS
from backspike.sim.proofs.check import check
from backspike.train.data import digits

BOARD = BOARDS["ulx3s-85f"]
SEEDS = (1, 2, 3)
LANES = {"fp": 480, "bp": 850, "wg": 480}
"""LUT4 of a lane at the most."""


def training(_: Counts) -> list[Figure]:
    """The default core with its link on an LFE5U-85F: size, clock, samples a second."""
    machine = MACHINES["default"]
    report = build_machine(BOARD, machine, SEEDS, _tell, jobs=2)[1].report
    made = _size_and_clock(report, 24_863, 90)
    for name, goal in LANES.items():
        lane = report.component(f"{name}.lanes.lane*")
        made.append(
            at_most(
                f"LUT4 of a lane of {name}",
                lane.largest,
                goal,
                f"the largest of {lane.count}, {lane.each:,.0f} on the average; its finished sums "
                "wait in block RAM beside it",
            )
        )
    rate = "training, samples a second, compute alone"
    if report.throughput is None or report.mhz is None:
        made.append(Figure(rate, None, ">= 25000", False, report.problem or "not measured"))
    else:
        made.append(
            at_least(
                rate,
                round(report.throughput.per_second(report.mhz)),
                25_000,
                f"{report.throughput.cycles:,.1f} cycles a sample at the median clock; "
                f"{report.throughput.how}",
            )
        )
    return made


def spectral(_: Counts) -> list[Figure]:
    """The spectral unit of 128 x 128 with its link on the same part."""
    machine = SPECTRAL_MACHINES["spectral-128"]
    report = build_machine(BOARD, machine, SEEDS, _tell, jobs=2)[1].report
    return _size_and_clock(report, 12_000, 80)


def netlists(_: Counts) -> list[Figure]:
    """Batches and a pair of pictures on the cells that Yosys leaves, for both families."""
    return [
        at_most(
            f"netlist against golden: {one.machine} for {one.board}",
            one.mismatches,
            0,
            f"{one.run}: {one.values:,} values over the link of the board's top, {one.cycles:,} "
            f"cycles of {sum(one.cells.values()):,} cells",
        )
        for one in netlist.check_all()
    ]


def lines(_: Counts) -> list[Figure]:
    """The link on a bad line, and a batch on a good one."""
    return [*link.damage(), *link.split(digits(), BOARD.clock)]


def proofs(_: Counts) -> list[Figure]:
    """All proofs, and the bugs planted for them."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = []
        for proof in PROOFS:
            _tell(f"proof {proof.name}")
            outcomes.append(check(proof, Path(folder)))
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    bugs, seen = sum(o.bugs for o in outcomes), sum(o.found for o in outcomes)
    return [
        at_most(
            "proofs that fail",
            len(failed),
            0,
            f"`make proofs`: {len(outcomes)} by k-induction" + "".join(f"; {n}" for n in failed),
        ),
        at_most(
            "planted bugs that a proof misses", bugs - seen, 0, f"the same run: {seen} of {bugs}"
        ),
    ]


GROUPS: dict[str, Callable[[Counts], list[Figure]]] = {
    "netlist": netlists,
    "link": lines,
    "proofs": proofs,
    "spectral": spectral,
    "training": training,
}
"""Figures that are measured together, quick ones first."""


def _size_and_clock(report: Report, luts: int, mhz: int) -> list[Figure]:
    part = f"{report.device}, speed grade {report.speed}, {report.board}"
    tools = ", ".join(f"{tool} {version}" for tool, version in report.tools.items())
    share = ", ".join(f"{r.used:,} {r.name} ({r.share:.0%})" for r in report.resources)
    made = [
        at_most(
            f"LUT4 of {report.machine} with its link",
            report.area.lut4,
            luts,
            f"{part}: {report.area.lut4 - report.area.carry - report.area.ram:,} LUT4, "
            f"{report.area.carry:,} in carries' place, {report.area.ram:,} in distributed "
            f"memory's; nextpnr packs {share}; {tools}",
        )
    ]
    clock = f"MHz of {report.machine} with its link"
    if report.mhz is None:
        made.append(Figure(clock, None, f">= {mhz}", False, report.problem or "nothing was placed"))
    else:
        spread = ", ".join(f"{p.mhz:.1f}" for p in report.placements)
        made.append(
            at_least(
                clock,
                round(report.mhz, 1),
                mhz,
                f"median of {len(report.placements)} seeds: {spread}",
            )
        )
    return made


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
