"""How well `compile.predict` predicts busy cycles of random graphs."""

from collections.abc import Mapping
from dataclasses import dataclass

from backspike.bench.figure import Figure, at_least
from backspike.compile.measured import measured_shares
from backspike.compile.predict import bounds, predict
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
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
ROUNDED = 1e-3
"""Cycles: what is predicted is a sum of products of shares, which float64 rounds."""


@dataclass(frozen=True)
class Measured:
    """A net's busy cycles and bounds of a batch, forward and update, by engine, and what is
    predicted of both."""

    net: str
    busy: Mapping[str, int]
    predicted: Mapping[str, float]
    bound: Mapping[str, int]
    bounds: Mapping[str, float]

    @property
    def off(self) -> float:
        """How far the engine is off that is predicted worst."""
        ratios = [self.predicted[e] / busy for e, busy in self.busy.items() if busy]
        return max(abs(ratio - 1) for ratio in ratios)

    @property
    def exact(self) -> bool:
        """Whether every engine's bound is the one that is predicted."""
        return all(abs(self.bounds[engine] - self.bound[engine]) < ROUNDED for engine in ENGINES)


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
    shares = measured_shares(plan, inputs, errors, tensors)
    predicted, least = predict(plan, shares), bounds(plan, shares)
    return Measured(
        f"{plan.machine.name} {case.seed}",
        {engine: counted[engine]["busy"] for engine in ENGINES},
        {engine: sum(predicted[engine].values()) for engine in ENGINES},
        {engine: counted[engine]["bound"] for engine in ENGINES},
        {engine: sum(least[engine].values()) for engine in ENGINES},
    )


def figures(counts: Counts, seeds: range = SEEDS) -> list[Figure]:
    """The share of random nets of which every engine's busy cycles are predicted within 5 %, and of
    those whose bounds are predicted exactly."""
    cases = [draw_case(roomy(MACHINES[name]), seed) for name in PRESETS for seed in seeds]
    shown = progress_bar(cases, desc="prediction", unit="net")
    measured = [measure(case, counts) for case in shown]
    return [figure(measured), exact(measured)]


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


def exact(measured: list[Measured]) -> Figure:
    """How many nets have the bounds that are predicted, and which ones have others."""
    wrong = [one.net for one in measured if not one.exact]
    total = sum(sum(one.bound.values()) for one in measured)
    how = (
        f"{len(measured) - len(wrong)} of the same nets, of each engine, {total:,} cycles in all"
        + (f"; not of {', '.join(wrong)}" if wrong else "")
    )
    return at_least("nets with bounds predicted exactly", 1 - len(wrong) / len(measured), 1, how)
