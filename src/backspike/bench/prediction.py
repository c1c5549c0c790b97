"""How well `compile.predict` predicts busy cycles of random graphs."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from backspike.bench.figure import Figure, at_least
from backspike.compile.compiler import Plan
from backspike.compile.loads import Shares
from backspike.compile.predict import predict
from backspike.compile.reach import Share
from backspike.compile.windows import windows_of
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.core.engines import FORWARD
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Connection
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

    def planes(name: str, bits: Bits) -> np.ndarray:
        """bool (B, T, C, rows, columns): whether they are not zero."""
        place = plan.populations[name]
        return (bits != 0).reshape(*bits.shape[:2], place.size, *place.plane)

    spikes = {name: planes(name, x) for name, x in inputs.items()}
    gradients, rows, needed, met, updated = {}, {}, {}, {}, {}
    for population in graph.populations:
        name = population.name
        if f"spikes.{name}" in tensors:
            spikes[name] = planes(name, tensors[f"spikes.{name}"])
        if f"gradients.{name}" not in tensors:
            continue
        gradients[name] = planes(name, tensors[f"gradients.{name}"])
        rows[name] = tiled(gradients[name], lanes)
        if f"codes.{name}" in tensors:
            config = plan.descriptors[FORWARD.name].layers[name]
            active = planes(name, config["nonzero"] >> tensors[f"codes.{name}"].astype(int) & 1)
            if config["spikes_only"]:
                active &= spikes[name]
            needed[name] = tiled(active, lanes)
    for connection in graph.trained:
        name = connection.name
        met[name], updated[name] = _met(
            plan, connection, spikes[connection.source], rows[connection.target]
        )
    return Shares(
        spikes=_pixels(spikes),
        gradients=_pixels(gradients),
        rows=_means(rows),
        needed=_pixels(needed),
        errors=_means({name: x != 0 for name, x in errors.items()}),
        met=met,
        updated=updated,
    )


def _met(
    plan: Plan, connection: Connection, spikes: np.ndarray, rows: np.ndarray
) -> tuple[float, float]:
    """`met` and `updated` of Shares: of every tap's pixels. rows: see `tiled`."""
    # With a delay nothing comes in the first step.
    source = spikes[:, : plan.steps - connection.delay].astype(int)
    target = rows[:, connection.delay :].astype(int)
    lines, columns = windows_of(plan.graph, connection, plan.places, plan.cut).axes
    meetings, pixels = [], 0
    for y, x in product(range(lines.taps), range(columns.taps)):
        there = [axis.met(tap) for axis, tap in ((lines, y), (columns, x))]
        sources = (
            slice(first, first + axis.stride * count, axis.stride)
            for axis, (_, first, count) in zip((lines, columns), there, strict=True)
        )
        targets = (slice(first, first + count) for first, _, count in there)
        meeting = source[..., *sources], target[..., *targets]
        meetings.append(np.einsum("btkyx,btjyx->kj", *meeting))
        pixels += there[0][2] * there[1][2]
    total, each = np.array(meetings), source.shape[0] * source.shape[1] * pixels
    return total.sum() / max(1, each * total[0].size), float((total > 0).mean())


def tiled(bits: np.ndarray, lanes: int) -> np.ndarray:
    """Of bool (B, T, C, and perhaps rows and columns), which tiles of so many of C have any."""
    padding = [(0, 0)] * bits.ndim
    padding[2] = 0, -bits.shape[2] % lanes
    padded = np.pad(bits, padding)
    batch, steps, channels, *plane = padded.shape
    return np.asarray(padded.reshape(batch, steps, channels // lanes, lanes, *plane).any(3))


def _means(bits: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(x.mean()) for name, x in bits.items()}


def _pixels(bits: Mapping[str, np.ndarray]) -> dict[str, Share]:
    """Of each pixel, if it lies in a plane."""
    found: dict[str, Share] = {}
    for name, x in bits.items():
        each = x.mean((0, 1, 2))
        found[name] = each if each.size > 1 else float(x.mean())
    return found


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
