"""busy / bound of each engine running alone, over a grid of densities."""

from dataclasses import dataclass
from statistics import mean

from backspike.bench.alone import AloneCore, Run
from backspike.bench.densities import BATCH, GRID, LEARNING, STEPS, WIDTH, Case, cases, tensors
from backspike.bench.figure import Figure, at_most
from backspike.compile.compiler import compile_network
from backspike.compile.schedule import ENGINES
from backspike.drive.comparison import Counts
from backspike.drive.core_backend import CoreBackend
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.system.progress import progress_bar

GOAL = 1.10

MACHINE = Machine(
    name="bench",
    lanes=8,
    fp_reuse=4,
    bp_reuse=4,
    wg_reuse=2,
    weight_rows=8192,
    units=256,
    spike_units=256,
    readout_units=64,
    layers=4,
    tasks=256,
)
"""The default machine's engines, with memories for three layers of 128 neurons."""


@dataclass(frozen=True)
class Measured:
    """A run, and what lay in the memories."""

    case: Case
    run: Run


def measure(case: Case, machine: Machine, counts: Counts, *, width: int = WIDTH) -> list[Measured]:
    """Run a batch of the case; the runs of its engines that have something to add.

    counts: what was compared with golden is added. Raises Mismatch where a bit differs.
    """
    network = case.network(width)
    alone = AloneCore(compile_network(network, LEARNING, machine))
    backend = CoreBackend(network, alone)
    both = Lockstep(backend, GoldenBackend(network, LEARNING))
    both.counts = counts
    batch = tensors(case, width)
    try:
        both.load_weights(batch.weights)
        both.forward(batch.spikes, batch.labels)
        both.update(batch.error, 0)
    finally:
        both.close()
    return [Measured(case, run) for run in alone.runs if run.engine in case.engines and run.bound]


def figures(counts: Counts, chosen: list[Case] | None = None) -> list[Figure]:
    """The worst ratio of each engine over all cases (or those `chosen`) on `MACHINE`."""
    measured: list[Measured] = []
    for case in progress_bar(
        cases() if chosen is None else chosen, desc="engines alone", unit="case"
    ):
        measured += measure(case, MACHINE, counts)
    return [figure(measured, engine) for engine in ENGINES]


def figure(measured: list[Measured], engine: str) -> Figure:
    """The run of `engine` that is farthest from its bound."""
    runs = [one for one in measured if one.run.engine == engine]
    ratios = [one.run.ratio for one in runs]
    worst = runs[ratios.index(max(ratios))]
    missed = sum(ratio > GOAL for ratio in ratios)
    how = (
        f"worst of {len(runs)} layers of {WIDTH}-{WIDTH} at densities {GRID[0]} to {GRID[-1]}, "
        f"{STEPS} steps, batch {BATCH}, P = {MACHINE.lanes} (mean {mean(ratios):.3f}"
        f"{f', {missed} missed' if missed else ''}): {worst.case.name}: "
        f"{worst.run.busy:,} / {worst.run.bound:,} cycles, {worst.run.why()}"
    )
    return at_most(f"busy / bound, {engine} alone", max(ratios), GOAL, how)
