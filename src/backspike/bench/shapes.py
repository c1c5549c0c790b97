"""busy of each engine running alone, over shapes of layers, numbers of steps and densities."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np

from backspike.bench.alone import Run
from backspike.bench.densities import BATCH, ONE, last_errors
from backspike.bench.efficiency import GOAL, MACHINE, run_alone
from backspike.bench.figure import Figure, at_most
from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.drain import row_slots
from backspike.compile.measured import tiled
from backspike.drive.comparison import Counts
from backspike.gen.machine import Machine
from backspike.ir.builder import Network
from backspike.ir.constants import ENGINES, ceil_div
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import rectangle
from backspike.system.progress import progress_bar

LAYERS = ((16, 16), (16, 512), (512, 16), (128, 128), (128, 512), (512, 128), (512, 512))
"""Sources and neurons: corners, and what lies between."""
STEPS = (1, 4, 16, 25, 100)
DENSITIES = (0.05, 0.25, 1.0)
LARGE = 128
"""Sources and neurons from which on the bound alone counts."""
ONE_SAMPLE_STEPS, ONE_SAMPLE_DENSITY, ONE_SAMPLE_GOAL = 100, 0.1, 2.5
EVENTS = 300_000
"""Of a run at the most: longer ones come closer to their bound, and take minutes."""
INPUTS = 32


@dataclass(frozen=True)
class Shape:
    """A layer of K sources and N neurons, in batches of so many samples and T steps. Its sources
    spike, and its neurons have gradients, with that density."""

    sources: int
    neurons: int
    steps: int
    density: float
    batch: int = BATCH

    def __str__(self) -> str:
        return f"{self.sources}-{self.neurons}, T {self.steps}, density {self.density:g}"

    @property
    def events(self) -> int:
        """Of the engine that has most, about."""
        pairs = max(
            self.sources * ceil_div(self.neurons, MACHINE.lanes),
            self.neurons * ceil_div(self.sources, MACHINE.lanes),
        )
        return round(self.batch * self.steps * self.density * pairs)

    def graph(self, engines: tuple[str, ...]) -> Graph:
        """Inputs, the sources, and a read-out; these engines have something to do."""
        net = Network()
        x = net.input("x", INPUTS)
        a = net.population("a", self.sources, LIF(threshold=0.5, surrogate=rectangle(2)))
        b = net.readout("b", self.neurons)
        net.connect(x, a, frozen="bp" not in engines)
        net.connect(a, b, frozen="wg" not in engines, stop_gradient="bp" not in engines)
        return net.graph


MEASURED = {"fp": "b", "bp": "a", "wg": "a-b"}
"""The layer's population or connection, by engine."""
WAYS = (("fp", "bp", "wg"), ("fp", "wg"), ("fp",))
"""Engines that are measured: gradients take most memory, and without bp there are fewer of them."""


def shapes() -> list[Shape]:
    """With many samples, without those that take too long."""
    found = (Shape(*at, steps, d) for at in LAYERS for steps in STEPS for d in DENSITIES)
    return [shape for shape in found if shape.events <= EVENTS]


def one_sample_shapes() -> list[Shape]:
    """With one sample a batch."""
    large = (at for at in LAYERS if min(at) >= LARGE)
    return [Shape(*at, ONE_SAMPLE_STEPS, ONE_SAMPLE_DENSITY, batch=1) for at in large]


