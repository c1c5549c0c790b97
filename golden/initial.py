"""Initial weights."""

import math

import torch

from backspike.golden.half import nearest, to_bits
from backspike.ir.bits import Bits
from backspike.ir.connection import Dense
from backspike.ir.graph import Graph

HIDDEN_GAIN = 2.0
"""Spikes are sparse (about a third of the inputs): a gain of 1 leaves most neurons silent."""
READOUT_GAIN = 0.5
"""Logits add up over all steps; small ones at first leave the hidden layers undisturbed."""
# Chosen on digits (64-128-10, 4 steps, 10 epochs, 3 seeds, both rules and losses): gains from 1 to
# 2 and 0.5 to 1 are within a point and a half of each other.


def initial_weights(graph: Graph, seed: int) -> dict[str, Bits]:
    """Weights of every connection that has some, uint16 (K, N): normal; a bias, the last row,
    starts at 0. The same seed gives the same bits on every machine.

    Their deviation is gain / sqrt(sources that a neuron of the target has, over all connections
    that enter it, biases left out); the gain of a read-out that does not spike is READOUT_GAIN.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for connection in graph.connections:
        if not isinstance(connection.kind, Dense):
            continue
        target = graph.by_name[connection.target]
        gain = HIDDEN_GAIN if target.neuron is not None else READOUT_GAIN
        entering = sum(
            graph.by_name[c.source].size if isinstance(c.kind, Dense) else 1
            for c in graph.into(target.name)
        )
        shape = graph.by_name[connection.source].size, target.size
        w = nearest(gain * _normal(shape, generator) / math.sqrt(entering))
        bias = int(connection.kind.bias)
        weights[connection.name] = to_bits(torch.nn.functional.pad(w, (0, 0, 0, bias)))
    return weights


def _normal(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Normal numbers of deviation 1 (Irwin and Hall): 12 uniform ones less their mean, float64.

    Sums of whole numbers, unlike `torch.randn`'s logarithms, are the same on every machine.
    """
    draws = torch.randint(0, 2**16, (12, *shape), generator=generator)
    return (draws.sum(0) - 6 * (2**16 - 1)).double() / 2**16
