"""Weights in PyTorch's layout: there and back, set by name and all at once, and what is refused."""

import numpy as np
import pytest
import torch

from backspike.golden.arithmetic import Reals
from backspike.golden.connections import current
from backspike.golden.half import from_bits
from backspike.golden.initial import initial_weights
from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Conv2d, Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF
from backspike.train.weights import Weights, from_columns, to_columns, weight_shapes


def network() -> Graph:
    """A bias, a skip connection without weights, and a circle."""
    net = Network()
    x, h = net.input("x", 3), net.population("h", 4, LIF())
    k, y = net.population("k", 4, LIF()), net.readout("y", 2)
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, k, Identity())
    net.connect(k, y)
    return net.graph


GRAPH = network()
SHAPES = {"x-h": (4, 3), "x-h.bias": (4,), "h-h": (4, 4), "k-y": (2, 4)}


class Store:
    """What a trainer keeps."""

    def __init__(self):
        self.bits, self.names = initial_weights(GRAPH, 1), []
        self.weights = Weights(GRAPH, lambda: self.bits, self.write)

    def write(self, weights, names):
        """Keep them."""
        self.bits, self.names = to_columns(GRAPH, weights), names


def test_there_and_back():
    """Shapes as of torch.nn.Linear; the same bits come back, -0 as 0."""
    assert weight_shapes(GRAPH) == SHAPES
    bits = initial_weights(GRAPH, 1)
    bits["x-h"][-1] = [1, 2, 3, 0x3C00]
    found = from_columns(GRAPH, bits)
    assert {name: x.shape for name, x in found.items()} == SHAPES
    assert found["x-h.bias"].tolist() == [2.0**-24, 2 * 2.0**-24, 3 * 2.0**-24, 1.0]
    assert found["x-h"][2, 1] == bits["x-h"].view(np.float16)[1, 2]
    back = to_columns(GRAPH, found)
    assert all(np.array_equal(back[name], w) for name, w in bits.items())


def test_convolutions():
    """As torch.nn.Conv2d has them, (O, I, H, W) and (O,), there, back, and by name."""
    conv = torch.nn.Conv2d(2, 3, (2, 3), stride=2, padding=1)
    graph = Sequential(
        Input((2, 5, 4)), Conv2d(3, (2, 3), stride=2, padding=1, bias=True), LIF(), Dense(2)
    )
    shapes = {"hidden1": (3, 2, 2, 3), "hidden1.bias": (3,), "readout": (2, 18)}
    assert weight_shapes(graph) == shapes
    bits = initial_weights(graph, 1)
    found = from_columns(graph, bits)
    assert {name: x.shape for name, x in found.items()} == shapes
    assert all(np.array_equal(to_columns(graph, found)[n], w) for n, w in bits.items())
    weights = Weights(graph, lambda: bits, lambda new, _: bits.update(to_columns(graph, new)))
    weights["hidden1"], weights["hidden1.bias"] = conv.weight, conv.bias
    planes = (torch.rand(1, 1, 2 * 5 * 4, generator=torch.manual_seed(0)) < 0.5).double()
    columns = from_bits(bits["hidden1"])
    want = conv.half().double()(planes.reshape(1, 2, 5, 4)).flatten()
    (got,) = current(Reals(), graph, graph.connections[0], columns, planes[0])
    assert (got[0] - want).abs().max() < 1e-12
    with pytest.raises(UserError, match=r"have \(3, 2, 2, 3\): \(outputs, inputs, rows, columns\)"):
        weights["hidden1"] = np.zeros((3, 12))


def test_set_by_name():
    """Rounded to FP16; nothing else changes; tensors and lists are taken."""
    store = Store()
    before = {name: w.copy() for name, w in store.weights.items()}
    new = torch.nn.Linear(4, 2).weight
    store.weights["k-y"] = new
    assert store.names == ["k-y"]
    want = new.detach().half().double().numpy()
    assert np.array_equal(store.weights["k-y"], want)
    store.weights["x-h.bias"] = [1, -0.0, 0.1, 65504]
    assert store.weights["x-h.bias"].tolist() == [1, 0, float(np.float16(0.1)), 65504]
    assert store.bits["x-h"][-1, 1] == 0
    for name in ("x-h", "h-h"):
        assert np.array_equal(store.weights[name], before[name])


def test_set_all():
    """A mapping with all names, as another trainer's weights are."""
    store, other = Store(), Store()
    other.weights["h-h"] = np.full((4, 4), 0.5)
    store.weights.replace(other.weights)
    assert all(np.array_equal(store.bits[n], other.bits[n]) for n in store.bits)
    store.weights.update({"h-h": np.zeros((4, 4)), "k-y": np.ones((2, 4))})
    assert not store.weights["h-h"].any()
    assert store.weights["k-y"].all()


def test_a_mapping():
    """Names, their number, whether one is there; arrays that cannot be written by mistake."""
    weights = Store().weights
    assert list(weights) == list(SHAPES)
    assert len(weights) == 4
    assert "x-h.bias" in weights
    assert "h-k" not in weights
    assert weights.get("h-k") is None
    assert repr(weights) == f"Weights({SHAPES})"
    with pytest.raises(ValueError, match="read-only"):
        weights["k-y"][0, 0] = 1
    with pytest.raises(UserError, match="weights of 'k-y' cannot be deleted, must be set"):
        del weights["k-y"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("h-k", 1, "^weights of 'h-k' are not there, must be of one of x-h, x-h.bias, h-h, k-y$"),
        ("k-y.bias", 1, "weights of 'k-y.bias' are not there"),
        ("k-y", np.zeros((4, 2)), r"k-y have the shape \(4, 2\), must have \(2, 4\): \(outputs, i"),
        (
            "x-h.bias",
            np.zeros(3),
            r"x-h.bias have the shape \(3,\), must have \(4,\): \(outputs,\)",
        ),
        ("x-h.bias", [0, 0, np.nan, 0], r"weights of x-h.bias at \(2,\) are nan, must be finite"),
        ("x-h.bias", [0, 0, 0, -1e5], r"at \(3,\) are -100000, must be finite numbers within"),
        ("x-h.bias", [0, np.inf, 0, 0], r"at \(1,\) are inf, must be finite"),
        ("k-y", "abc", "weights of k-y are of <U3, must be of real numbers"),
        ("k-y", [[1], [2, 3]], "weights of k-y are a list, must be an array of numbers"),
    ],
)
def test_wrong_weights(name, value, message):
    """An error names connection and shape, and nothing changes."""
    store = Store()
    with pytest.raises(UserError, match=message):
        store.weights[name] = value
    assert store.names == []


def test_all_names_are_needed():
    """A mapping that lacks one, and what is none."""
    store = Store()
    with pytest.raises(UserError, match=r"weights are of \['h-h'\], must be of \['h-h', 'k-y', "):
        store.weights.replace({"h-h": np.zeros((4, 4))})
    with pytest.raises(UserError, match="weights are a ndarray, must be a mapping by name"):
        store.weights.replace(np.zeros(3))
