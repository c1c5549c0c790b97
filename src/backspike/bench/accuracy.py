"""Test accuracy on digits, beside the same network and data order in float32 autograd."""

from backspike.bench import learning
from backspike.bench.figure import Figure
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, Rule
from backspike.ir.surrogate import rectangle
from backspike.train.data import Dataset, Split
from backspike.train.defaults import RATES, RECTANGLES
from backspike.train.encode import rate
from backspike.train.optimizers import SGD

RULES: tuple[Rule, ...] = ("bptt", "mpd-ed")
HIDDEN, STEPS = 128, 4
SEEDS = (0, 1, 2)
EPOCHS = 10
GOAL = 95.0
"""Percent."""
DISTANCE = 1.0
"""Points of a percent from float32."""


def figures(data: Dataset, seeds: tuple[int, ...] = SEEDS, epochs: int = EPOCHS) -> list[Figure]:
    """Mean accuracy over the seeds and its distance to float32's, of both rules."""
    made = []
    for rule in RULES:
        found = case(data, rule, epochs)
        what = f"{data.inputs}-{HIDDEN}-{data.classes}, {STEPS} steps, batch {learning.BATCH}, "
        made += learning.compared(rule, found, seeds, GOAL, DISTANCE, what + data.source)
    return made


def case(data: Dataset, rule: Rule, epochs: int = EPOCHS) -> learning.Case:
    """The network of `backspike train --rule RULE` on this data, and how it learns."""
    return learning.Case(
        graph=chain(data.inputs, data.classes, rule),
        train=coded(data.train, STEPS),
        test=coded(data.test, STEPS),
        optimizer=SGD(RATES["ce"]),
        epochs=epochs,
    )


def chain(inputs: int, classes: int, rule: Rule) -> Graph:
    """inputs-HIDDEN-classes, with the rule's usual surrogate."""
    neuron = LIF(rule=rule, surrogate=rectangle(RECTANGLES[rule]))
    return Sequential(Input(inputs), Dense(HIDDEN), neuron, Dense(classes))


def coded(split: Split, steps: int) -> learning.Samples:
    """Rate-coded pixels, and labels."""
    return rate(split.x, steps), split.y
