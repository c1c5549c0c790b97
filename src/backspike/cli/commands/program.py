"""`backspike program`."""

import argparse
import sys
from pathlib import Path

from backspike.cli.commands import build
from backspike.drive.machines import find_any_machine
from backspike.ir.errors import UserError

EPILOG = """\
examples:
  backspike program --board ulx3s-85f
      loads build/ulx3s-85f-default/, which `backspike build --board ulx3s-85f` made
  backspike program --board ulx3s-25f --machine tiny --flash
  backspike program --board tang-nano-20k some.fs
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "program",
        help="load a bitstream into a board",
        description="Load a bitstream with openFPGALoader, which must be installed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--board", metavar="NAME", required=True, help="see `backspike boards`")
    parser.add_argument(
        "--machine", metavar="MACHINE", default="default", help="whose build to load (default)"
    )
    parser.add_argument(
        "--flash", action="store_true", help="into the board's flash: it stays without power"
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="a bitstream of any other place")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from backspike.flow.toolchain.family import FAMILIES
    from backspike.flow.toolchain.loader import program

    board, machine = build.find_board(args.board), find_any_machine(args.machine)
    if args.file is None:
        name = f"{board.name}-{machine.name}"
        suffix = Path(FAMILIES[board.family].bitstream).suffix
        path = Path(build.FOLDER) / name / f"{name}{suffix}"
        if not path.exists():
            raise UserError(
                f"{path} is not there: backspike build --board {board.name} --machine "
                f"{machine.name} makes it"
            )
    else:
        path = Path(args.file)
        if not path.is_file():
            raise UserError(f"file is {path}: there is no such file")
    program(board, path, flash=args.flash)
    print(f"loaded {path} into {board.name}", file=sys.stderr)
    return 0
