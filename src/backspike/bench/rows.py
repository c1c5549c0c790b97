"""Digits read row by row by a recurrent population: accuracy beside float32, and bits of the RTL.

A row of eight pixels is shown for two steps. A pixel of 0..16 is rate-coded in them: from 12 on it
spikes in both, from 4 on in the second, else in none.
"""

from dataclasses import replace

from backspike.bench import learning
from backspike.bench.figure import Figure
from backspike.drive.comparison import Counts
from backspike.drive.machines import find_machine
from backspike.gen.machine import Machine
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan
from backspike.train.data import Dataset, Split
from backspike.train.encode import rate
from backspike.train.losses import CrossEntropy
from backspike.train.trainer import Trainer

ROW, HIDDEN, SHOWN = 8, 128, 2
NEURONS = {
    "LIF": LIF(leak=0.75, surrogate=arctan()),
    "CUBA-LIF": CubaLIF(leak=0.75, synapse=0.5, surrogate=arctan()),
}
RATE = 5e-3
LOSS = CrossEntropy()
WHAT = f"arctan, cross-entropy of the last step, Adam, rate from {RATE:g} to 0"
SEEDS = (0, 1, 2, 3, 4)
EPOCHS = 20
GOAL = 86.0
"""Percent."""
DISTANCE = 1.5
"""Points of a percent from float32."""
MACHINE = "default,weight_rows=4096,units=512,spike_units=1024"
BATCHES = 4


def figures(
    data: Dataset, counts: Counts, seeds: tuple[int, ...] = SEEDS, epochs: int = EPOCHS
) -> list[Figure]:
    """Of each neuron model: accuracy, distance, and a few batches on the RTL. counts: of those."""
    made = []
    for name, neuron in NEURONS.items():
        found = case(data, neuron, epochs)
        rtl = lockstep(found, counts, find_machine(MACHINE))
        accuracy, distance = learning.compared(
            f"rows {name}", found, seeds, GOAL, DISTANCE, what(found)
        )
        made += [replace(accuracy, how=f"{accuracy.how}; {rtl}"), distance]
    return made


def case(data: Dataset, neuron: LIF, epochs: int = EPOCHS, hidden: int = HIDDEN) -> learning.Case:
    """8-128r-10, and how it learns."""
    return learning.Case(
        graph=recurrent(neuron, hidden, data.classes),
        train=read(data.train),
        test=read(data.test),
        optimizer=learning.falling(RATE, epochs, len(data.train)),
        epochs=epochs,
        loss=LOSS,
    )


def recurrent(neuron: LIF, hidden: int, classes: int) -> Graph:
    """Rows into a population that hears its own spikes of the step before, and a read-out."""
    net = Network()
    x, h = net.input("x", ROW), net.population("h", hidden, neuron)
    y = net.readout("y", classes)
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, Dense(), delay=1)
    net.connect(h, y)
    return net.graph


def read(split: Split) -> learning.Samples:
    """Spikes (samples, 16, 8): the rows from above, each for two steps."""
    rows = rate(split.x.reshape(len(split), -1, ROW), SHOWN)  # (samples, 2, 8, 8)
    return rows.swapaxes(1, 2).reshape(len(split), -1, ROW), split.y


def lockstep(case: learning.Case, counts: Counts, machine: Machine, batches: int = BATCHES) -> str:
    """An epoch of a few batches on the RTL, compared with golden, in words. counts: of it is added.

    Raises Mismatch.
    """
    few = batches * learning.BATCH
    spikes, labels = case.train
    with Trainer(
        case.graph, machine, "rtl", batch=learning.BATCH, loss=case.loss, optimizer=case.optimizer
    ) as trainer:
        trainer.fit((spikes[:few], labels[:few]), 1)
        found = trainer.checked()
    counts.tensors += found["tensors"]
    counts.values += found["values"]
    counts.mismatches += found["mismatches"]
    return (
        f"{batches} batches of it on the simulated RTL of {machine.name}: {found['values']:,} "
        f"values in {found['tensors']:,} tensors, {found['mismatches']} mismatches"
    )


def what(case: learning.Case) -> str:
    """The network and its recipe, in words."""
    neuron = case.graph.by_name["h"].neuron
    synapse = f", synapse {neuron.synapse:g}" if isinstance(neuron, CubaLIF) else ""
    leak = neuron.leak if neuron else 0
    return (
        f"{ROW}-{HIDDEN}r-10, digits by rows, {case.train[0].shape[1]} steps, batch "
        f"{learning.BATCH}, leak {leak:g}{synapse}, {WHAT}"
    )
