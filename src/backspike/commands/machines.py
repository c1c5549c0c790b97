"""`backspike machines`."""

import argparse
import json
from dataclasses import asdict

from backspike.commands import outputs
from backspike.gen.machine import DEPTH, MACHINES


def add(commands) -> None:
    parser = commands.add_parser(
        "machines",
        help="list the presets of the accelerator",
        description="List the presets. Every machine gives the same bits; they differ in what fits "
        "and in how long it takes.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", help="write them as JSON; -: to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    outputs.check_file("--json", args.json)
    if args.json is not None:
        listed = [asdict(machine) for machine in MACHINES.values()]
        outputs.write_json(args.json, json.dumps(listed, indent=2) + "\n")
    if args.json == outputs.STDOUT:
        return 0
    print(f"{'name':<10}{'lanes':>7}{'weights':>10}{'spikes':>10}{'gradients':>11}{'layers':>8}")
    for machine in MACHINES.values():
        tile = machine.lanes * DEPTH
        print(
            f"{machine.name:<10}{machine.lanes:>7}{machine.weights:>10,}"
            f"{machine.spike_units * tile:>10,}{machine.units * tile:>11,}{machine.layers:>8}"
        )
    print("\nweights in halves; spikes and gradients of one batch, in neurons x samples x steps")
    return 0
