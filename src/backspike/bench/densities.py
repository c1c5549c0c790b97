"""Layers of known densities: what the engines' efficiency is measured on.

Weights are permutations, so a layer passes its spikes on and errors come back as they are, only
elsewhere: the density of everything is that of the input, or of the error, exactly. A neuron's sum
is 0 or 1 and its threshold 1/2, so it has a surrogate derivative in either case.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.builder import Dense, Input, Sequential
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, Rule
from backspike.ir.surrogate import rectangle

STEPS = 4
BATCH = 16
WIDTH = 128
"""Sources and neurons of every layer."""
GRID = (0.05, 0.1, 0.25, 0.5, 1.0)
LEARNING = Learning(batch=BATCH)
ONE = 0x3C00
"""The half 1."""


@dataclass(frozen=True)
class Case:
    """What lies in the memories: densities of the input's spikes and of the read-out's error,
    and the hidden layers' rules. `mpd-ed` makes a layer's gradients as dense as its spikes and
    lets errors through only to these; `bptt` lets all of them through.

    engines: those whose run this case is meant to measure.
    """

    name: str
    input: float
    error: float
    rules: tuple[Rule, Rule]
    engines: tuple[str, ...]

    def graph(self, width: int = WIDTH) -> Graph:
        hidden = (
            LIF(threshold=0.5, surrogate=rectangle(2), rule=rule, temporal=False)
            for rule in self.rules
        )
        layers = (layer for neuron in hidden for layer in (Dense(width), neuron))
        return Sequential(Input(width), *layers, Dense(width))


def cases() -> list[Case]:
    """Densities of spikes and gradients, alone and together."""
    at: list[Case] = []
    for d in GRID[:-1]:
        at += [
            Case(f"spikes {d}, gradients {d}, needed by those that spiked", d, 1.0,
                 ("mpd-ed", "mpd-ed"), ("fp", "bp", "wg")),
            Case(f"spikes {d}, gradients {d}, needed by all", d, 1.0,
                 ("bptt", "mpd-ed"), ("bp",)),
            Case(f"spikes {d}, gradients 1.0, needed by those that spiked", d, 1.0,
                 ("mpd-ed", "bptt"), ("bp",)),
            Case(f"spikes {d}, gradients 1.0, needed by all", d, 1.0,
                 ("bptt", "bptt"), ("wg",)),
            Case(f"spikes 1.0, gradients {d}, needed by all", 1.0, d,
                 ("bptt", "bptt"), ("bp", "wg")),
        ]  # fmt: skip
    # Where everything is there, all cases are the same.
    return [case for case in at if min(case.input, case.error) < 1] + [
        Case("spikes 1.0, gradients 1.0, needed by all", 1.0, 1.0,
             ("bptt", "bptt"), ("fp", "bp", "wg"))
    ]  # fmt: skip


@dataclass(frozen=True)
class Tensors:
    """A batch: weights uint16 (K, N) of every connection; spikes uint8 (B, T, K); error uint16
    (B, T, N), halves that are zero but in the last step, so that a read-out that integrates has the
    same gradients in every step."""

    weights: Mapping[str, Bits]
    spikes: Bits
    error: Bits


def tensors(case: Case, width: int = WIDTH, seed: int = 0) -> Tensors:
    """Each bit and each error is there with the case's probability, whatever the others are."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, (sources, neurons) in case.graph(width).shapes.items():
        weights[name] = np.zeros((sources, neurons), np.uint16)
        weights[name][np.arange(sources), random.permutation(neurons)] = ONE
    return Tensors(
        weights=weights,
        error=last_errors(random, (BATCH, STEPS, width), case.error),
        spikes=(random.random((BATCH, STEPS, width)) < case.input).astype(np.uint8),
    )


def last_errors(
    random: np.random.Generator, shape: tuple[int, int, int], density: float
) -> np.ndarray:
    """Errors (B, T, N) of that density in the last step, and none before."""
    batch, _, neurons = shape
    sizes = random.uniform(2.0**-6, 2.0**-2, (batch, neurons))
    sizes *= random.choice([-1, 1], (batch, neurons))
    there = random.random((batch, neurons)) < density
    error = np.zeros(shape, np.uint16)
    error[:, -1] = np.where(there, sizes, 0).astype(np.float16).view(np.uint16)
    return error
