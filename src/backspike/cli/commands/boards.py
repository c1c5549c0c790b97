"""`backspike boards`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from backspike.cli.commands import build
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.system.json_text import json_text

if TYPE_CHECKING:
    from backspike.flow.reports.report import Report


def add(commands) -> None:
    parser = commands.add_parser(
        "boards",
        help="list the boards, what fits, and results of the last builds",
        description="List the boards with what was built for each: the last builds below "
        f"{build.FOLDER}/, or else the baselines that come with backspike.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", help="write them as JSON; -: to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    from backspike.gen.boards.board import BOARDS

    found = known(Path(build.FOLDER))
    if args.json is not None:
        listed = [
            {
                "name": board.name,
                "title": board.title,
                "device": board.device,
                "speed": board.speed,
                "package": board.package,
                "clock": board.clock / 1e6,
                "baud": board.baud,
                "capacity": asdict(board.capacity),
                "builds": [
                    json.loads(report.to_json()) | {"from": source}
                    for report, source in found
                    if report.board == board.name
                ],
            }
            for board in BOARDS.values()
        ]
        files.write_json(args.json, json_text(listed))
    if not files.is_stdout(args.json):
        print(_shown(found), end="")
    return 0


def known(folder: Path) -> "list[tuple[Report, str]]":
    """The last report of every board and machine, and where it is from: a build below `folder`, or
    a baseline.

    Raises UserError if a file there is no report.
    """
    from backspike.flow.reports.baselines import PAIRS, load
    from backspike.flow.reports.report import from_json

    found: dict[tuple[str, str], tuple[Report, str]] = {}
    for pair in PAIRS:
        try:
            found[pair] = load(*pair).report, "baseline"
        except UserError:
            continue
    for path in sorted(folder.glob(f"*/{build.REPORT}"), key=lambda path: path.stat().st_mtime):
        try:
            report = from_json(path.read_text())
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no report of a build: {error!r}") from None
        found[report.board, report.machine] = report, str(path.parent)
    return list(found.values())


def _shown(found: "list[tuple[Report, str]]") -> str:
    """Boards and builds as aligned text."""
    from backspike.gen.boards.board import BOARDS

    lines = [
        f"{'board':<15}{'part':<23}{'clock':>8}  {'machine':<15}{'LUT4':>8}{'of part':>9}"
        f"{'reaches':>10}{'a second':>24}  {'of':<10}  from"
    ]
    for board in BOARDS.values():
        about = f"{board.name:<15}{board.device:<23}{board.clock / 1e6:>4g} MHz  "
        builds = [(report, source) for report, source in found if report.board == board.name]
        for report, source in builds:
            lines.append(f"{about}{_figures(report)}  {source}")
            about = " " * len(about)
        if not builds:
            lines.append(f"{about}nothing built yet")
    lines += [
        "",
        "LUT4 of the netlist; of part: what place and route takes of its LUT4; reaches: the median",
        "over the seeds; a second: at the board's clock; of: the network that is trained, or the",
        "size of the images. backspike build --board NAME --machine NAME builds.",
    ]
    return "\n".join(lines) + "\n"


def _figures(report: "Report") -> str:
    start = f"{report.machine:<15}{report.area.lut4:>8,}{report.resources[0].share:>9.0%}"
    if report.problem is not None:
        return f"{start}  {_brief(report)}"
    found = report.throughput
    rate = "" if report.rate is None or found is None else f"{report.rate:,.0f} {found.units}"
    return f"{start}{report.mhz:>6.1f} MHz{rate:>24}  {found.workload if found else '':<10}"


def _brief(report: "Report") -> str:
    """Why there is no bitstream, in a few words."""
    if not report.fits:
        return f"does not fit: {report.lacking}"
    if report.mhz is None:
        return "cannot be placed and routed"
    return f"too slow: {report.mhz:.1f} MHz"
