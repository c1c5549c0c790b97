"""`backspike bench`."""

import argparse

from backspike.commands import outputs


def add(commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the figures of merit",
        description="Measure accuracy, efficiency of the engines, concurrency and simulation "
        "speed, and print each beside its goal. Takes minutes.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write {figure, value, goal, met, how} of each; -: to stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    outputs.check_file("--json", args.json)
    from backspike.bench import bench

    return bench(args.json)
