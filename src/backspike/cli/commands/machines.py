"""`backspike machines`."""

import argparse
from dataclasses import asdict

from backspike.gen.machine import DEPTH, MACHINES
from backspike.gen.spectral.machine import SMALLEST, SPECTRAL_MACHINES
from backspike.system import files
from backspike.system.json_text import json_text


def add(commands) -> None:
    parser = commands.add_parser(
        "machines",
        help="list the presets of the accelerators",
        description="List the presets: of those that train, and of the spectral units. Every "
        "machine of a kind gives the same bits; they differ in what fits and in how long it takes.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", help="write them as JSON; -: to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    if args.json is not None:
        kinds = {"training": MACHINES, "spectral": SPECTRAL_MACHINES}
        listed = [
            {"name": name, "kind": kind, **asdict(machine)}
            for kind, machines in kinds.items()
            for name, machine in machines.items()
        ]
        files.write_json(args.json, json_text(listed))
    if files.is_stdout(args.json):
        return 0
    print(
        f"{'training':<18}{'lanes':>7}{'weights':>10}{'spikes':>10}{'gradients':>11}{'layers':>8}"
    )
    for machine in MACHINES.values():
        tile = machine.lanes * DEPTH
        print(
            f"{machine.name:<18}{machine.lanes:>7}{machine.weights:>10,}"
            f"{machine.spike_units * tile:>10,}{machine.units * tile:>11,}{machine.layers:>8}"
        )
    print(
        "\nweights in FP16 (half precision); spikes and gradients of one batch, in neurons x "
        "samples x steps"
    )
    print(f"\n{'spectral':<18}{'height, width':>17}{'pixel bits':>12}{'samples':>10}")
    for unit in SPECTRAL_MACHINES.values():
        sizes = f"{SMALLEST} to {unit.size}"
        print(f"{unit.name:<18}{sizes:>17}{unit.pixel_bits:>12}{unit.points:>10,}")
    print("\nheight and width: powers of two, each chosen at run time")
    return 0
