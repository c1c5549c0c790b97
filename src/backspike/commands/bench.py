"""`backspike bench`."""

import argparse
import textwrap

from backspike.commands import outputs


def add(commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the figures of merit",
        description="Measure the figures of merit, and print each beside its goal and how it was "
        "measured. Takes about ten minutes. The exit code is 1 if a figure is not met.",
        epilog=textwrap.dedent("""\
            groups of figures:
              lockstep    mismatches of RTL and golden; overlap of the engines; cycles a sample
              efficiency  busy / bound of each engine alone, 128-128, densities 0.05 to 1.0
              speed       the RTL backend's cycles a second beside a bare loop's
              accuracy    digits after 10 epochs, 3 seeds, both rules, beside float32 autograd

            example: backspike bench --only lockstep,speed --json -
            """),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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

    return bench(args.json, None if args.only is None else args.only.split(","))
