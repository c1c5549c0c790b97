"""`backspike fsds`."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from backspike.cli import options
from backspike.drive.machines import find_spectral_machine
from backspike.drive.registry import check_backend
from backspike.gen.spectral.machine import LARGEST, SMALLEST
from backspike.system import files
from backspike.system.json_text import json_text

if TYPE_CHECKING:
    from backspike.spectral.fsds import Similarity


EPILOG = """\
examples:
  backspike fsds reference.png image.png
      on the simulated spectral unit, every sum compared with PyTorch
  backspike fsds reference.png image.png --backend golden --json - | jq .fsds_db
      any size; in integers, bit for bit the unit's, where sides are powers of two from 8 to 512,
      else in float64
  backspike fsds reference.png image.png --tile 128
      pictures larger than the unit: averaged over their 128 x 128 tiles
  backspike fsds reference.png image.png --machine spectral-256 --plots out/
  backspike fsds reference.png image.png --machine spectral-64 --backend serial:/dev/ttyUSB0
      on a board, which `backspike build` made a bitstream for; every sum compared, too

FSDS is -10 log10( Σ|cA - cB|² / Σ|cB|² ) dB of the cumulative spectra cA of the image and cB of the
reference, both brought to mean 0 and deviation 1 over all channels. It is not symmetric. Pictures
that are equal but for brightness and contrast give +inf, in JSON the string "Infinity".

With --tile N the whole N x N tiles count as channels: one mean and deviation over all of them,
energies summed over all. What is over at the right and at the bottom is left out, and said. That is
another figure than the pictures' own.

JSON: backend, machine (null on golden), height, width, channels, fsds_db, reference_db (of the
float64 definition), sums {saa, sbb, sab} (integers of any length; null in float64), cycles {total,
bound} (null on golden), check {values, mismatches}; besides bits, arithmetic (integer or float64),
tile, and parts: the ten sums of each channel of each tile. An integer beyond 2^53, which many
readers round, has its digits as a string beside it: saa_str beside saa.
exit codes: 0, 1 (a sum differs from golden), 2 (bad input), 130 (Ctrl-C); others as in
backspike --help.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "fsds",
        help="similarity of two pictures' spectra, on the spectral unit",
        description="Frequency spectrum distribution similarity (FSDS, arXiv 2405.07919) of an "
        "image against a reference, in dB: more is more alike.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("reference", metavar="REF", help="the reference: any file Pillow reads")
    parser.add_argument("image", metavar="IMG", help="the image: same size, channels and depth")
    options.add_spectral(parser)
    parser.add_argument(
        "--tile", type=options.integer, metavar="N", help="average over tiles of N x N pixels"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")
    parser.add_argument(
        "--plots", metavar="DIR", help="draw both spectra, cumulative spectra, differences"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify everything, then measure; returns the exit code."""
    files.check_file("--json", args.json)
    files.check_folder("--plots", args.plots)
    check_backend(args.backend)
    from backspike.spectral.fsds import measure
    from backspike.spectral.pictures import check_pair, read_picture

    machine = find_spectral_machine(args.machine)
    reference, image = read_picture(args.reference), read_picture(args.image)
    check_pair(reference, image)
    result = measure(
        reference.pixels,
        image.pixels,
        args.backend,
        machine,
        tile=args.tile,
        names=(f"reference {reference.name}", f"picture {image.name}"),
        bar=True,
    )
    if args.plots is not None:
        from backspike.spectral.plots import draw

        for path in draw(reference.pixels, image.pixels, Path(args.plots)):
            _tell(f"drew {path}")
    if args.json is not None:
        files.write_json(args.json, json_text(result.to_json()))
    print(table(result), end="", file=sys.stderr if files.is_stdout(args.json) else sys.stdout)
    return 0


def table(result: "Similarity") -> str:
    """A few aligned lines: the figure, beside the definition's; what was compared, and cycles."""
    tile = result.tile
    head = "FSDS" if tile is None else f"FSDS of tiles {tile} x {tile}"
    rows = [(head, _decibels(result.fsds_db))]
    if result.arithmetic == "integer":
        apart = result.fsds_db - result.reference_db  # nan, if both are infinite
        told = f", {abs(apart):.4f} dB apart" if math.isfinite(apart) else ""
        rows.append(("in float64", f"{_decibels(result.reference_db)}{told}"))
    channels = f"{result.channels} channel{'s' if result.channels > 1 else ''}"
    rows.append(("pictures", f"{result.width} x {result.height}, {channels} of {result.bits} bits"))
    if result.cut is not None:
        cut = result.cut
        rows += [
            ("averaged", f"energies of {cut.rows} x {cut.columns} tiles, as channels of a picture"),
            ("left out", f"{cut.right} columns at the right, {cut.bottom} rows at the bottom"),
        ]
    if result.backend == "golden":
        beyond = f" (integers: powers of two from {SMALLEST} to {LARGEST})"
        which = result.arithmetic + (beyond if result.arithmetic == "float64" else "")
        rows.append(("computed", f"golden, {which}"))
    else:
        rows.append(("computed", f"{result.backend} {result.machine}"))
    rows.append(("compared", _compared(result)))
    if result.cycles is not None:
        total, bound = result.cycles["total"], result.cycles["bound"]
        rows.append(("cycles", f"{total:,} of bound {bound:,}: {total / bound:.3f}"))
    width = max(len(name) for name, _ in rows) + 2
    return "".join(f"{name:<{width}}{value}\n" for name, value in rows)


def _decibels(figure: float) -> str:
    if math.isfinite(figure):
        return f"{figure:.4f} dB"
    return "+inf dB: equal but for brightness and contrast"


def _compared(result: "Similarity") -> str:
    values, mismatches = result.check["values"], result.check["mismatches"]
    if not values:
        return "nothing"
    return f"{values:,} sums, {mismatches} mismatch{'' if mismatches == 1 else 'es'}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
