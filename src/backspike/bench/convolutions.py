"""busy of each engine running alone on convolutions: planes, channels, strides and densities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean

import numpy as np

from backspike.bench.alone import Run
from backspike.bench.densities import BATCH, ONE, last_errors
from backspike.bench.efficiency import MACHINE, alone_lockstep
from backspike.bench.figure import Figure, at_most
from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.drain import row_slots
from backspike.compile.measured import meetings, pairs, planes, tiled
from backspike.drive.comparison import Counts
from backspike.gen.core.engines import FORWARD, UPDATE
from backspike.gen.core.update.row_sequencer import phases
from backspike.gen.machine import DEPTH, Machine
from backspike.ir.bits import Bits
from backspike.ir.builder import Network
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ENGINES, ceil_div
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import rectangle
from backspike.system.progress import progress_bar

PLANES = replace(MACHINE, name="bench-conv", windows=256)
"""The machine of the dense figures, with a table of windows."""
KERNEL = 3
STEPS = (4, 2, 1)
"""The most that fit are taken."""
DENSITIES = (0.05, 0.3)
MOST, ELSE, SHORTCUT = 1.05, 1.10, 1.10
EVENTS = 750_000
"""Of a run at the most; longer ones have fewer steps."""


@dataclass(frozen=True)
class Shape:
    """A convolution of C to N channels over square planes, of 16 samples. Its sources spike, and
    its neurons have gradients, with that density. shortcut: it is the second one of a block, around
    which a 1x1 convolution leads, from as many channels."""

    sources: int
    neurons: int
    plane: int
    stride: int
    density: float
    shortcut: bool = False

    def __str__(self) -> str:
        around = ", shortcut" if self.shortcut else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        return (
            f"{self.sources}-{self.neurons} {self.plane}x{self.plane}{stride} "
            f"{self.density:g}{around}"
        )

    @property
    def events(self) -> int:
        """Of the engine that has most, in a step, about."""
        pixels = ceil_div(self.plane, self.stride) ** 2
        pairs = max(
            self.sources * ceil_div(self.neurons, PLANES.lanes),
            self.neurons * ceil_div(self.sources, PLANES.lanes),
        )
        return round(BATCH * self.density * pairs * pixels * KERNEL**2)

    def graph(self, engines: tuple[str, ...]) -> Graph:
        """Inputs, the sources that copy them, the convolution, and a read-out behind it; these
        engines have something to do."""
        copies = LIF(threshold=0.5, surrogate=rectangle(2))
        # Gradients where it spikes, and nowhere else.
        spikes = replace(copies, rule="mpd-ed", temporal=False)
        frozen, stop = "wg" not in engines, "bp" not in engines
        net, plane = Network(), (self.plane, self.plane)
        small = tuple(ceil_div(n, self.stride) for n in plane)
        x = net.input("x", (self.sources, *plane))
        here = net.population("a", (self.sources, *plane), copies)
        b = net.population("b", (self.neurons, *small), spikes)
        net.connect(x, here, Conv2d(kernel=1), frozen=stop)
        stride = self.stride
        if self.shortcut:
            m = net.population("m", (self.neurons, *small), copies)
            conv = Conv2d(kernel=KERNEL, stride=stride, padding=KERNEL // 2)
            net.connect(here, m, conv, frozen=frozen, stop_gradient=stop)
            around = Conv2d(kernel=1, stride=stride)
            net.connect(here, b, around, frozen=frozen, stop_gradient=stop)
            here, stride = m, 1
        conv = Conv2d(kernel=KERNEL, stride=stride, padding=KERNEL // 2)
        net.connect(here, b, conv, frozen=frozen, stop_gradient=stop)
        net.connect(b, net.readout("y", 1), frozen=True)
        return net.graph


MEASURED = {"fp": ("b",), "bp": ("a",), "wg": ("a-b", "m-b")}
"""The convolution's population or connection, by engine; of a block its end, its begin, and both
connections that end it."""


def shapes() -> list[Shape]:
    """Every corner, and what lies between."""
    corners = [
        Shape(c, n, plane, stride, density)
        for c in (16, 64) for n in (16, 64) for plane in (4, 16)
        for stride in (1, 2) for density in DENSITIES
    ]  # fmt: skip
    channels = ((16, 32), (32, 16), (32, 32), (32, 64), (64, 32))
    between = [Shape(c, n, 8, stride, 0.1) for c, n in channels for stride in (1, 2)]
    between += [Shape(32, 32, 8, 1, d) for d in (0.05, 0.2, 0.3)]
    between += [Shape(32, 32, plane, stride, 0.1) for plane in (5, 7, 11) for stride in (1, 2)]
    between += [Shape(64, 64, 15, 1, 0.05)]  # its gradients have room, those of 16x16 do not
    return corners + between


def blocks() -> list[Shape]:
    """With a shortcut of 1x1, of stride 2 and 1."""
    return [
        Shape(c, n, plane, stride, density, shortcut=True)
        for c, n, plane, stride in ((16, 32, 8, 2), (32, 64, 8, 2), (32, 32, 8, 1), (16, 16, 4, 1))
        for density in (0.05, 0.1, 0.3)
    ]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A run of a shape. steps: T. full: every sum has more events than its drain has slots. least:
    of each sum the larger of both, added up."""

    shape: Shape
    steps: int
    run: Run
    full: bool
    least: int

    def __str__(self) -> str:
        return f"{self.shape} T {self.steps}"


