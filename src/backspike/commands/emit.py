"""`backspike emit`."""

import argparse
import sys
from pathlib import Path

from backspike.backends import find_machine
from backspike.commands import options, outputs
from backspike.gen.machine import MACHINES

EPILOG = """\
examples:
  backspike emit --machine tiny --out build/
      writes build/tiny/
  backspike emit --all --out rtl
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "emit",
        help="write the Verilog of a machine",
        description="Generate the accelerator and write its Verilog to a folder of the machine's "
        "name. The same version of backspike writes the same bytes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_machine(parser)
    parser.add_argument("--all", action="store_true", help="every preset")
    parser.add_argument("--out", metavar="DIR", default="rtl", help="where to (rtl)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    machines = list(MACHINES.values()) if args.all else [find_machine(args.machine)]
    outputs.check_folder("--out", args.out)
    from backspike.emit import emit_machine

    for machine in machines:
        folder = Path(args.out) / machine.name
        emit_machine(machine, folder)
        print(f"wrote {folder}", file=sys.stderr)
    return 0
