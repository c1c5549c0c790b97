"""The network and data of most figures: 64-128-10 on scikit-learn's digits, as `train` has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.neuron import Rule
from backspike.ir.surrogate import rectangle
from backspike.train.coding import rate_code
from backspike.train.data import Split
from backspike.train.defaults import RATES, RECTANGLES
from backspike.train.trainer import epoch_order

Loss = Literal["ce", "mse"]
SIZES = (64, 128, 10)
STEPS = 4
RULES: tuple[Rule, ...] = ("bptt", "mpd-ed")
WHAT = f"{'-'.join(map(str, SIZES))}, {STEPS} steps, batch {Learning().batch}, digits"


def network(rule: Rule, sizes: tuple[int, ...] = SIZES) -> Network:
    """The network of `backspike train --rule RULE --layers SIZES`."""
    surrogate = rectangle(RECTANGLES[rule])
    layers = tuple(Layer(size=size, rule=rule, surrogate=surrogate) for size in sizes[1:])
    return Network(inputs=sizes[0], layers=layers, steps=STEPS)


def learning(seed: int, loss: Loss = "ce") -> Learning:
    """The default learning of `backspike train --seed SEED`."""
    return Learning(loss=loss, rate=RATES[loss], seed=seed)


@dataclass(frozen=True)
class Batch:
    """spikes uint8 (B, T, inputs), labels int64 (B,)."""

    spikes: np.ndarray
    labels: np.ndarray


def batches(samples: Split, learning: Learning, epoch: int) -> Iterator[Batch]:
    """An epoch in the order in which `Trainer` takes it."""
    order = epoch_order(learning.seed, epoch, len(samples))
    for begin in range(0, len(samples), learning.batch):
        rows = order[begin : begin + learning.batch]
        yield Batch(rate_code(samples.x[rows], STEPS), samples.y[rows])
