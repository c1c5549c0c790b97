"""Accuracy of a network in halves, beside the same network in float32 autograd."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Any

import numpy as np
import torch

from backspike.bench.figure import Figure, at_least, at_most
from backspike.golden.initial import initial_weights
from backspike.golden.reference import MakesOptimizer, Reference
from backspike.ir.graph import Graph
from backspike.system.progress import progress_bar
from backspike.train.batches import Reader
from backspike.train.losses import CrossEntropy
from backspike.train.optimizers import Momentum, OnChip
from backspike.train.thresholds import AdaptiveThreshold
from backspike.train.trainer import Trainer

BATCH = 16
ON_GOLDEN = "on the golden backend: the RTL's bits are the same"
Samples = tuple[np.ndarray, np.ndarray]
"""Spikes, uint8 (samples, T, N), and labels, int64 (samples,)."""


class Falls(torch.optim.Optimizer):
    """Whose rate falls in a straight line, to 0 after so many steps: before one of PyTorch's.

    At a rate that stays, accuracy goes up and down by two or three points from epoch to epoch, and
    the last epoch's, one of these, tells little of arithmetic.
    """

    def __init__(self, params: Any, lr: float, steps: int, **how: Any) -> None:
        super().__init__(params, lr=lr, **how)  # type: ignore[call-arg]
        self._first, self._steps, self._taken = lr, steps, 0

    def step(self, closure: Any = None) -> Any:
        """See torch.optim.Optimizer."""
        for group in self.param_groups:
            group["lr"] = self._first * max(0.0, 1 - self._taken / self._steps)
        self._taken += 1
        return super().step(closure)


class Falling(Falls, torch.optim.Adam):
    """Adam whose rate falls."""


class FallingSGD(Falls, torch.optim.SGD):
    """SGD, perhaps with momentum, whose rate falls."""


def falling(rate: float, epochs: int, samples: int) -> MakesOptimizer:
    """One whose rate is 0 when so many epochs of samples end."""
    return partial(Falling, lr=rate, steps=epochs * -(-samples // BATCH))


@dataclass(frozen=True)
class Case:
    """A network with one read-out, what it learns, and how."""

    graph: Graph
    train: Samples
    test: Samples
    optimizer: OnChip | MakesOptimizer
    epochs: int
    loss: CrossEntropy = CrossEntropy()  # noqa: RUF009 (it is frozen)
    thresholds: AdaptiveThreshold | None = None

    @property
    def readout(self) -> str:
        """The read-out's name."""
        (name,) = (p.name for p in self.graph.populations if p.role == "readout")
        return name


def halves(case: Case, seed: int) -> float:
    """Test accuracy, percent, after training on golden."""
    with Trainer(
        case.graph, batch=BATCH, loss=case.loss, optimizer=case.optimizer, seed=seed,
        thresholds=case.thresholds,
    ) as trainer:  # fmt: skip
        trainer.fit(case.train, case.epochs)
        return 100 * trainer.score(case.test)


def float32(case: Case, seed: int) -> float:
    """Test accuracy, percent, after training in float32: the same first weights, order of the data,
    spikes, surrogates, loss and kind of optimizer."""
    reference = Reference(case.graph, initial_weights(case.graph, seed), in_torch(case.optimizer))
    name = case.readout
    reader = Reader(case.graph, {name: case.graph.by_name[name].size}, BATCH, None)
    summed = isinstance(case.optimizer, OnChip)
    for epoch in range(case.epochs):
        for batch in reader.epoch(case.train, (seed, epoch)):
            scale, labels = batch.samples if summed else 1, batch.labels[name]
            reference.train_batch(
                batch.inputs,
                lambda logits, labels=labels, scale=scale: (
                    scale * case.loss.mean(logits[name], labels)
                ),
            )
            if case.thresholds is not None:
                found = case.thresholds.thresholds(reference.graph, reference.rates)
                reference.set_thresholds(found)
    right = samples = 0
    for batch in reader.epoch(case.test, None):
        right += int((reference.classes(batch.inputs)[name].numpy() == batch.labels[name]).sum())
        samples += batch.samples
    return 100 * right / samples


def in_torch(optimizer: OnChip | MakesOptimizer) -> MakesOptimizer:
    """What does in float32 what the core's own does, given gradients summed over the batch; any of
    PyTorch's is itself, and is given means."""
    if not isinstance(optimizer, OnChip):
        return optimizer
    how = {"lr": optimizer.rate}
    if isinstance(optimizer, Momentum):
        how["momentum"] = optimizer.mu
    if optimizer.falling is None:
        return partial(torch.optim.SGD, **how)
    return partial(FallingSGD, steps=optimizer.falling, **how)


def compared(
    name: str, case: Case, seeds: Iterable[int], goal: float, distance: float, what: str
) -> list[Figure]:
    """Mean accuracy over the seeds, to be `goal` percent or more; its distance to float32's, to be
    at most `distance` points. what: was trained, in words."""
    ours, theirs = [], []
    for seed in progress_bar(list(seeds), desc=name, unit="seed"):
        ours.append(halves(case, seed))
        theirs.append(float32(case, seed))
    return [
        at_least(
            f"test accuracy, {name}, %",
            round(mean(ours), 2),
            goal,
            f"{what}, {case.epochs} epochs, mean of {len(ours)} seeds ({shown(ours)}), {ON_GOLDEN}",
        ),
        at_most(
            f"distance to float32, {name}, points",
            round(abs(mean(ours) - mean(theirs)), 2),
            distance,
            f"|mean - mean of float32 autograd| ({shown(theirs)}; mean {mean(theirs):.2f}): same "
            "network, first weights, order of the data, spikes, surrogate, loss and optimizer",
        ),
    ]


def shown(percents: list[float]) -> str:
    """One after the other."""
    return ", ".join(f"{percent:.2f}" for percent in percents)
