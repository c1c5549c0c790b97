"""`backspike hyra`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backspike.cli import options
from backspike.drive.machines import find_spectral_machine
from backspike.drive.registry import check_backend
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.system.json_text import json_text

if TYPE_CHECKING:
    import numpy as np

    from backspike.drive.comparison import Counts
    from backspike.spectral.superresolution.evaluation import Measure, Row, View

SCALES = "2,3,4"
NETWORKS = "srcnn,fsrcnn,bicubic,sinc"
SIZE = 128

EPILOG = """\
examples:
  backspike hyra
      trains SRCNN and FSRCNN for scales 2, 3 and 4 (two minutes, once), and measures
  backspike hyra --scale 2 --network fsrcnn,sinc --plots out/
      draws impulse responses, linear and non-linear parts, and their spectra
  backspike hyra --image photograph.png --backend golden --size 256 --json -

A picture is made smaller and enlarged again; its middle --size x --size pixels are looked at.
Trained weights are kept, and made anew if anything changes that they depend on.
exit codes: 0, 1 (RTL and golden differ), 2 (bad input), 130 (Ctrl-C); others as in
backspike --help.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "hyra",
        help="split super-resolution networks into a low-pass filter and what they add",
        description="Hybrid response analysis (HyRA): train small super-resolution networks, split "
        "their output into a linear part, the convolution with their impulse response, and a "
        "non-linear rest; and measure PSNR, FSDS and how much of a sinc filter is in them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--scale", metavar="N[,N…]", default=SCALES, help=f"2, 3 or 4 times larger ({SCALES})"
    )
    parser.add_argument(
        "--network", metavar="NAME[,NAME…]", default=NETWORKS, help=f"which to look at ({NETWORKS})"
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        action="append",
        help="a picture, in any format Pillow reads, instead of the bundled photographs that no "
        "network was trained with; its luminance counts; may be given several times",
    )
    parser.add_argument(
        "--size", metavar="N", type=options.integer, default=SIZE, help=f"of the middle ({SIZE})"
    )
    options.add_spectral(parser)
    parser.add_argument(
        "--weights",
        metavar="DIR",
        help="read trained weights from this folder, and write there those that it lacks "
        "(default: the cache)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")
    parser.add_argument(
        "--plots", metavar="DIR", help="draw what is found in the first of the pictures"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify everything, then train what is not trained yet, and measure."""
    files.check_file("--json", args.json)
    files.check_folder("--plots", args.plots)
    files.check_folder("--weights", args.weights)
    check_backend(args.backend)
    from backspike.drive.comparison import Counts
    from backspike.spectral.superresolution.evaluation import check_pictures, held_out
    from backspike.spectral.superresolution.networks import check_choice
    from backspike.spectral.superresolution.report import table

    machine = find_spectral_machine(args.machine)
    _check_size(args.size, args.backend, machine)
    scales, networks = _scales(args.scale), _names(args.network)
    for name in networks:
        for scale in scales:
            check_choice(name, scale)
    pictures = held_out() if args.image is None else {path: _read(path) for path in args.image}
    check_pictures(pictures, scales, args.size)

    counts = Counts()
    with _measure(args.backend, machine, counts) as measure:
        rows, views = _measured(args, measure, networks, scales, pictures)
    if args.json is not None:
        about = {
            "backend": args.backend,
            "machine": None if args.backend == "golden" else machine.name,
            "size": args.size,
            "pictures": list(pictures),
            "rows": [row.to_json() for row in rows],
            "check": {"values": counts.values, "mismatches": counts.mismatches},
        }
        files.write_json(args.json, json_text(about))
    if args.plots is not None:
        from backspike.spectral.superresolution.plots import draw

        for path in draw(views, Path(args.plots)):
            print(f"drew {path}", file=sys.stderr)
    where = "golden" if args.backend == "golden" else f"{args.backend} {machine.name}"
    compared = (
        f"{counts.values:,} sums, {counts.mismatches} mismatches" if counts.values else "nothing"
    )
    about = [
        f"pictures  {', '.join(pictures)}: luminance, middle {args.size} x {args.size} pixels",
        f"FSDS      on {where}",
        f"compared  {compared}",
    ]
    stream = sys.stderr if files.is_stdout(args.json) else sys.stdout
    print(table(rows, "\n".join(about)), end="", file=stream)
    return 0


def _measured(
    args: argparse.Namespace,
    measure: "Measure",
    networks: tuple[str, ...],
    scales: tuple[int, ...],
    pictures: "dict[str, np.ndarray]",
) -> "tuple[list[Row], dict[tuple[int, str], View]]":
    """The figures of every network at every scale; the views are of the first picture."""
    from backspike.spectral.superresolution.evaluation import row, view
    from backspike.spectral.superresolution.networks import TRAINED, make
    from backspike.spectral.superresolution.weights import trained
    from backspike.system.progress import progress_bar

    folder = None if args.weights is None else Path(args.weights)
    ready = {
        (scale, name): trained(name, scale, folder, bar=True)
        if name in TRAINED
        else make(name, scale)
        for scale in scales
        for name in networks
    }
    rows, first = [], {}
    for (scale, name), network in progress_bar(ready.items(), desc="measuring", unit="network"):
        views = [view(network, scale, *each, args.size) for each in pictures.items()]
        first[scale, name] = views[0]
        rows.append(row(name, views, measure))
    return rows, first


@contextmanager
def _measure(backend: str, machine: SpectralMachine, counts: "Counts") -> Iterator["Measure"]:
    """FSDS of two pictures in dB, where the user wants it computed; counts: what was compared."""
    from backspike.spectral.fsds import measure, open_unit

    with ExitStack() as stack:
        unit = None
        if backend != "golden":
            unit = stack.enter_context(closing(open_unit(machine, backend)))
        yield (
            lambda reference, image: (
                measure(reference, image, backend, machine, unit=unit, counts=counts).fsds_db
            )
        )


def _check_size(size: int, backend: str, machine: SpectralMachine) -> None:
    if size < SMALLEST:
        raise UserError(f"size is {size}, must be {SMALLEST} or more")
    if backend != "golden" and (size > machine.size or size & (size - 1)):
        raise UserError(
            f"size is {size} on {machine.name}, must be a power of two from {SMALLEST} to "
            f"{machine.size}, or any with --backend golden"
        )


def _scales(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UserError(
            f"scale is {text!r}, must be whole numbers with commas between, as {SCALES}"
        ) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def _read(path: str) -> "np.ndarray":
    from backspike.spectral.photographs import grey
    from backspike.spectral.pictures import read_picture

    picture = read_picture(path)
    if picture.bits != 8:
        raise UserError(f"picture {path} has {picture.bits} bits a pixel, must have 8")
    return grey(picture.pixels)
