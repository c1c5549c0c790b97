"""Test accuracy on digits, beside the same network and data order in float32 autograd."""

from statistics import mean

from backspike.bench.figure import Figure, at_least, at_most
from backspike.golden.initial import initial_weights
from backspike.golden.reference import Reference
from backspike.ir.neuron import Rule
from backspike.system.progress import progress_bar
from backspike.train.coding import rate_code
from backspike.train.data import Dataset
from backspike.train.digits_run import RULES, STEPS, WHAT, batches, learning, network
from backspike.train.trainer import Trainer

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
        ours, theirs = [], []
        for seed in progress_bar(seeds, desc=f"accuracy, {rule}", unit="seed"):
            ours.append(100 * golden(data, rule, seed, epochs))
            theirs.append(100 * float32(data, rule, seed, epochs))
        how = (
            f"{WHAT}, {epochs} epochs, mean of {len(seeds)} seeds ({_shown(ours)}), on the golden "
            "backend: the RTL's bits are the same"
        )
        made.append(at_least(f"test accuracy, {rule}, %", mean(ours), GOAL, how))
        how = (
            f"|mean - mean of float32 autograd| ({_shown(theirs)}; mean {mean(theirs):.2f}): same "
            "network, first weights and order of the data"
        )
        distance = abs(mean(ours) - mean(theirs))
        made.append(at_most(f"distance to float32, {rule}, points", distance, DISTANCE, how))
    return made


def golden(data: Dataset, rule: Rule, seed: int, epochs: int) -> float:
    """Share of test samples, 0..1, after `epochs` epochs in halves."""
    with Trainer(network(rule), backend="golden", learning=learning(seed)) as trainer:
        return trainer.train(data, epochs).accuracy["test"]


def float32(data: Dataset, rule: Rule, seed: int, epochs: int) -> float:
    """The same in float32, with autograd."""
    how = learning(seed)
    reference = Reference(network(rule), how, initial_weights(network(rule), seed))
    for epoch in range(epochs):
        for batch in batches(data.train, how, epoch):
            reference.train_batch(batch.spikes, batch.labels)
    return reference.accuracy(rate_code(data.test.x, STEPS), data.test.y)


def _shown(percents: list[float]) -> str:
    return ", ".join(f"{percent:.2f}" for percent in percents)
