"""Chains in a line of text."""

from functools import partial

import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.window import conv_window
from backspike.train.layers import chain, in_words, layers_of, parse_layers


def test_a_chain_is_what_sequential_makes():
    """Populations, connections and their names."""
    found = chain(parse_layers("64, 128,32,10"), LIF(leak=0.5), bias=True)
    dense, neuron = [Dense(n, bias=True) for n in (128, 32, 10)], LIF(leak=0.5)
    assert found == Sequential(Input(64), dense[0], neuron, dense[1], neuron, dense[2])
    assert layers_of(found) == "64,128,32,10"
    assert in_words(found) == "64-128-32-10"


def test_a_recurrent_layer_has_a_connection_to_itself():
    """Of delay 1, without a bias, before what leads on."""
    found = chain(parse_layers("8,5r,4,3r,2"), CubaLIF(), bias=True)
    assert [(c.source, c.target, c.delay, c.kind) for c in found.connections] == [
        ("input", "hidden1", 0, Dense(bias=True)), ("hidden1", "hidden1", 1, Dense()),
        ("hidden1", "hidden2", 0, Dense(bias=True)), ("hidden2", "hidden3", 0, Dense(bias=True)),
        ("hidden3", "hidden3", 1, Dense()), ("hidden3", "readout", 0, Dense(bias=True)),
    ]  # fmt: skip
    assert layers_of(found) == "8,5r,4,3r,2"


@pytest.mark.parametrize(
    "text", ["64", "", "64,", "64,x", "64,-1,10", "64,1.5,10", "64,8rr,10", "1,10000000000"]
)
def test_what_is_no_chain(text):
    """One sentence with an example."""
    with pytest.raises(UserError, match=f"layers is '{text}', must be two or more sizes"):
        parse_layers(text)


def test_ends_are_not_recurrent():
    """Inputs have no neurons, read-outs no spikes."""
    for text, message in (("64r,10", "first of layers is 64r"), ("4,1r", "last of layers is 1r")):
        with pytest.raises(UserError, match=f"the {message}, must be without r"):
            parse_layers(text)


def test_planes():
    """Convolutions with stride and padding, averages, and a dense read-out."""
    found = chain(parse_layers("2x9x8, 16c3, 4c5s2p1,a2,8c1,5"), LIF(leak=0.5), bias=True)
    conv = partial(Conv2d, bias=True)
    neuron = LIF(leak=0.5)
    assert found == Sequential(
        Input((2, 9, 8)), conv(16, 3, padding=1), neuron, conv(4, 5, stride=2, padding=1), neuron,
        conv(8, 1, pool=2, average=True), neuron, Dense(5, bias=True),
    )  # fmt: skip
    assert [p.shape for p in found.populations] == [
        (2, 9, 8),
        (16, 9, 8),
        (4, 4, 3),
        (8, 2, 1),
        (5,),
    ]
    assert layers_of(found) == "2x9x8,16c3,4c5s2p1,a2,8c1,5"
    assert in_words(found) == "2x9x8-16c3-4c5s2p1-a2-8c1-5"


@pytest.mark.parametrize(
    ("text", "kind", "shape"),
    [
        ("1x8x8,4c3,a8,10", GlobalAverage(), (10,)),
        ("1x8x8,4c3,a2,10", Conv2d(None, 4, pool=2, average=True), (10,)),
        ("1x8x8,4c3,10c8p0", Conv2d(None, 8), (10,)),
        ("1x8x8,4c3,10c2", Conv2d(None, 2, padding=1), (10, 9, 9)),
        ("1x8x8,4c3,a4,10c1", Conv2d(None, 1, pool=4, average=True), (10, 2, 2)),
        ("1x8x8,4c3,a2,10c4p0", Conv2d(None, 4, pool=2, average=True), (10,)),
    ],
)
def test_how_planes_are_read_out(text, kind, shape):
    """Over averages, by a kernel as large as they, or as planes."""
    found = chain(parse_layers(text), LIF())
    readout = found.populations[-1]
    window = conv_window("c", kind, (4, 8, 8), 10)
    assert (readout.role, readout.shape) == ("readout", shape)
    assert found.windows["readout"] == window
    again = chain(parse_layers(layers_of(found) or ""), LIF())
    assert again.windows == found.windows