def measure(shape: Shape, machine: Machine, counts: Counts) -> list[Measured]:
    """A batch of the shape: the runs of its convolution. Raises Mismatch where a bit differs, and
    UserError if nothing of it fits the machine."""
    plan = fitting(shape, machine)
    random = np.random.Generator(np.random.PCG64(0))
    x = plan.graph.by_name["x"]
    inputs = {"x": (random.random((BATCH, plan.steps, x.size)) < shape.density).astype(np.uint8)}
    errors = {"y": last_errors(random, (BATCH, plan.steps, 1), 1.0)}
    with alone_lockstep(plan, counts) as (core, both):
        both.load_weights(weights_of(shape, plan.graph, random))
        both.forward(inputs)
        tensors = {"spikes.x": inputs["x"], **both.reference.forward_tensors()}
        if plan.graph.trained:
            both.update(errors, 0)
            tensors |= both.reference.update_tensors()
    ours = {
        engine: [run for run in core.runs if run.engine == engine and run.layer in layers]
        for engine, layers in MEASURED.items()
    }
    return [measured(shape, plan, runs, tensors) for runs in ours.values() if runs]


def weights_of(shape: Shape, graph: Graph, random: np.random.Generator) -> dict[str, Bits]:
    """Sources copy inputs; each neuron of a convolution copies a source at a tap, both drawn; a
    shortcut brings nothing. So all spikes are as dense as those of the inputs, but for what lies
    outside the planes."""
    found = {name: np.zeros(size, np.uint16) for name, size in graph.shapes.items()}
    found["b-y"][:] = ONE
    np.fill_diagonal(found["x-a"], ONE)
    for name in ("a-m", "m-b") if shape.shortcut else ("a-b",):
        taps, neurons = found[name].shape
        found[name][random.integers(taps, size=neurons), np.arange(neurons)] = ONE
    return found


WAYS = (("fp", "bp", "wg"), ("fp", "wg"), ("fp",))
"""Engines that are measured: gradients take most memory, and without bp there are fewer of them."""


def fitting(shape: Shape, machine: Machine) -> Plan:
    """The shape for as many engines, and with as many of STEPS, as there is memory for. Raises
    UserError if for none."""
    few = [steps for steps in STEPS if steps * shape.events <= EVENTS] or [STEPS[-1]]
    *ways, last = product(WAYS, few)
    for engines, steps in ways:
        try:
            return _compiled(shape, engines, steps, machine)
        except UserError:
            pass
    return _compiled(shape, *last, machine)


def _compiled(shape: Shape, engines: tuple[str, ...], steps: int, machine: Machine) -> Plan:
    learning = Learning(batch=BATCH)
    return compile_graph(shape.graph(engines), steps, learning, machine, every=True)


def measured(shape: Shape, plan: Plan, runs: list[Run], tensors: Mapping[str, Bits]) -> Measured:
    """An engine's runs as one, with their drain slots, and whether these matter to no sum."""
    machine, engine = plan.machine, runs[0].engine
    full, least, drain = True, 0, 0
    for run in runs:
        if engine == UPDATE.name:
            sums, rows = _groups(plan, run.layer, tensors)
            slots = rows * phases(machine.wg_reuse)
            drain += row_slots(machine, int(rows.sum()))
            tiles = 1
        else:
            sums = _windows(plan, engine, run.layer, tensors)
            slots = np.full_like(sums, plan.cut.samples * getattr(machine, f"{engine}_reuse"))
            drain += run.drain
            tiles = plan.populations[run.layer].tiles
        full &= bool((sums > slots).all())
        least += tiles * int(np.maximum(sums, slots).sum())
    first = runs[0]
    run = Run(
        engine=engine,
        layer=" and ".join(run.layer for run in runs),
        **{name: sum(getattr(run, name) for run in runs) for name in ("cycles", "busy", "bound")},
        drain=drain,
        events=sum(run.events for run in runs),
        stalls={name: sum(run.stalls[name] for run in runs) for name in first.stalls},
    )
    return Measured(shape, plan.steps, run, full, least)


