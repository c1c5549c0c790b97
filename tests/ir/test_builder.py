"""Graphs written population by population, or as a chain."""

import re

import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import IF, LIF, CubaLIF


def test_population_by_population():
    """The graph has what was added, in that order; handles and names both stand for populations."""
    net = Network()
    x = net.input("x", 64)
    h = net.population("h", (2, 3, 4), CubaLIF())
    net.readout("y", 10)
    net.connect(x, h, Dense(24, bias=True))
    net.connect(h, h, delay=1, frozen=True)
    net.connect("h", "h", Identity(0.5), delay=1)
    first = net.connect(h, "y", stop_gradient=True, name="out")
    assert net.graph == Graph(
        (
            Population("x", (64,), role="input"),
            Population("h", (2, 3, 4), CubaLIF()),
            Population("y", (10,), role="readout"),
        ),
        (
            Connection(name="x-h", source="x", target="h", kind=Dense(bias=True)),
            Connection(name="h-h", source="h", target="h", kind=Dense(), delay=1, frozen=True),
            Connection(name="h-h-2", source="h", target="h", kind=Identity(0.5), delay=1),
            first,
        ),
    )
    assert (first.name, first.kind, first.stop_gradient) == ("out", Dense(), True)
    before = net.graph
    net.connect("x", "y")
    assert len(before.connections) == 4
    assert len(net.graph.connections) == 5


def test_a_chain():
    """As it is written in PyTorch; a last connection without neurons leads to potentials."""
    graph = Sequential(Input(64), Dense(128), LIF(leak=0.5), Identity(), IF(), Dense(10, bias=True))
    assert graph.populations == (
        Population("input", (64,), role="input"),
        Population("hidden1", (128,), LIF(leak=0.5)),
        Population("hidden2", (128,), LIF(leak=1.0)),
        Population("readout", (10,), role="readout"),
    )
    assert [c.name for c in graph.connections] == ["hidden1", "hidden2", "readout"]
    assert graph.shapes == {"hidden1": (64, 128), "readout": (129, 10)}
    counts = Sequential(Input((1, 8, 8)), Dense(10), LIF())
    assert counts.populations[-1] == Population("readout", (10,), LIF(), role="readout")
    assert counts.shapes == {"readout": (64, 10)}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "a chain begins with nothing, must begin with an Input"),
        ((Dense(3),), "a chain begins with Dense(size=3, bias=False), must begin with an Input"),
        ((Input(3),), "no connection leaves population input"),
        ((Input(3), LIF()), "is after Input(shape=3), must be a Dense or an Identity"),
        (
            (Input(3), Dense(), LIF()),
            "a Dense in a chain has no size, must have one, as Dense(128)",
        ),
        ((Input(3), Dense(4), Dense(5)), "Dense(size=5, bias=False) is after Dense(size=4"),
        ((Input(0), Dense(4)), "a size of population input is 0, must be a whole number"),
    ],
)
def test_what_is_no_chain_is_refused(layers, message):
    """The sentence says what is after what."""
    with pytest.raises(UserError, match=re.escape(message)):
        Sequential(*layers)


def test_what_else_is_refused():
    """A name that is taken, a size that is not the target's, an end that is not there."""
    net = Network()
    net.input("x", 3)
    with pytest.raises(UserError, match="population x is there already, must have a name of its"):
        net.readout("x", 3)
    net.readout("y", 4)
    with pytest.raises(UserError, match="a Dense into y has size 5, must have 4 or none"):
        net.connect("x", "y", Dense(5))
    net.connect("x", "z")
    with pytest.raises(UserError, match="connection x-z has the end 'z', must have two of x, y"):
        _ = net.graph
    with pytest.raises(UserError, match="a Dense's size is 0, must be a whole number"):
        Dense(0)
    with pytest.raises(
        UserError, match=r"connection c has Dense\(size=3, .*, must have none of a size"
    ):
        Connection(name="c", source="x", target="y", kind=Dense(3))
