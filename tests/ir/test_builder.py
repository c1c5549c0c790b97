"""Graphs written population by population, or as a chain."""

import re

import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
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


def test_a_chain_of_planes():
    """Shapes are those of the windows that fit; a read-out of one pixel has no planes."""
    graph = Sequential(
        Input((2, 9, 8)), Conv2d(16, 3, stride=2, padding=1), LIF(), Identity(), LIF(),
        Conv2d(8, (2, 1), pool=2, bias=True), LIF(), GlobalAverage(10, bias=True),
    )  # fmt: skip
    planes = [(2, 9, 8), (16, 5, 4), (16, 5, 4), (8, 1, 2), (10,)]
    assert [p.shape for p in graph.populations] == planes
    assert graph.shapes == {"hidden1": (18, 16), "hidden3": (33, 8), "readout": (9, 10)}
    planes = Sequential(Input((2, 9, 8)), Conv2d(3, 3))
    assert planes.populations[-1].shape == (3, 7, 6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "a chain begins with nothing, must begin with an Input"),
        ((Dense(3),), "a chain begins with Dense(size=3, bias=False), must begin with an Input"),
        ((Input(3),), "no connection leaves population input"),
        ((Input(3), LIF()), "is after Input(shape=3), must be a Dense, a Conv2d or an Identity"),
        (
            (Input(3), Dense(), LIF()),
            "a Dense in a chain has no size, must have one, as Dense(128)",
        ),
        ((Input(3), Dense(4), Dense(5)), "Dense(size=5, bias=False) is after Dense(size=4"),
        (
            (Input(9), Conv2d(4, 3), LIF(), Dense(3)),
            "after input leaves a population of shape (9,), must leave planes: (channels, rows,",
        ),
        (
            (Input((1, 2, 2)), Conv2d(4, 3), LIF(), Dense(3)),
            "after input has a kernel of 3x3, must have one up to 2x2: its source's planes and",
        ),
        (
            (Input((1, 4, 4)), Conv2d(), LIF(), Dense(3)),
            "a Conv2d in a chain has no channels, must",
        ),
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
    net.population("p", (2, 3, 3), LIF())
    with pytest.raises(UserError, match="a Conv2d into p has 3 channels, must have 2 or none"):
        net.connect("x", "p", Conv2d(3))
    net.connect("x", "z")
    with pytest.raises(UserError, match="connection x-z has the end 'z', must have two of x, y, p"):
        _ = net.graph
    with pytest.raises(UserError, match="a Dense's size is 0, must be a whole number"):
        Dense(0)
    with pytest.raises(
        UserError, match=r"connection c has Conv2d\(channels=3, .*, must have none of"
    ):
        Connection(name="c", source="x", target="y", kind=Conv2d(3))
    with pytest.raises(
        UserError, match=r"connection c has Dense\(size=3, .*, must have none of a size"
    ):
        Connection(name="c", source="x", target="y", kind=Dense(3))