def _windows(plan: Plan, engine: str, name: str, tensors: Mapping[str, Bits]) -> np.ndarray:
    """Events of each sum of a tile of neurons: (T, rows, columns)."""
    graph, forward = plan.graph, engine == FORWARD.name
    found = np.zeros((plan.steps, *plan.populations[name].plane), int)
    for connection in graph.into(name) if forward else graph.errors_into(name):
        kind, end = ("spikes", connection.source) if forward else ("gradients", connection.target)
        there = planes(plan, end, tensors[f"{kind}.{end}"]).sum((0, 2))
        for _, sources, targets in pairs(plan, connection):
            at, other = (targets, sources) if forward else (sources, targets)
            found[:, *at] += there[:, *other]
    return found


def _groups(plan: Plan, name: str, tensors: Mapping[str, Bits]) -> tuple[np.ndarray, np.ndarray]:
    """Of each sum of wg, its events, and its rows that are updated: (taps, groups, tiles)."""
    connection = next(c for c in plan.graph.connections if c.name == name)
    source, target = connection.source, connection.target
    spikes = planes(plan, source, tensors[f"spikes.{source}"])
    gradients = planes(plan, target, tensors[f"gradients.{target}"])
    total = meetings(plan, connection, spikes, tiled(gradients, plan.machine.lanes))
    groups = range(0, total.shape[1], DEPTH)
    events = np.add.reduceat(total, groups, axis=1)
    return events, np.add.reduceat((total > 0).astype(int), groups, axis=1)


def figures(counts: Counts, chosen: list[Shape] | None = None) -> list[Figure]:
    """Of each engine alone over all shapes (or those `chosen`): busy / bound where all sums have
    more events than drain slots, and busy over the larger elsewhere; and of blocks with a
    shortcut."""
    found: list[Measured] = []
    chosen = [*shapes(), *blocks()] if chosen is None else chosen
    for shape in progress_bar(chosen, desc="convolutions", unit="shape"):
        found += measure(shape, PLANES, counts)
    return made(found)


def made(found: list[Measured]) -> list[Figure]:
    """The figures of what was measured."""
    single = [one for one in found if not one.shape.shortcut]
    block = [one for one in found if one.shape.shortcut]
    full = [one for one in single if one.full]
    other = [one for one in single if not one.full]
    kinds = (
        ("busy / bound, {} alone, more events than drain slots", full, MOST, lambda r: r.ratio),
        ("busy / max(bound, drain slots), {} alone, others", other, ELSE,
         lambda r: r.ratio_with_drain),
        ("busy / max(bound, drain slots), {} of a block with a 1x1 shortcut", block, SHORTCUT,
         lambda r: r.ratio_with_drain),
    )  # fmt: skip
    return [
        figure(name.format(engine), ours, ratio, goal)
        for name, runs, goal, ratio in kinds
        for engine in ENGINES
        if (ours := [one for one in runs if one.run.engine == engine])
    ]


def figure(name: str, runs: list[Measured], ratio: Callable[[Run], float], goal: float) -> Figure:
    """The run that is farthest from its bound, and which ones miss the goal."""
    ratios = [ratio(one.run) for one in runs]
    worst = runs[ratios.index(max(ratios))]
    run = worst.run
    missed = [f"{at} {r:.3f}" for at, r in zip(runs, ratios, strict=True) if r > goal]
    listed = f"; {len(missed)} missed: {'; '.join(missed)}" if missed else ""
    how = (
        f"worst of {len(runs)} convolutions, {KERNEL}x{KERNEL}, batch {BATCH}, P = {PLANES.lanes} "
        f"(mean {mean(ratios):.3f}{listed}): {worst}: busy {run.busy:,}, bound {run.bound:,}, "
        f"drain slots {run.drain:,} ({worst.least:,} are of each sum the larger of both): "
        f"{run.why()}"
    )
    return at_most(name, max(ratios), goal, how)
