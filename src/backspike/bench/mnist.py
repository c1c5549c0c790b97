"""Test accuracy on 5,000 digits of MNIST, beside float32 autograd."""

from backspike.bench import learning
from backspike.bench.accuracy import HIDDEN, RULES, chain, coded
from backspike.bench.figure import Figure
from backspike.ir.neuron import Rule
from backspike.train.data import Dataset

STEPS = 8
SEEDS = (0, 1, 2)
EPOCHS = 10
RATE = 1e-3
GOAL = 90.0
"""Percent."""
DISTANCE = 0.5
"""Points of a percent from float32."""


def figures(data: Dataset, seeds: tuple[int, ...] = SEEDS, epochs: int = EPOCHS) -> list[Figure]:
    """Mean accuracy over the seeds and its distance to float32's, of both rules."""
    made = []
    for rule in RULES:
        found = case(data, rule, epochs)
        what = (
            f"{data.inputs}-{HIDDEN}-{data.classes}, {STEPS} steps, batch {learning.BATCH}, "
            f"{data.source}, {len(data.train):,} to train and {len(data.test):,} to test, "
            f"Adam, rate from {RATE:g} to 0"
        )
        made += learning.compared(f"mnist {rule}", found, seeds, GOAL, DISTANCE, what)
    return made


def case(data: Dataset, rule: Rule, epochs: int = EPOCHS) -> learning.Case:
    """784-128-10, and how it learns."""
    return learning.Case(
        graph=chain(data.inputs, data.classes, rule),
        train=coded(data.train, STEPS),
        test=coded(data.test, STEPS),
        optimizer=learning.falling(RATE, epochs, len(data.train)),
        epochs=epochs,
    )
