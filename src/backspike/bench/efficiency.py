"""busy / bound of each engine running alone, over a grid of densities."""

from collections.abc import Callable
from dataclasses import dataclass

from backspike.bench.alone import AloneBackend, Run
from backspike.bench.densities import LEARNING, WIDTH, Case, cases, tensors
from backspike.check import Counts, Lockstep
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend

MACHINE = Machine(
    name="bench",
    lanes=8,
    share=2,
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
    alone = AloneBackend(network, LEARNING, machine)
    both = Lockstep(alone, GoldenBackend(network, LEARNING))
    both.counts = counts
    batch = tensors(case, width)
    try:
        both.load_weights(batch.weights)
        both.forward(batch.spikes, batch.labels)
        both.update(batch.error, 0)
    finally:
        both.close()
    return [Measured(case, run) for run in alone.runs if run.engine in case.engines and run.bound]


def measure_all(
    counts: Counts, done: Callable[[Measured], None] = lambda measured: None
) -> list[Measured]:
    """All cases on `MACHINE`; `done` is told each as it is measured."""
    measured = []
    for case in cases():
        for one in measure(case, MACHINE, counts):
            done(one)
            measured.append(one)
    return measured


def worst(measured: list[Measured], engine: str) -> Measured:
    """The run of `engine` that is farthest from its bound."""
    return max((one for one in measured if one.run.engine == engine), key=lambda one: one.run.ratio)
