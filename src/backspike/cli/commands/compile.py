"""`backspike compile`."""

import argparse
from dataclasses import asdict

from backspike.cli import described, options
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph
from backspike.system import files
from backspike.system.json_text import json_text
from backspike.train.layers import in_words
from backspike.train.words import plural

UPDATE = ENGINES[-1]
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
    graph, steps = described.network_of(args), described.steps_of(args)
    machine = options.settle_machine(args, graph)
    from backspike.compile.parts import compile_batch
    from backspike.compile.predict import Densities, cycles_a_batch, predict

    shares = Densities() if args.density is None else Densities(**_shares(args.density))
    learning, every = described.learning_of(args, graph)
    plan = compile_batch(graph, steps, learning, machine, every=every)
    everywhere = shares.shares(plan.graph)
    busy, total = predict(plan, everywhere), cycles_a_batch(plan, everywhere)
    cycles = {c.name: _cycles(graph, busy, c) for c in graph.connections}
    if args.json is not None:
        about = {
            "machine": machine.name,
            "batch": learning.batch,
            "samples_of_a_part": plan.learning.batch,
            "steps": steps,
            "samples_of_a_block": plan.cut.samples,
            "steps_of_a_block": plan.cut.steps,
            "blocks": plan.cut.blocks,
            "layers": [
                {"name": c.name, "source": c.source, "target": c.target}
                | asdict(plan.connections[c.name])
                | {"cycles": cycles[c.name]}
                for c in graph.connections
            ],
            "cycles_a_batch": total,
            "uses": [asdict(use) for use in plan.uses],
            "tasks": {name: len(queue.tasks) for name, queue in plan.queues.items()},
            "density": asdict(shares),
        }
        files.write_json(args.json, json_text(about))
    if not files.is_stdout(args.json):
        print(_shown(plan, learning.batch, cycles, total, shares), end="")
    return 0


def _cycles(
    graph: Graph, busy: dict[str, dict[str, float]], connection: Connection
) -> dict[str, float]:
    """By engine; those of a population's sums with the first connection that enters it."""
    from backspike.compile.predict import update_cycles

    first = graph.into(connection.target)[0] is connection
    return {
        engine: update_cycles(busy, connection.name)
        if engine == UPDATE
        else busy[engine].get(connection.target, 0.0) * first
        for engine in ENGINES
    }


def _shown(plan, batch, cycles, total, shares) -> str:
    """The plan as aligned text. batch: of which the plan may hold a part at a time."""
    machine, cut, part = plan.machine, plan.cut, plan.learning.batch
    parts = "" if part == batch else f", parts of up to {part},"
    what = "part" if parts else "batch"
    wide = max(12, *(len(name) + 2 for name in cycles))
    lines = [
        f"{in_words(plan.graph)} on {machine.name} ({machine.lanes} lanes): batches of "
        f"{plural(batch, 'sample')}{parts} and {plural(plan.steps, 'step')} in "
        f"{plural(cut.blocks, 'block')} of {cut.samples} and {cut.steps}",
        "",
        f"{'connection':<{wide}}{'sources':>8}{'neurons':>9}{'tiles':>7}{'rows':>8}"
        f"{'first row':>11}{'forward':>12}{'backward':>12}{'gradient':>12}",
    ]
    for name, each in cycles.items():
        at = plan.connections[name]
        sources = f"{at.sources}{'+1' if at.bias else ''}"
        lines.append(
            f"{name:<{wide}}{sources:>8}{at.size:>9}{at.tiles:>7}{at.rows:>8,}{at.weights:>11,}"
            + "".join(f"{each[engine]:>12,.0f}" for engine in ENGINES)
        )
    engines = [sum(each[engine] for each in cycles.values()) for engine in ENGINES]
    lines += [
        f"{f'busy cycles a {what}':<{43 + wide}}"
        + "".join(f"{engine:>12,.0f}" for engine in engines),
        "",
        f"A {what} takes about {total:,.0f} cycles, its update beside the next one's forward pass: "
        f"{total / sum(engines):.2f} of the busy cycles.",
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
