"""`backspike build`."""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backspike.cli import options
from backspike.drive.machines import FORMS, find_any_machine
from backspike.gen.machine import MACHINES, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.system.files import write_file
from backspike.system.json_text import json_text

if TYPE_CHECKING:
    from backspike.flow.reports.report import Report
    from backspike.gen.boards.board import Board

FOLDER = "build"
REPORT = "report.json"
SEEDS = 3

EPILOG = """\
examples:
  backspike build --board ulx3s-85f --machine default
      writes build/ulx3s-85f-default/: the bitstream, report.json, and what they were made of
  backspike build --board ulx3s-25f --machine tiny --seeds 1 --json - --plots out/
  backspike build --board ulx3s-85f --machine default --clock 60
  backspike build --board icebreaker --machine tiny --tools native
      with the Yosys and nextpnr that are installed, instead of the slower WebAssembly
  backspike build --all --check
      builds everything that has a baseline, and compares

The files appear when all of them are there: a build that fails leaves what was there before.
LUT4 of components is counted in the netlist that is placed: a carry cell as two, distributed memory
as what it displaces. The part's table has what place and route needs, which is a little more.
The clock is what place and route says of the slowest path, at the part's worst.
exit codes: 0; 1 (simulated RTL and golden differ, which is found out first); 2 (it does not fit,
cannot be routed or is too slow: the report is written to --json and printed, and nothing else);
3 (a figure is too far from its baseline); others as in backspike --help.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "build",
        help="make a bitstream for a board, and say how large and fast it is",
        description="Synthesise a machine with its host link for a board, place and route it with "
        "several seeds, and pack the fastest into a bitstream. Takes from a few minutes to an "
        "hour. Needs the extra `boards` (pip install -e '.[boards]' in the checkout); and g++, "
        "make and perl to count cycles.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--board", metavar="NAME", help="see `backspike boards`")
    parser.add_argument(
        "--machine",
        metavar="MACHINE",
        help=f"{', '.join((*MACHINES, *SPECTRAL_MACHINES))}; or {FORMS} (default)",
    )
    parser.add_argument(
        "--seeds", type=options.integer, default=SEEDS, metavar="N", help=f"placements ({SEEDS})"
    )
    parser.add_argument(
        "--jobs",
        type=options.integer,
        default=os.cpu_count() or 1,
        metavar="N",
        help="placements at a time (as many as there are processors)",
    )
    parser.add_argument(
        "--clock", type=options.number, metavar="MHZ", help="of the core (the board's)"
    )
    parser.add_argument(
        "--tools",
        metavar="KIND",
        default="wasm",
        help="wasm: Yosys and nextpnr from Python packages (default); native: those on PATH",
    )
    parser.add_argument("--out", metavar="DIR", help=f"where to ({FOLDER}/BOARD-MACHINE)")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; -: to stdout")
    parser.add_argument("--plots", metavar="DIR", help="draw LUT4 by component: area.png")
    group = parser.add_argument_group("baselines")
    group.add_argument("--all", action="store_true", help="build all that have a baseline")
    group.add_argument("--check", action="store_true", help="compare with the baseline")
    group.add_argument("--renew", action="store_true", help="make this the baseline")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify everything, then build; returns the exit code."""
    from backspike.flow.reports.baselines import baseline, load, save

    files.check_file("--json", args.json)
    files.check_folder("--plots", args.plots)
    files.check_folder("--out", args.out or FOLDER)
    chosen = _chosen(args)
    reports, problems = [], []
    for board, machine in chosen:
        report = _build(board, machine, args)
        reports.append(report)
        if args.renew:
            path = save(baseline(report))
            print(f"renewed {path}", file=sys.stderr)
        if report.problem is not None:
            problems.append(report.problem)
    if args.json is not None:
        text = [json.loads(report.to_json()) for report in reports]
        about = text if args.all else text[0]
        files.write_json(args.json, json_text(about))
    for report in reports if args.check else ():
        load(report.board, report.machine).compare(report)
        print(f"{report.board}-{report.machine}: as its baseline", file=sys.stderr)
    if problems and not (args.check or args.renew):
        raise UserError("; ".join(problems))
    return 0


def _chosen(args: argparse.Namespace) -> "list[tuple[Board, Machine | SpectralMachine]]":
    from backspike.flow.reports.baselines import PAIRS, load
    from backspike.system.toolset import TOOLSETS

    if args.tools not in TOOLSETS:
        raise UserError(f"tools is {args.tools!r}, must be {' or '.join(TOOLSETS)}")
    if args.seeds < 1:
        raise UserError(f"seeds is {args.seeds}, must be 1 or more")
    if args.jobs < 1:
        raise UserError(f"jobs is {args.jobs}, must be 1 or more")
    if args.check and args.renew:
        raise UserError("check and renew are both given, must be one or none")
    if args.clock is not None and (args.check or args.renew or args.all):
        raise UserError(f"clock is {args.clock:g}: baselines have their boards' clocks")
    if args.all:
        for name in ("board", "machine", "out", "plots"):
            if getattr(args, name) is not None:
                raise UserError(f"{name} is {getattr(args, name)}, must not be given beside --all")
        pairs = PAIRS
    elif args.board is None:
        raise UserError(f"board is not given, must be one of {_boards()}")
    else:
        pairs = ((args.board, args.machine or "default"),)
    chosen = [(_board(board, args.clock), find_any_machine(machine)) for board, machine in pairs]
    if args.check:
        for board, machine in pairs:
            load(board, machine)
    return chosen


def find_board(name: str) -> "Board":
    """The board called `name`."""
    from backspike.gen.boards.board import BOARDS

    if name not in BOARDS:
        raise UserError(f"board is {name!r}, must be one of {_boards()}")
    return BOARDS[name]


def _boards() -> str:
    from backspike.gen.boards.board import BOARDS

    return ", ".join(BOARDS)


def _board(name: str, mhz: float | None) -> "Board":
    board = find_board(name)
    if mhz is None:
        return board
    try:
        return replace(board, clock=round(mhz * 1e6))
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"clock is {mhz:g} MHz on {name}: {error}") from None


def _build(board: "Board", machine: Machine | SpectralMachine, args) -> "Report":
    """Build one; write its folder if it has a bitstream; print its table."""
    from backspike.flow.machine import build_machine
    from backspike.flow.reports.report import table
    from backspike.system.toolset import TOOLSETS

    name = f"{board.name}-{machine.name}"

    def log(line: str) -> None:
        print(f"{name}: {line}", file=sys.stderr, flush=True)

    seeds = range(1, args.seeds + 1)
    tools = TOOLSETS[args.tools]
    design, built = build_machine(board, machine, seeds, log, args.jobs, tools)
    report = built.report
    if built.bitstream is not None and report.bitstream is not None:
        folder = Path(args.out) if args.out else Path(FOLDER) / name
        contents = {file: text.encode() for file, text in design.files.items()}
        contents |= {report.bitstream: built.bitstream, REPORT: report.to_json().encode()}
        for file, content in contents.items():
            write_file(folder / file, content)
        log(f"wrote {folder}")
    if args.plots is not None:
        from backspike.flow.reports.plot import picture

        write_file(Path(args.plots) / "area.png", picture(report))
        log(f"drew {Path(args.plots) / 'area.png'}")
    print(table(report), file=sys.stderr if files.is_stdout(args.json) else sys.stdout, flush=True)
    return report
