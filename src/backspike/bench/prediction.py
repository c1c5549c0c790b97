"""How well `compile.predict` predicts busy cycles of random graphs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from backspike.bench.figure import Figure, at_least
from backspike.compile.compiler import Plan
from backspike.compile.loads import Shares
from backspike.compile.predict import predict
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.core.engines import FORWARD
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.system.progress import progress_bar
from backspike.train.fuzz_graphs import (
    Case,
    draw_case,
    own_errors,
    random_error,
    random_inputs,
    random_labels,
    random_weights,
    roomy,
)

PRESETS = ("tiny", "default")
SEEDS = range(1000, 1030)
"""On each machine."""
WITHIN, SHARE = 0.05, 0.95
Tensors = Mapping[str, Bits]


@dataclass(frozen=True)
class Measured:
    """A net's busy cycles of a batch, forward and update, by engine."""

    net: str
    busy: Mapping[str, int]
    predicted: Mapping[str, float]

    @property
    def off(self) -> float:
        """How far the engine is off that is predicted worst."""
        ratios = [self.predicted[e] / busy for e, busy in self.busy.items() if busy]
        return max(abs(ratio - 1) for ratio in ratios)


def measure(case: Case, counts: Counts) -> Measured:
    """A full batch of a random net. Raises Mismatch where a bit differs from golden."""
    plan = case.plan
    core = RTLBackend(plan)
    golden = GoldenBackend(plan.graph, plan.learning, every=plan.every)
    both = Lockstep(core, golden)
    try:
        both.load_weights(random_weights(case))
        samples, own = plan.learning.batch, own_errors(plan)
        inputs = random_inputs(case, samples)
        logits = both.forward(inputs, random_labels(case, samples))
        errors = {n: random_error(case, x.shape) for n, x in logits.items() if n not in own}
        both.update(errors, 0)
        counted = core.counters()
    finally:
        core.close()
        counts.tensors += both.counts.tensors
        counts.values += both.counts.values
        counts.mismatches += both.counts.mismatches
    tensors = golden.forward_tensors() | golden.update_tensors()
    predicted = predict(plan, measured_shares(plan, inputs, errors, tensors))
    return Measured(
        f"{plan.machine.name} {case.seed}",
        {engine: counted[engine]["busy"] for engine in ENGINES},
        {engine: sum(predicted[engine].values()) for engine in ENGINES},
    )


def measured_shares(plan: Plan, inputs: Tensors, errors: Tensors, tensors: Tensors) -> Shares:
    """Of a batch's inputs and errors, and golden's tensors of its forward pass and its update."""
    lanes, graph = plan.machine.lanes, plan.graph
    spikes = {name: x != 0 for name, x in inputs.items()}
    gradients, rows, needed, met, updated = {}, {}, {}, {}, {}
    for population in graph.populations:
        name = population.name
        if f"spikes.{name}" in tensors:
            spikes[name] = tensors[f"spikes.{name}"] != 0
        if f"gradients.{name}" not in tensors:
            continue
        gradients[name] = tensors[f"gradients.{name}"] != 0
        rows[name] = tiled(gradients[name], lanes)
        if f"codes.{name}" in tensors:
            config = plan.descriptors[FORWARD.name].layers[name]
            active = config["nonzero"] >> tensors[f"codes.{name}"].astype(int) & 1 == 1
            if config["spikes_only"]:
                active &= spikes[name]
            needed[name] = tiled(active, lanes)
    for connection in graph.trained:
        # With a delay nothing comes in the first step.
        delay, steps = connection.delay, plan.steps
        source = spikes[connection.source][:, : steps - delay].astype(int)
        meetings = np.einsum("btk,btj->kj", source, rows[connection.target][:, delay:].astype(int))
        met[connection.name] = meetings.mean() / (len(source) * max(1, steps - delay))
        updated[connection.name] = (meetings > 0).mean()
    return Shares(
        spikes=_means(spikes),
        gradients=_means(gradients),
        rows=_means(rows),
        needed=_means(needed),
        errors=_means({name: x != 0 for name, x in errors.items()}),
        met=met,
        updated=updated,
    )


def tiled(bits: np.ndarray, lanes: int) -> np.ndarray:
    """Of bool (B, T, N), which tiles of so many neurons have any: (B, T, tiles)."""
    batch, steps, neurons = bits.shape
    padded = np.pad(bits, ((0, 0), (0, 0), (0, -neurons % lanes)))
    return np.asarray(padded.reshape(batch, steps, -1, lanes).any(3))


def _means(bits: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(x.mean()) for name, x in bits.items()}


def figures(counts: Counts, seeds: range = SEEDS) -> list[Figure]:
    """The share of random nets of which every engine's busy cycles are predicted within 5 %."""
    cases = [draw_case(roomy(MACHINES[name]), seed) for name in PRESETS for seed in seeds]
    shown = progress_bar(cases, desc="prediction", unit="net")
    return [figure([measure(case, counts) for case in shown])]


def figure(measured: list[Measured]) -> Figure:
    """How many nets are within, and which are worst."""
    close = [one for one in measured if one.off <= WITHIN]
    worst = sorted(measured, key=lambda one: -one.off)[:3]
    busy = sum(sum(one.busy.values()) for one in measured)
    predicted = sum(sum(one.predicted.values()) for one in measured)
    how = (
        f"{len(close)} of {len(measured)} random nets on {' and '.join(PRESETS)}, a batch forward "
        f"and updated, given their measured densities; each engine must be within. In all "
        f"{predicted:,.0f} predicted, {busy:,} busy. Farthest off: "
        + ", ".join(f"{one.net} {one.off:.1%}" for one in worst)
    )
    share = len(close) / len(measured)
    return at_least(f"nets with busy cycles predicted within {WITHIN:.0%}", share, SHARE, how)
