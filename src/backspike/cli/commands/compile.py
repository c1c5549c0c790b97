"""`backspike compile`."""

import argparse
from dataclasses import asdict

from backspike.cli import options
from backspike.drive.machines import find_machine
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.system.json_text import json_text

EPILOG = """\
examples:
  backspike compile
      the default network on the default machine
  backspike compile --layers 784,128,10 --machine wide --batch 4 --density 0.13,0.05,0.1
      the densities are what `backspike train` prints at its end
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "compile",
        help="show how a network is laid out on a machine",
        description="Compile a network for a machine and print its layers, tiles, use of memory "
        "and predicted cycles; or say what does not fit.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_network(parser)
    options.add_learning(parser)
    options.add_machine(parser)
    parser.add_argument(
        "--density",
        metavar="I,S,G",
        help="shares of input spikes, hidden spikes and nonzero hidden gradients that the cycles "
        "are predicted for (0.32,0.09,0.15, as digits have)",
    )
    parser.add_argument("--json", metavar="FILE", help="write it as JSON; -: to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    machine = find_machine(args.machine)
    network, learning = options.network_of(args), options.learning_of(args)
    from backspike.compile.compiler import compile_network
    from backspike.compile.predict import Densities, predict

    shares = Densities() if args.density is None else Densities(**_shares(args.density))
    plan = compile_network(network, learning, machine)
    cycles = predict(plan, shares)
    if args.json is not None:
        about = {
            "machine": machine.name,
            "batch": learning.batch,
            "steps": network.steps,
            "samples_of_a_block": plan.cut.samples,
            "steps_of_a_block": plan.cut.steps,
            "blocks": plan.cut.blocks,
            "layers": [
                asdict(at) | {"cycles": asdict(each)}
                for at, each in zip(plan.layers, cycles, strict=True)
            ],
            "uses": [asdict(use) for use in plan.uses],
            "tasks": {name: len(queue.tasks) for name, queue in plan.queues.items()},
            "density": asdict(shares),
        }
        files.write_json(args.json, json_text(about))
    if not files.is_stdout(args.json):
        print(_shown(network, plan, cycles, shares), end="")
    return 0


def _shown(network, plan, cycles, shares) -> str:
    """The plan as aligned text."""
    machine, cut = plan.machine, plan.cut
    lines = [
        f"{'-'.join(map(str, network.sizes))} on {machine.name} ({machine.lanes} lanes): batches "
        f"of {plan.learning.batch} samples and {network.steps} steps in {cut.blocks} blocks of "
        f"{cut.samples} and {cut.steps}",
        "",
        f"{'layer':<7}{'sources':>8}{'neurons':>9}{'tiles':>7}{'rows':>8}{'first row':>11}"
        f"{'forward':>12}{'backward':>12}{'gradient':>12}",
    ]
    for n, (at, each) in enumerate(zip(plan.layers, cycles, strict=True)):
        sources = f"{at.sources}{'+1' if at.bias else ''}"
        lines.append(
            f"{n:<7}{sources:>8}{at.size:>9}{at.tiles:>7}{at.rows:>8,}{at.weights:>11,}"
            f"{each.fp:>12,.0f}{each.bp:>12,.0f}{each.wg:>12,.0f}"
        )
    engines = [sum(getattr(each, engine) for each in cycles) for engine in ("fp", "bp", "wg")]
    lines += [
        f"{'cycles a batch':<50}" + "".join(f"{engine:>12,.0f}" for engine in engines),
        "",
        f"A batch takes from {max(engines):,.0f} cycles, if the engines overlap perfectly, to "
        f"{sum(engines):,.0f}, if they take turns.",
        f"Predicted for densities of {shares.input:g} (input), {shares.spikes:g} (spikes) and "
        f"{shares.gradients:g} (gradients).",
        "",
        f"{'memory':<34}{'needs':>9}{'has':>9}{'used':>7}",
    ]
    lines += [
        f"{use.memory:<34}{use.needs:>9,}{use.has:>9,}{use.needs / use.has:>7.0%}  {use.unit}"
        for use in plan.uses
    ]
    return "\n".join(lines) + "\n"


def _shares(text: str) -> dict[str, float]:
    try:
        shares = [options.number(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        shares = []
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares):
        raise UserError(f"density is {text!r}, must be three shares within 0..1, as 0.3,0.1,0.2")
    return dict(zip(("input", "spikes", "gradients"), shares, strict=True))
