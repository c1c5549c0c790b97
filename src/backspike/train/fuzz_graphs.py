"""Random graphs trained on the RTL, every bit compared with golden. Machine and seed name a run:

python -m backspike.train.fuzz_graphs --machine tiny --seed 17
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.machines import find_machine
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES, Machine
from backspike.golden.backend import GoldenBackend
from backspike.ir.bits import Bits
from backspike.ir.constants import SMALLEST
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.system.program import run_program
from backspike.train.fuzz_training import (
    ALPHAS,
    DENSITIES,
    HALVES,
    RATES,
    random_halves,
    random_spikes,
)
from backspike.train.random_graphs import random_graph
from backspike.train.random_planes import random_planes

LARGEST = (4, 9, 20, 40)
"""Neurons of a population at the most."""
STEPS, BATCH, BATCHES = 40, 20, 3
PLANES = 0.5
"""Share of networks with convolutions."""
MOMENTA = (0.0, 0.0, 0.5, 0.9, SMALLEST)
MORE = 0.4
"""The share of batches that are one with what follows."""


@dataclass(frozen=True)
class Case:
    """What a seed stands for, and the generator that draws its tensors."""

    seed: int
    plan: Plan
    weights: str  # of HALVES
    more: tuple[bool, ...]  # of each batch but the last: that it is one with what follows
    rng: np.random.Generator

    def __str__(self) -> str:
        plan = self.plan
        graph = ", ".join(f"{c.source} {'~' if c.delay else '-'}> {c.target}"
                          for c in plan.graph.connections)  # fmt: skip
        return (
            f"seed {self.seed}: {graph}; {plan.steps} steps, batch {plan.learning.batch}, "
            f"{'states go on, ' if plan.stateful else ''}{_errors(plan)}, "
            f"{plan.learning.rounding}, "
            f"{_updates(plan.learning)}, "
            f"{'in parts, ' if any(self.more) else ''}"
            f"{self.weights} weights"
        )


def _errors(plan: Plan) -> str:
    if plan.every:
        return "errors of every step"
    return "errors of labels" if plan.learning.loss == "mse" else "errors of the last step"


def _updates(learning: Learning) -> str:
    return "by the host" if learning.updates == "host" else f"momentum {learning.momentum:g}"


def roomy(machine: Machine) -> Machine:
    """The machine with memories for all graphs that are drawn."""
    lanes = machine.lanes
    return replace(
        machine,
        name=f"{machine.name}-roomy",
        weight_rows=max(8208, machine.weight_rows),
        units=max(8200 // lanes, machine.units),
        gradient_units=1000 // lanes,
        spike_units=max(16384 // lanes, machine.spike_units),
        readout_units=4096 // lanes,
        layers=16,
        tasks=1024,
        states=1024 // lanes,
        momentum=1,
        windows=1024,
        scale_down=12,
        scale_up=7,
        parts=1,
    )


def draw_case(machine: Machine, seed: int) -> Case:
    """The run of that seed on that machine."""
    rng = np.random.default_rng([seed, machine.lanes])
    while True:
        planes, largest = rng.random() < PLANES, int(rng.choice(LARGEST))
        graph = random_planes(rng, channels=largest // 2) if planes else random_graph(rng, largest)
        every = bool(rng.random() < 0.6)
        learning = Learning(
            batch=int(rng.integers(1, BATCH + 1)),
            loss="ce" if every else ("ce", "mse")[rng.integers(2)],
            alpha=float(rng.choice(ALPHAS)),
            rate=float(rng.choice(RATES)),
            rounding=("nearest", "stochastic")[rng.integers(2)],
            momentum=float(rng.choice(MOMENTA)),
            updates="host" if rng.random() < 0.2 else "chip",
            seed=int(rng.integers(2**32)),
        )
        steps = 1 if rng.random() < 0.1 else int(rng.integers(2, STEPS + 1))
        stateful = bool(rng.random() < 0.3)
        try:
            plan = compile_graph(graph, steps, learning, machine, every=every, stateful=stateful)
        except UserError:  # does not fit
            continue
        parts = np.random.default_rng([seed, machine.lanes, 1])
        more = tuple(bool(x < MORE * machine.parts) for x in parts.random(BATCHES - 1))
        return Case(seed, plan, str(rng.choice(HALVES)), more, rng)


def run_case(case: Case) -> tuple[Counts, bool]:
    """Run it in lockstep; returns what was compared and whether a rounding saturated.

    Mismatch says what differs and which command shows it again.
    """
    plan, rng = case.plan, case.rng
    graph, learning = plan.graph, plan.learning
    core = RTLBackend(plan)
    golden = GoldenBackend(graph, learning, every=plan.every)
    lockstep = Lockstep(core, golden)
    try:
        lockstep.load_weights(random_weights(case))
        samples, errors, first = 0, None, True
        for n in range(BATCHES):
            go_on = plan.stateful and n > 0 and bool(rng.random() < 0.7)
            samples = samples if go_on else int(rng.integers(1, learning.batch + 1))
            batch = random_inputs(case, samples), random_labels(case, samples)
            # A batch may also be run forward only, as an evaluation is.
            way = rng.choice(["both", "apart", "skip"]) if errors is not None else "skip"
            part = {"first": first, "last": not case.more[n - 1]}
            first = part["last"] if way != "skip" else first
            if errors is not None and way == "both" and learning.updates == "chip":
                logits = lockstep.update_forward(errors, n, *batch, go_on=go_on, **part)
            else:
                if errors is not None and way != "skip":
                    lockstep.update(errors, n, **part)
                    if learning.updates == "host" and part["last"]:
                        lockstep.set_weights(random_weights(case))
                logits = lockstep.forward(*batch, go_on=go_on)
            errors = {
                name: random_error(case, x.shape)
                for name, x in logits.items()
                if name not in own_errors(plan)
            }
        assert errors is not None
        lockstep.update(errors, BATCHES, first=first)
        got, want = core.saturated(), golden.saturated()
        if got != want:
            raise Mismatch(f"flag `saturated`: got {got}, want {want}")
        return lockstep.counts, want
    except Exception as error:
        if isinstance(error, Mismatch):
            raise Mismatch(f"{error}. {_again(case)}") from None
        error.add_note(_again(case))
        raise
    finally:
        core.close()


def random_weights(case: Case) -> dict[str, Bits]:
    """Of each connection that has some."""
    shapes = case.plan.graph.shapes
    return {name: random_halves(case.rng, shape, case.weights) for name, shape in shapes.items()}


def random_inputs(case: Case, samples: int) -> dict[str, Bits]:
    """Spikes of each input, or its numbers, some of them perhaps silent, perhaps all of them."""

    plan = case.plan
    return {
        p.name: random_spikes(case.rng, p, plan.steps, samples)
        for p in plan.graph.populations
        if p.role == "input"
    }


def own_errors(plan: Plan) -> list[str]:
    """The read-outs whose errors the core works out of labels."""
    if plan.every or plan.learning.loss != "mse":
        return []
    return [p.name for p in plan.graph.populations if p.role == "readout" and not p.spikes]


def random_labels(case: Case, samples: int) -> Bits | None:
    """Classes that each read-out has whose errors come of them; none without such a one."""
    own = own_errors(case.plan)
    if not own:
        return None
    classes = min(case.plan.graph.by_name[name].size for name in own)
    return case.rng.integers(0, classes, samples)


def random_error(case: Case, shape: tuple[int, ...]) -> Bits:
    """FP16 numbers of that shape, some of them perhaps zero, perhaps all of them."""
    present = case.rng.random(shape) < case.rng.choice(DENSITIES)
    return random_halves(case.rng, shape, str(case.rng.choice(HALVES))) * present.astype(np.uint16)


def _again(case: Case) -> str:
    machine = case.plan.machine.name.removesuffix("-roomy")
    program = "python -m backspike.train.fuzz_graphs"
    return f"Again: {program} --machine {machine} --seed {case.seed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Raises Mismatch at the first run that differs."""
    parser = argparse.ArgumentParser(
        prog="python -m backspike.train.fuzz_graphs",
        description="Random graphs trained on the RTL, every bit compared with golden. The machine "
        "has its engines, and memories for all of them.",
    )
    parser.add_argument("--machine", required=True, help=f"one of {', '.join(MACHINES)}")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default 0)")
    parser.add_argument("--runs", type=int, default=1, help="how many, one seed each (default 1)")
    given = parser.parse_args(arguments)
    machine = roomy(find_machine(given.machine))
    for seed in range(given.seed, given.seed + given.runs):
        case = draw_case(machine, seed)
        counts, saturated = run_case(case)
        end = ", saturated" if saturated else ""
        print(f"{case}: {counts.values} values equal{end}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