def test_a_residual_layer():
    """What enters the layer before it comes in as it is, or by a convolution of 1x1."""
    text = "2x8x8,2c3,2c3,+,4c3s2,6c3,+,5,5r,5,+,3"
    found = chain(parse_layers(text), LIF())
    around = {c.name: c.kind for c in found.connections if c.name.startswith(("input-", "hidden"))}
    assert around["input-hidden2"] == Identity()
    assert around["hidden2-hidden4"] == Conv2d(None, 1, stride=2)
    assert around["hidden5-hidden7"] == Identity()
    assert around["hidden6-hidden6"] == Dense()
    assert len(found.connections) == 12
    assert layers_of(found) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4,+,5", r"must have \+ only after two layers"),
        ("1x4x4,2c3,+,5", r"must have \+ only after two layers"),
        ("4,4,4,+,+,5", r"must have \+ only after two layers"),
        ("4,4,a2,+,5", r"must have \+ only after two layers"),
        ("4,4,4,5,+", "must end in its read-out, as 1x8x8,16c3"),
        ("1x4x4,2c3,a2", "must end in its read-out"),
        ("1x4x4,a2,a2,5", "must have a2 once, and with 2 or more"),
        ("1x4x4,a1,5", "must have a1 once, and with 2 or more"),
        ("1x4,5", "must be two or more sizes with commas between, as 64,128,10; r after a hidden"),
        ("1x4x4,2c3d2,5", "planes and convolutions are 1x8x8,16c3,32c3s2,a2,32c3,10"),
        ("4,8,6,+,5", r"\+ after layer 2 leads from \(4,\) to \(6,\), must lead to an equal shape"),
        ("64,16c3,5", r"layer 1 leaves a population of shape \(64,\), must leave planes"),
        ("64,a2,5", r"layer 1 leaves a population of shape \(64,\), must leave planes"),
        ("1x4x4,a8,2c3,5", "layer 1 pools 8x8 pixels, must pool up to 4x4"),
        ("1x4x4,2c12,5", "a Conv2d's kernel is 12, must be a whole number from 1 to 11"),
        ("1x4x4,2c3s5,5", "a Conv2d's stride is 5, must be a whole number from 1 to 4"),
    ],
)
def test_what_is_no_network_of_planes(text, message):
    """One sentence."""
    with pytest.raises(UserError, match=message):
        chain(parse_layers(text), LIF())


def others() -> dict[str, Graph]:
    """Networks that no line of text describes."""
    found = {}
    for kind in ("skip", "two ways", "spiking", "plane", "identity", "delayed", "two inputs"):
        net = Network()
        x = net.input("x", (1, 2, 2) if kind == "plane" else 4)
        h = net.population("h", 4, LIF())
        y = net.readout("y", 2, LIF() if kind == "spiking" else None)
        kinds = {"identity": Identity(), "plane": Conv2d(None, 1, pool=2)}
        net.connect(x, h, kinds.get(kind, Dense()))
        net.connect(h, y, delay=int(kind == "delayed"))
        if kind == "skip":
            net.connect(x, y)
        if kind == "two ways":
            net.connect(x, h)
        if kind == "two inputs":
            net.connect(net.input("z", 3), h)
        found[kind] = net.graph
    return found


@pytest.mark.parametrize("kind", others())
def test_other_networks_go_by_their_populations(kind):
    """With their shapes."""
    graph = others()[kind]
    assert layers_of(graph) is None
    x = "x:1x2x2" if kind == "plane" else "x:4"
    z = " z:3" if kind == "two inputs" else ""
    assert in_words(graph) == f"{x} h:4 y:2{z}"
