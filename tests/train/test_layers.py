"""Chains in a line of text."""

import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
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


def others() -> dict[str, Graph]:
    """Networks that no line of text describes."""
    found = {}
    for kind in ("skip", "two ways", "spiking", "plane", "identity", "delayed", "two inputs"):
        net = Network()
        x = net.input("x", (1, 2, 2) if kind == "plane" else 4)
        h = net.population("h", 4, LIF())
        y = net.readout("y", 2, LIF() if kind == "spiking" else None)
        net.connect(x, h, Identity() if kind == "identity" else Dense())
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
