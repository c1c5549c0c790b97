"""Initial weights."""

import math

import torch

from backspike.golden.half import nearest, to_bits
from backspike.ir.bits import Bits
from backspike.ir.checks import positive
from backspike.ir.graph import Connection, Graph

HIDDEN_GAIN = 2.0
"""Spikes are sparse (about a third of the inputs): a gain of 1 leaves most neurons silent."""
DEEP_GAIN = 2.4
"""Of deep networks: every layer begins with about as many spikes as the one before it. With 2 they
become fewer from each to the next, and yet six layers learn better so."""
SHALLOW = 6
"""Layers of neurons, one behind another, that begin with HIDDEN_GAIN."""
READOUT_GAIN = 0.5
"""Logits add up over all steps; small ones at first leave the hidden layers undisturbed."""
# Chosen on digits (64-128-10, 4 steps, 10 epochs, 3 seeds, both rules and losses): gains from 1 to
# 2 and 0.5 to 1 are within a point and a half of each other.


def initial_weights(graph: Graph, seed: int, gain: float | None = None) -> dict[str, Bits]:
    """Weights of every connection that has some, uint16 (K, N): normal; a bias, the last row,
    starts at 0. The same seed gives the same bits on every machine.

    Their deviation is gain / sqrt(sources that a neuron of the target has on average, over all
    connections that enter it, biases and padding left out). `gain` is of populations with a neuron
    model (None: the `usual_gain`), others have READOUT_GAIN. A pool that sums makes each of its
    pixels a source; one that averages is one.
    """
    gain = usual_gain(graph) if gain is None else gain
    positive("gain", gain)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, target in ((c.name, graph.by_name[c.target]) for c in graph.connections):
        if (window := graph.windows.get(name)) is None:
            continue
        scale = READOUT_GAIN if target.neuron is None else gain
        entering = sum(_sources(graph, c) for c in graph.into(target.name))
        shape = window.taps, window.channels
        w = nearest(scale * _normal(shape, generator) / math.sqrt(entering))
        weights[name] = to_bits(torch.nn.functional.pad(w, (0, 0, 0, int(window.bias))))
    return weights


def usual_gain(graph: Graph) -> float:
    """HIDDEN_GAIN, but DEEP_GAIN of a network with a population more than SHALLOW layers of neurons
    deep, on its shortest way from an input: skips bring spikes, too."""
    depth: dict[str, int] = {}
    for name in (name for stage in graph.stages for name in stage):
        before = [depth[c.source] for c in graph.into(name) if not c.delay and c.source in depth]
        depth[name] = min(before, default=0) + (graph.by_name[name].neuron is not None)
    return DEEP_GAIN if max(depth.values()) > SHALLOW else HIDDEN_GAIN


def _sources(graph: Graph, connection: Connection) -> float:
    window = graph.windows.get(connection.name)
    if window is None:
        return 1
    return window.sources * (1 if window.average else window.pool_size)


def _normal(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Normal numbers of deviation 1 (Irwin and Hall): 12 uniform ones less their mean, float64.

    Sums of whole numbers, unlike `torch.randn`'s logarithms, are the same on every machine.
    """
    draws = torch.randint(0, 2**16, (12, *shape), generator=generator)
    return (draws.sum(0) - 6 * (2**16 - 1)).double() / 2**16
