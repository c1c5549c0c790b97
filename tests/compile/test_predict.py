"""Predicted cycles where nothing is left to chance, and where it is, against enumeration."""

import itertools

import numpy as np
import pytest

from backspike.compile.compiler import compile_network
from backspike.compile.predict import Densities, LayerCycles, predict
from backspike.gen.machine import MACHINES
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network


def plan(*sizes: int, bias: bool = False, machine: str = "tiny", batch: int = 3, steps: int = 4):
    layers = tuple(Layer(size=size, bias=bias) for size in sizes[1:])
    network = Network(inputs=sizes[0], layers=layers, steps=steps)
    return compile_network(network, Learning(batch=batch), MACHINES[machine])


def test_everything_spikes():
    """With all densities 1 the prediction is the product of entries, rows and tiles."""
    full = Densities(input=1, spikes=1, gradients=1)
    # 12 entries; tiles of 2: 3 and 4 of them
    assert predict(plan(7, 5, 8), full) == [
        LayerCycles(12 * 7 * 3, 12 * 8 * 3, 12 * 7 * 3),
        LayerCycles(12 * 5 * 4, 0, 12 * 5 * 4),
    ]
    assert predict(plan(7, 5, 8, bias=True), full) == [
        LayerCycles(12 * 8 * 3, 12 * 8 * 3, 12 * 8 * 3),
        LayerCycles(12 * 6 * 4, 0, 12 * 6 * 4),
    ]


def test_nothing_spikes():
    """With all densities 0 two cycles for each row tile of the update remain."""
    # What stays are two cycles for each row tile's update, and the read-out's events.
    silent = Densities(input=0, spikes=0, gradients=0)
    assert predict(plan(7, 5, 8), silent) == [
        LayerCycles(0, 0, 2 * 7 * 3),
        LayerCycles(0, 0, 2 * 5 * 4),
    ]


def test_densities_are_those_of_their_layer():
    """Each engine's cycles follow the density of the layer that it reads."""
    shares = Densities(input=0.5, spikes=0.25, gradients=1)
    first, second, last = predict(plan(8, 4, 4, 2, batch=4), shares)
    assert (first.fp, second.fp, last.fp) == (16 * 4 * 2, 16 * 1 * 2, 16 * 1 * 1)
    assert (first.bp, second.bp, last.bp) == (16 * 4 * 2, 16 * 2 * 2, 0)
    assert (first.wg, second.wg, last.wg) == (16 * 4 * 2, 16 * 1 * 2, 16 * 1 * 1)
    half = Densities(input=0.5, spikes=0.25, gradients=0.5)
    first, second, _ = predict(plan(8, 4, 4, 2, batch=4), half)
    assert first.bp == 16 * 2 * 2 * 0.75  # half of the next layer's, in 3 of 4 pairs of neurons
    assert second.bp == 16 * 2 * 2 * 0.75  # the read-out's are never zero
    assert first.wg == 16 * 4 * 2 * 0.75


@pytest.mark.parametrize(
    ("size", "machine"), [(4, "tiny"), (5, "tiny"), (3, "default"), (9, "default")]
)
def test_touched_tiles_by_enumeration(size, machine):
    """The share of tiles in which a gradient is not zero, as backward's cycles have it.

    At density 1/2 every pattern is as likely, so the mean over all of them is expected.
    """
    compiled = plan(1, size, 2, machine=machine, batch=1, steps=1)
    lanes, tiles = compiled.machine.lanes, compiled.layers[0].tiles
    patterns = np.array(list(itertools.product((0, 1), repeat=size)))
    padded = np.pad(patterns, ((0, 0), (0, tiles * lanes - size)))
    count = int(padded.reshape(-1, tiles, lanes).any(2).sum())
    cycles = predict(compiled, Densities(input=1, spikes=1, gradients=0.5))
    outputs = 2  # each has a gradient, for which the touched tiles are read
    assert cycles[0].bp == outputs * count / len(patterns)
