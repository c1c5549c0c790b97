"""The network and data of most figures: 64-128-10 on scikit-learn's digits, as `train` has them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backspike.golden.loss import cross_entropy_error
from backspike.ir.bits import Bits
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, Rule
from backspike.ir.surrogate import rectangle
from backspike.train.batches import epoch_order
from backspike.train.coding import rate_code
from backspike.train.data import Split
from backspike.train.defaults import RATES, RECTANGLES, STEPS
from backspike.train.layers import Layer, chain

Loss = Literal["ce", "mse"]
SIZES = (64, 128, 10)
RULES: tuple[Rule, ...] = ("bptt", "mpd-ed")
WHAT = f"{'-'.join(map(str, SIZES))}, {STEPS} steps, batch {Learning().batch}, digits"


def network(rule: Rule, sizes: tuple[int, ...] = SIZES) -> Graph:
    """The network of `backspike train --rule RULE --layers SIZES`."""
    neuron = LIF(rule=rule, surrogate=rectangle(RECTANGLES[rule]))
    return chain([Layer(size) for size in sizes], neuron)


def learning(seed: int, loss: Loss = "ce") -> Learning:
    """The default learning of `backspike train --seed SEED`."""
    return Learning(loss=loss, rate=RATES[loss], seed=seed)


@dataclass(frozen=True)
class Batch:
    """spikes uint8 (B, T, inputs), labels int64 (B,)."""

    spikes: np.ndarray
    labels: np.ndarray

    @property
    def inputs(self) -> dict[str, Bits]:
        """The spikes by the chain's input."""
        return {"input": self.spikes}


def errors_of(logits: Mapping[str, Bits], batch: Batch) -> dict[str, Bits]:
    """Cross-entropy's, of the last step's logits by read-out."""
    return {name: cross_entropy_error(o, batch.labels) for name, o in logits.items()}


def batches(samples: Split, learning: Learning, epoch: int) -> Iterator[Batch]:
    """An epoch in the order in which `Trainer` takes it."""
    order = epoch_order(learning.seed, epoch, len(samples))
    for begin in range(0, len(samples), learning.batch):
        rows = order[begin : begin + learning.batch]
        yield Batch(rate_code(samples.x[rows], STEPS), samples.y[rows])
