"""`backspike machines`."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from backspike.gen.machine import DEPTH, MACHINES
from backspike.gen.spectral.machine import SMALLEST, SPECTRAL_MACHINES
from backspike.system import files
from backspike.system.json_text import json_text

PARAMETERS = {
    "lanes": "columns that each engine works on at a time: 2, 4, 8 or 16",
    "fp_reuse": "lanes that a drain unit of the feed-forward engine serves: 1, 2, 4 or 8",
    "bp_reuse": "likewise of back-propagation",
    "wg_reuse": "likewise of the weight gradients and the update",
    "weight_rows": "rows of `lanes` weights, a multiple of lanes",
    "units": "tiles of `lanes` neurons x 16 (sample, step) with codes, of a batch",
    "spike_units": "likewise with spikes; the inputs are among them",
    "readout_units": "likewise of the read-out",
    "layers": "at the most: a power of two up to 16",
    "tasks": "that an engine's queue holds, up to 1024",
    "states": "tiles of which neurons keep what goes on while others take their turn, up to 1024",
    "momentum": "1: there is a memory of moments, as large as that of weights; 0: none",
    "gradient_units": "tiles of gradients, if they are fewer than those of codes; 0: as many",
    "windows": "rows of the table of windows, which convolutions need: a power of two; 0: none",
    "scale_down": "places that weights are shifted down, for averages and graded inputs, up to 16",
    "scale_up": "likewise up, for graded inputs, up to 8",
    "parts": "1: there is a memory of partial sums, so that a batch may be larger than what fits; "
    "0: none",
}
SPECTRAL_PARAMETERS = {
    "size": "the largest height and width: a power of two",
    "pixel_bits": "8 or 16",
}
EPILOG = """\
Every command that takes a machine also takes a preset with other parameters, and a file:
  --machine default,lanes=4,fp_reuse=2
  --machine mine.toml      where mine.toml has lines as
                           base = "default"
                           lanes = 4
spike_units, readout_units, tasks and states are powers of two from 2 up.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "machines",
        help="list the presets of the accelerators",
        description="List the presets and their parameters: of those that train, and of the "
        "spectral units. Every machine of a kind gives the same bits; they differ in what fits and "
        "in how long it takes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    table("training", MACHINES, PARAMETERS)
    print()
    for name, machine in MACHINES.items():
        tile = machine.lanes * DEPTH
        print(
            f"{name}: {machine.weights:,} weights in FP16 (half precision); of a batch, in neurons "
            f"x samples x steps, {machine.spike_units * tile:,} spikes and "
            f"{machine.units * tile:,} gradients"
        )
    print()
    table("spectral", SPECTRAL_MACHINES, SPECTRAL_PARAMETERS)
    print(f"\nheight and width: powers of two from {SMALLEST} to size, each chosen at run time")
    return 0


def table(kind: str, machines: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    """A row for each parameter, a column for each preset, and what it is."""
    widths = [max(8, len(name) + 2) for name in machines]
    heads = zip(machines, widths, strict=True)
    print(f"{kind:<14}" + "".join(f"{name:>{width}}" for name, width in heads))
    for name, text in parameters.items():
        values = (getattr(machine, name) for machine in machines.values())
        cells = (f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
        print(f"{name:<14}{''.join(cells)}  {text}")