def measure(shape: Shape, machine: Machine, counts: Counts) -> list[Run]:
    """A batch of the shape: the runs of its layer that have something to add.

    Each source copies an input: its only weight is 1, its threshold 1/2. So densities are exact.
    Engines for which the machine has no memory are left out. Raises Mismatch where a bit differs.
    """
    plan = fitting(shape, machine)
    graph = plan.graph
    random = np.random.Generator(np.random.PCG64(0))
    weights = {name: np.zeros(size, np.uint16) for name, size in graph.shapes.items()}
    weights["x-a"][np.arange(shape.sources) % INPUTS, np.arange(shape.sources)] = ONE
    weights["a-b"][np.arange(shape.sources), np.arange(shape.sources) % shape.neurons] = ONE
    size = (shape.batch, shape.steps, INPUTS)
    spikes = (random.random(size) < shape.density).astype(np.uint8)
    error = last_errors(random, (shape.batch, shape.steps, shape.neurons), shape.density)
    runs = run_alone(plan, weights, {"x": spikes}, {"b": error}, counts)
    # A row of weights is updated if its source spikes where its tile has any gradient.
    copied = spikes[:, :, np.arange(shape.sources) % INPUTS]
    sources = np.asarray(copied.any(1), int)
    met = sources.T @ tiled(error[:, -1:] != 0, machine.lanes)[:, 0].astype(int)
    slots = row_slots(machine, int(np.count_nonzero(met)))
    return [
        replace(run, drain=slots) if run.engine == "wg" else run
        for run in runs
        if MEASURED[run.engine] == run.layer and run.bound
    ]


def fitting(shape: Shape, machine: Machine) -> Plan:
    """The shape compiled for as many engines as there is memory for. Raises UserError if for
    none."""
    learning = Learning(batch=shape.batch)
    for engines in WAYS[:-1]:
        try:
            return compile_graph(shape.graph(engines), shape.steps, learning, machine, every=True)
        except UserError:
            pass
    return compile_graph(shape.graph(WAYS[-1]), shape.steps, learning, machine, every=True)


Measured = list[tuple[Shape, Run]]


def figures(counts: Counts, chosen: list[Shape] | None = None) -> list[Figure]:
    """Three figures of each engine over all shapes (or those `chosen`) on `MACHINE`."""
    measured: Measured = []
    unfit: list[Shape] = []
    chosen = [*shapes(), *one_sample_shapes()] if chosen is None else chosen
    for shape in progress_bar(chosen, desc="shapes", unit="shape"):
        try:
            measured += [(shape, run) for run in measure(shape, MACHINE, counts)]
        except UserError:
            unfit.append(shape)
    return made(measured, unfit)


def made(measured: Measured, unfit: list[Shape]) -> list[Figure]:
    """The figures of what was measured; unfit: shapes whose batch no memory has room for."""
    many = [one for one in measured if one[0].batch > 1]
    large = [one for one in many if min(one[0].sources, one[0].neurons) >= LARGE]
    single = [one for one in measured if one[0].batch == 1]
    absent = f"; {', '.join(map(str, unfit))}: the batch does not fit" if unfit else ""
    found: list[Figure] = []
    for what, runs, ratio, goal, left in (
        (
            "busy / max(bound, drain slots)",
            many,
            lambda run: run.ratio_with_drain,
            GOAL,
            absent,
        ),
        (f"busy / bound, {LARGE} or more", large, lambda run: run.ratio, GOAL, ""),
        ("busy / bound, one sample", single, lambda run: run.ratio, ONE_SAMPLE_GOAL, ""),
    ):
        for engine in ENGINES:
            ours = [one for one in runs if one[1].engine == engine]
            if ours:
                found.append(figure(f"{what}, {engine} alone", ours, ratio, goal, left))
    return found


def figure(
    name: str, runs: Measured, ratio: Callable[[Run], float], goal: float, left: str
) -> Figure:
    """The run that is farthest from its bound, and how many there are that miss the goal."""
    ratios = [ratio(run) for _, run in runs]
    shape, worst = runs[ratios.index(max(ratios))]
    missed = [str(at) for (at, _), found in zip(runs, ratios, strict=True) if found > goal]
    how = (
        f"worst of {len(runs)} layers, batch {shape.batch}, P = {MACHINE.lanes} (mean "
        f"{mean(ratios):.3f}{f'; {len(missed)} missed: ' + '; '.join(missed) if missed else ''}): "
        f"{shape}: busy {worst.busy:,}, bound {worst.bound:,}, drain slots {worst.drain:,}: "
        f"{worst.why()}{left}"
    )
    return at_most(name, max(ratios), goal, how)
