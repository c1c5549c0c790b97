"""busy / bound of each engine running alone, over a grid of densities."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean

from backspike.bench.alone import AloneCore, Run
from backspike.bench.densities import BATCH, GRID, LEARNING, STEPS, WIDTH, Case, cases, tensors
from backspike.bench.figure import Figure, at_most
from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.system.progress import progress_bar

GOAL = 1.10

MACHINE = Machine(
    name="bench",
    lanes=8,
    fp_reuse=4,
    bp_reuse=4,
    wg_reuse=2,
    weight_rows=34832,
    units=8192,
    gradient_units=4096,
    spike_units=8192,
    readout_units=4096,
    layers=4,
    tasks=512,
)
"""The default machine's engines, with memories for layers of 512 sources and 512 neurons, as large
as the host's windows (1 MiB) allow. Fronts, drains and their rates are the default machine's; a sum
of spikes or gradients has more bits, so it takes a cycle more to be added."""


@dataclass(frozen=True)
class Measured:
    """A run, and what lay in the memories."""

    case: Case
    run: Run


@contextmanager
def alone_lockstep(plan: Plan, counts: Counts) -> Iterator[tuple[AloneCore, Lockstep]]:
    """A core of which one engine works at a time, beside golden. counts: gets what is compared."""
    core = AloneCore(plan)
    both = Lockstep(core, GoldenBackend(plan.graph, plan.learning))
    try:
        yield core, both
    finally:
        core.close()
        counts.tensors += both.counts.tensors
        counts.values += both.counts.values
        counts.mismatches += both.counts.mismatches


def run_alone(
    plan: Plan,
    weights: Mapping[str, Bits],
    inputs: Mapping[str, Bits],
    errors: Mapping[str, Bits],
    counts: Counts,
) -> list[Run]:
    """Forward and, if anything learns, update of a batch. Raises Mismatch where a bit differs."""
    with alone_lockstep(plan, counts) as (core, both):
        both.load_weights(weights)
        both.forward(inputs)
        if plan.graph.learning:
            both.update(errors, 0)
        return core.runs


def measure(case: Case, machine: Machine, counts: Counts, *, width: int = WIDTH) -> list[Measured]:
    """Run a batch of the case; the runs of its engines that have something to add.

    counts: what was compared with golden is added. Raises Mismatch where a bit differs.
    """
    plan = compile_graph(case.graph(width), STEPS, LEARNING, machine, every=True)
    batch = tensors(case, width)
    inputs, errors = {"input": batch.spikes}, {"readout": batch.error}
    runs = run_alone(plan, batch.weights, inputs, errors, counts)
    # The read-out's errors come from the host; no weights lead to them.
    return [
        Measured(case, run)
        for run in runs
        if run.engine in case.engines and run.bound and (run.engine, run.layer) != ("bp", "readout")
    ]


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
