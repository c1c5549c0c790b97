"""`backspike bench`."""

import argparse
import textwrap

from backspike.commands import outputs


def add(commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the figures of merit",
        description="Measure the figures of merit, and print each beside its goal and how it was "
        "measured: those of the training core, or with --spectral those of the spectral unit. "
        "Either takes about ten minutes. The exit code is 1 if a figure is not met.",
        epilog=textwrap.dedent("""\
            groups of figures:
              lockstep    mismatches of RTL and golden; overlap of the engines; cycles a sample
              efficiency  busy / bound of each engine alone, 128-128, densities 0.05 to 1.0
              speed       the RTL backend's cycles a second beside a bare loop's
              accuracy    digits after 10 epochs, 3 seeds, both rules, beside float32 autograd
            with --spectral:
              images      mismatches of RTL and golden: images of all kinds in all sizes to 32 x 32
              cycles      of a pair of images over 2 H W, 128 x 128 to 256 x 256
              inverse     of forward, 128 x 128: every value's error over its bound
              sqnr        of the 2-D transform of photographs, 256 x 256
              fft         the 256-point transform alone: SQNR; size and speed on an LFE5U-85F,
                          if the tools of `backspike build` are installed
              fsds        of pairs of photographs on the RTL beside float64, 128 and 256 square
              sizes       mismatches on units of 8, 16, 64 and 512

            examples:
              backspike bench --only lockstep,speed --json -
              backspike bench --spectral
            """),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--spectral", action="store_true", help="measure the spectral unit, not the training core"
    )
    parser.add_argument(
        "--only", metavar="GROUP[,GROUP…]", help="measure these groups of figures (default: all)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write {figure, value, goal, met, how} of each; -: to stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    outputs.check_file("--json", args.json)
    from backspike.bench import bench

    only = None if args.only is None else args.only.split(",")
    return bench(args.json, only, on_spectral=args.spectral)
