"""`backspike emit`."""

import argparse
import sys
from pathlib import Path

from backspike.drive.registry import find_any_machine
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.system import files

EPILOG = """\
examples:
  backspike emit --machine tiny --out build/
      writes build/tiny/
  backspike emit --machine spectral-128
  backspike emit --all --out rtl
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "emit",
        help="write the Verilog of a machine",
        description="Generate the accelerator, or the spectral unit, and write its Verilog to a "
        "folder of the machine's name. The same version of backspike writes the same bytes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--machine",
        metavar="NAME",
        default="default",
        help=f"preset: {', '.join((*MACHINES, *SPECTRAL_MACHINES))} (default)",
    )
    parser.add_argument("--all", action="store_true", help="every preset")
    parser.add_argument("--out", metavar="DIR", default="rtl", help="where to (rtl)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    presets = [*MACHINES.values(), *SPECTRAL_MACHINES.values()]
    machines = presets if args.all else [find_any_machine(args.machine)]
    files.check_folder("--out", args.out)
    from backspike.flow.emit import emit_machine

    for machine in machines:
        folder = Path(args.out) / machine.name
        emit_machine(machine, folder)
        print(f"wrote {folder}", file=sys.stderr)
    return 0
