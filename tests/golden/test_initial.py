"""Initial weights: reproducible halves of the stated deviation."""

import numpy as np

from backspike.golden.half import from_bits
from backspike.golden.initial import (
    HIDDEN_GAIN,
    READOUT_GAIN,
    initial_graph_weights,
    initial_weights,
)
from backspike.ir.builder import Input, Sequential
from backspike.ir.builder import Network as Builder
from backspike.ir.connection import Dense, Identity
from backspike.ir.network import Layer, Network
from backspike.ir.neuron import LIF
from backspike.ir.validation import is_half

NETWORK = Network(
    inputs=100, layers=(Layer(size=400, bias=True), Layer(size=300), Layer(size=90)), steps=2
)


def test_shapes_and_halves():
    """Every layer has the network's shape and holds halves only."""
    weights = initial_weights(NETWORK, 0)
    assert [w.shape for w in weights] == list(NETWORK.shapes)
    assert all(w.dtype == np.uint16 and is_half(w).all() for w in weights)


def test_seed_decides():
    """The same seed gives the same bits, another one others."""
    one, again, other = (initial_weights(NETWORK, seed) for seed in (3, 3, 4))
    for a, b, c in zip(one, again, other, strict=True):
        assert (a == b).all()
        assert (a != c).mean() > 0.9


def test_deviation():
    """Mean 0, deviation gain / sqrt(K), of every layer; a bias is 0."""
    first, second, last = (from_bits(w) for w in initial_weights(NETWORK, 1))
    assert (first[-1] == 0).all()  # the bias
    for w, sources, gain in (
        (first[:-1], 100, HIDDEN_GAIN),
        (second, 400, HIDDEN_GAIN),
        (last, 300, READOUT_GAIN),
    ):
        # 27,000 draws or more: a deviation is off by 0.5 %, a mean by 0.6 % of it, one sigma each.
        assert abs(w.std().item() * sources**0.5 / gain - 1) < 0.03
        assert abs(w.mean().item()) * sources**0.5 / gain < 0.03


def test_bits_of_a_seed_stay():
    """They decide every figure that is reported for a seed."""
    weights = initial_weights(Network(inputs=3, layers=(Layer(size=2),), steps=1), 7)
    assert [f"{w:04x}" for w in weights[0].ravel()] == [
        "338e",
        "ace9",
        "3044",
        "39be",
        "3841",
        "305f",
    ]


def test_a_chains_weights_are_its_graphs():
    """The same bits, whichever way it is written."""
    want = initial_weights(NETWORK, 5)
    chain = Sequential(Input(100), Dense(400, bias=True), LIF(), Dense(300), LIF(), Dense(90))
    for graph in (NETWORK.graph, chain):
        found = initial_graph_weights(graph, 5)
        assert list(found) == list(graph.shapes)
        assert all((a == b).all() for a, b in zip(found.values(), want, strict=True))


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
    weights = initial_graph_weights(net.graph, 0)
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
