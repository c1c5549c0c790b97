"""`backspike emit`."""

import argparse
import sys
from pathlib import Path

from backspike.drive.machines import FORMS, find_any_machine
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.ir.errors import UserError
from backspike.system import files

EPILOG = """\
examples:
  backspike emit --machine tiny --out build/
      writes build/tiny/
  backspike emit --machine spectral-128 --prefix spectrum
      writes build/rtl/spectral-128/spectrum.v, whose modules are spectrum and spectrum_...
  backspike emit --all --out build/rtl

Each folder has NAME.v, NAME.vlt and registers.md; NAME is backspike_MACHINE or --prefix. No two
presets share the name of a module, so several go into one design. The ports are clk, rst, running,
fault and s_axi_awaddr and so on (AXI4-Lite). Lint, with the waivers of NAME.vlt, is clean:
  verilator --lint-only -Wall NAME.vlt NAME.v
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
        metavar="MACHINE",
        default="default",
        help=f"{', '.join((*MACHINES, *SPECTRAL_MACHINES))}; or {FORMS} (default)",
    )
    parser.add_argument("--all", action="store_true", help="every preset")
    parser.add_argument(
        "--prefix", metavar="NAME", help="of every module (backspike_MACHINE, - as _)"
    )
    parser.add_argument("--out", metavar="DIR", default="build/rtl", help="where to (build/rtl)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    presets = [*MACHINES.values(), *SPECTRAL_MACHINES.values()]
    machines = presets if args.all else [find_any_machine(args.machine)]
    files.check_folder("--out", args.out)
    from backspike.flow.emit import check_prefix, write_machine

    if args.prefix is not None:
        if args.all:
            raise UserError("--prefix is given with --all: presets must have different prefixes")
        check_prefix(args.prefix)
    for machine in machines:
        folder = Path(args.out) / machine.name
        write_machine(machine, folder, args.prefix)
        print(f"wrote {folder}", file=sys.stderr)
    return 0
