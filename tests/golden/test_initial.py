"""Initial weights: reproducible halves of the stated deviation."""

import numpy as np
import pytest

from backspike.golden.half import from_bits
from backspike.golden.initial import (
    DEEP_GAIN,
    HIDDEN_GAIN,
    READOUT_GAIN,
    initial_weights,
    usual_gain,
)
from backspike.ir.builder import Input, Sequential
from backspike.ir.builder import Network as Builder
from backspike.ir.connection import Conv2d, Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.neuron import LIF
from backspike.ir.validation import is_half

CHAIN = Sequential(Input(100), Dense(400, bias=True), LIF(), Dense(300), LIF(), Dense(90))


def test_shapes_and_halves():
    """Every connection has its shape and holds halves only."""
    weights = initial_weights(CHAIN, 0)
    assert {name: w.shape for name, w in weights.items()} == CHAIN.shapes
    assert all(w.dtype == np.uint16 and is_half(w).all() for w in weights.values())


def test_seed_decides():
    """The same seed gives the same bits, another one others."""
    one, again, other = (initial_weights(CHAIN, seed) for seed in (3, 3, 4))
    for name in CHAIN.shapes:
        assert (one[name] == again[name]).all()
        assert (one[name] != other[name]).mean() > 0.9


def test_deviation():
    """Mean 0, deviation gain / sqrt(K), of every connection; a bias is 0."""
    first, second, last = (from_bits(w) for w in initial_weights(CHAIN, 1).values())
    assert (first[-1] == 0).all()  # the bias
    for w, sources, gain in (
        (first[:-1], 100, HIDDEN_GAIN),
        (second, 400, HIDDEN_GAIN),
        (last, 300, READOUT_GAIN),
    ):
        # 27,000 draws or more: a deviation is off by 0.5 %, a mean by 0.6 % of it, one sigma each.
        assert abs(w.std().item() * sources**0.5 / gain - 1) < 0.03
        assert abs(w.mean().item()) * sources**0.5 / gain < 0.03


def test_gain():
    """Of what spikes alone; of a convolution the sources are the taps, of a sum its pixels, too."""
    last = Conv2d(200, 1, pool=2, average=True)
    layers = (Conv2d(64, 3), LIF(), Conv2d(200, 2, pool=2), LIF(), last, LIF(), Dense(90))
    graph = Sequential(Input((4, 14, 14)), *layers)
    weights = initial_weights(graph, 1, 3.0)
    for w, sources, gain in zip(
        weights.values(), (36, 64 * 4 * 4, 200, 200 * 2 * 2), (3, 3, 3, READOUT_GAIN), strict=True
    ):
        assert abs(from_bits(w).std().item() * sources**0.5 / gain - 1) < 0.05
    with pytest.raises(UserError, match="gain is 0, must be a positive number"):
        initial_weights(graph, 1, 0)


def test_bits_of_a_seed_stay():
    """They decide every figure that is reported for a seed."""
    (weights,) = initial_weights(Sequential(Input(3), Dense(2)), 7).values()
    assert [f"{w:04x}" for w in weights.ravel()] == [
        "338e",
        "ace9",
        "3044",
        "39be",
        "3841",
        "305f",
    ]


def test_deviation_of_all_that_enters():
    """gain / sqrt of all sources that a neuron has: two dense connections, and one to one."""
    net = Builder()
    x, h = net.input("x", 100), net.population("h", 299, LIF())
    k, y = net.population("k", 299, LIF()), net.readout("y", 200)
    z = net.readout("z", 200, LIF())
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, k)
    net.connect(h, k, Identity())
    net.connect(k, y)
    net.connect(k, z)
    weights = initial_weights(net.graph, 0)
    assert {name: w.shape for name, w in weights.items()} == net.graph.shapes
    assert not weights["x-h"][-1].any()
    for name, gain, sources in (
        ("x-h", HIDDEN_GAIN, 399),
        ("h-h", HIDDEN_GAIN, 399),
        ("h-k", HIDDEN_GAIN, 300),
        ("k-y", READOUT_GAIN, 299),
        ("k-z", HIDDEN_GAIN, 299),
    ):
        w = from_bits(weights[name])[:99]
        assert abs(float(w.std()) * sources**0.5 / gain - 1) < 0.02, name


def test_padding_is_no_source():
    """On planes of 2x2, four of the nine taps of a window are a source's."""
    graph = Sequential(Input((16, 2, 2)), Conv2d(400, 3, padding=1), LIF(), Dense(3))
    w = from_bits(initial_weights(graph, 0)["hidden1"])
    assert abs(w.std().item() * (16 * 4) ** 0.5 / HIDDEN_GAIN - 1) < 0.02


@pytest.mark.parametrize(
    ("layers", "skip", "gain"),
    [(6, False, HIDDEN_GAIN), (7, False, DEEP_GAIN), (7, True, HIDDEN_GAIN), (12, True, DEEP_GAIN)],
)
def test_the_usual_gain_follows_depth(layers, skip, gain):
    """Layers of neurons are counted, on the shortest way; circles of delay 1 are none."""
    net = Builder()
    last = net.input("x", 4)
    for n in range(layers):
        now = net.population(f"h{n}", 4, LIF())
        net.connect(last, now)
        net.connect(now, now, delay=1)
        last = now
    if skip:
        net.connect("h0", "h4", Identity())
    net.connect(last, net.readout("y", 2))
    assert usual_gain(net.graph) == gain
    usual, given = (initial_weights(net.graph, 0, g) for g in (None, gain))
    assert all((usual[name] == given[name]).all() for name in given)
