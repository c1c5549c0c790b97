"""The convolutional digits network: overlap of the engines, an epoch on the RTL, golden's speed."""

import time

from backspike.bench.figure import Figure, at_least, at_most
from backspike.bench.lockstep import overlap_of
from backspike.drive.comparison import Counts
from backspike.drive.machines import find_machine
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.threads import one_thread
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.digits_run import STEPS, Batch, batches, errors_of, learning
from backspike.train.layers import chain, parse_layers
from backspike.train.steady import train_steadily

LAYERS = "1x8x8,16c3,32c3s2,32c3,10"
MACHINE = "default,windows=256,weight_rows=2896,units=1032,spike_units=2048"
"""The least of `default`'s kind that has room for it."""
BATCHES = 9
CONCURRENCY = 0.50
DEEP = "1x8x8,16c3,16c3,32c3s2,32c3,64c3s2,64c3,10"
"""What golden's speed is measured on."""
SPEED = 100.0
"""Samples a second."""
ROUNDS = 5
GAIN = 2.83
"""Of the first weights: with less the last of six convolutions fall silent, and cost nothing."""
MINUTES = 8.0
"""Of an epoch on the RTL."""


def network(layers: str) -> Graph:
    """With the neurons of `backspike train --layers`."""
    return chain(parse_layers(layers), LIF())


def whole_batches(data: Dataset, how: Learning) -> list[Batch]:
    """An epoch's, but for one that is not full."""
    return [batch for batch in batches(data.train, how, 0) if len(batch.labels) == how.batch]


def figures(
    data: Dataset,
    counts: Counts,
    limit: int = BATCHES,
    layers: tuple[str, str] = (LAYERS, DEEP),
    machine: Machine | None = None,
) -> list[Figure]:
    """Concurrency over so many batches on MACHINE, or another, and golden's speed. layers: of each
    of the two."""
    how = learning(0)
    machine = machine or find_machine(MACHINE)
    shown = progress_bar(whole_batches(data, how)[:limit], desc="digits, planes", unit="batch")
    steady = train_steadily(network(layers[0]), how, machine, shown, counts)
    what = f"{layers[0]}, T {STEPS}, batch {how.batch}, digits, machine {machine.name}"
    return [
        overlap_of(steady, limit - 1, CONCURRENCY, what, "concurrency, planes"),
        golden_speed(data, layers[1]),
    ]


@one_thread()
def golden_speed(data: Dataset, layers: str, rounds: int = ROUNDS) -> Figure:
    """Golden's training, one thread: the quickest batch, by the processor's time."""
    graph, how = network(layers), learning(0)
    golden = GoldenBackend(graph, how, every=False)
    golden.load_weights(initial_weights(graph, 0, GAIN))
    seconds = []
    for step, batch in enumerate(whole_batches(data, how)[:rounds]):
        begin = time.process_time()
        logits = golden.forward(batch.inputs)
        golden.update(errors_of(logits, batch), step)
        seconds.append(time.process_time() - begin)
    return at_least(
        "golden, six convolutions, samples a second",
        round(how.batch / min(seconds), 1),
        SPEED,
        f"{layers}, T {STEPS}, batch {how.batch}, digits: forward, back and updated, on one core, "
        f"the quickest of {rounds} batches by the processor's time (slowest {max(seconds):.2f} s)",
    )


def epoch(
    data: Dataset,
    counts: Counts,
    limit: int | None = None,
    layers: str = LAYERS,
    machine: Machine | None = None,
) -> list[Figure]:
    """Wall time of an epoch on the RTL of MACHINE, or another, beside golden, everything compared;
    the simulation is built before. limit: batches at the most."""
    how = learning(0)
    machine = machine or find_machine(MACHINE)
    full = whole_batches(data, how)[:limit]
    train_steadily(network(layers), how, machine, full[:1], Counts())
    values, begin, used = counts.values, time.perf_counter(), time.process_time()
    shown = progress_bar(full, desc="epoch, planes", unit="batch")
    steady = train_steadily(network(layers), how, machine, shown, counts)
    minutes = (time.perf_counter() - begin) / 60
    used = (time.process_time() - used) / 60
    return [
        at_most(
            "an epoch of a convolutional network on the RTL, minutes",
            round(minutes, 2),
            MINUTES,
            f"{layers}, T {STEPS}, {len(full)} batches of {how.batch}, machine {machine.name}: "
            f"wall time with golden beside it ({used:.2f} of the processor's), "
            f"{counts.values - values:,} values compared, "
            f"{steady['total'] / 60 / minutes:,.0f} cycles/s, all of it counted",
        )
    ]
