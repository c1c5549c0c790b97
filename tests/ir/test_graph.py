"""Graphs: what is refused, and in which order populations can be computed."""

import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import IF, LIF, CubaLIF
from backspike.train.random_graphs import random_graph
from tests.support.layered import Layer, Network

X = Population("x", (4,), role="input")
H = Population("h", (3,), LIF())
K = Population("k", (3,), CubaLIF())
Y = Population("y", (2,), role="readout")


def dense(name: str, source: str, target: str, **options) -> Connection:
    return Connection(name=name, source=source, target=target, kind=Dense(), **options)


CHAIN = (dense("a", "x", "h"), dense("b", "h", "y"))


def test_a_graph_is_immutable_and_knows_its_shapes():
    """A bias is the last row; an identity has no weights; names find populations."""
    net = Graph(
        (X, H, K, Y),
        (
            Connection(name="a", source="x", target="h", kind=Dense(bias=True)),
            Connection(name="skip", source="h", target="k", kind=Identity(0.5)),
            dense("b", "k", "y"),
        ),
    )
    assert net.shapes == {"a": (5, 3), "b": (3, 2)}
    assert list(net.windows) == ["a", "b"]
    assert [c.name for c in net.into("k")] == ["skip"] == [c.name for c in net.out_of("h")]
    assert Population("z", (2, 3, 4), LIF()).size == 24
    with pytest.raises(FrozenInstanceError):
        net.populations = ()  # pyright: ignore[reportAttributeAccessIssue]


def test_stages_are_circles_in_an_order_of_their_needs():
    """A circle is one stage, in the order of a step; what only listens to it comes after."""
    net = Graph(
        (Y, K, H, X),
        (*CHAIN, dense("c", "h", "k"), dense("d", "k", "h", delay=1), dense("e", "k", "y")),
    )
    assert net.stages == (("x",), ("h", "k"), ("y",))
    late = Graph((Y, K, H, X), (*CHAIN, dense("c", "h", "k", delay=1), dense("e", "k", "y")))
    assert late.stages == (("x",), ("h",), ("k",), ("y",))
    alone = Graph((X, H, Y), (*CHAIN, dense("c", "h", "h", delay=1)))
    assert alone.stages == (("x",), ("h",), ("y",))


def test_a_chain_is_a_graph():
    """Layers keep their numbers as names, neurons their options; the last is the read-out."""
    chain = Network(
        inputs=7, layers=(Layer(size=5, bias=True, leak=0.5), Layer(size=3, leak=0.1)), steps=2
    )
    assert chain.graph.populations == (
        Population("input", (7,), role="input"),
        Population("0", (5,), LIF(leak=0.5)),
        Population("1", (3,), role="readout"),
    )
    assert tuple(chain.graph.shapes.values()) == chain.shapes


def test_a_chain_learns_as_a_whole():
    """All but the input, and all weights; errors come to a population through what leaves it."""
    net = Graph((X, H, Y), CHAIN)
    assert net.learning == {"h", "y"}
    assert net.trained == CHAIN
    assert net.errors_into("h") == (CHAIN[1],)
    assert net.errors_into("y") == ()


def test_what_is_frozen_or_stopped_does_not_learn():
    """Frozen weights are not updated, but errors pass them to those that are; where nothing before
    is updated, or where no errors come, there are no gradients."""
    frozen, stopped = {"frozen": True}, {"stop_gradient": True}
    for options, learning, trained in (
        (({}, frozen), {"h", "y"}, "a"),
        ((frozen, {}), {"y"}, "b"),
        ((frozen, frozen), set(), ""),
        (({}, stopped), {"y"}, "b"),
        (({}, frozen | stopped), set(), ""),
        ((stopped, {}), {"h", "y"}, "ab"),  # an input has no errors anyway
    ):
        connections = (dense("a", "x", "h", **options[0]), dense("b", "h", "y", **options[1]))
        net = Graph((X, H, Y), connections)
        assert net.learning == learning
        assert "".join(c.name for c in net.trained) == trained


def test_learning_of_branches_and_circles():
    """h -> k -> h is a circle, of which only h tells y: k learns through the delayed connection, or
    not if it stops errors. An identity has no weights, but errors pass it."""
    for stop in (False, True):
        circle = (
            dense("a", "x", "h", frozen=True),
            dense("b", "h", "y", frozen=True),
            Connection(name="c", source="h", target="k", kind=Identity(), stop_gradient=stop),
            dense("d", "k", "h", delay=1),
            Connection(name="e", source="k", target="h", kind=Identity(), delay=1, frozen=True,
                       stop_gradient=True),
        )  # fmt: skip
        net = Graph((X, H, Population("k", (3,), LIF()), Y), circle)
        assert net.trained == (circle[3],)
        # Weights into h are updated; k comes after h, and before it.
        assert net.learning == {"h", "y"} | (set() if stop else {"k"})
        assert [c.name for c in net.errors_into("h")] == (["b"] if stop else ["b", "c"])
        assert [c.name for c in net.errors_into("k")] == ["d"]


def test_graded_inputs():
    """Numbers and the value of 1; spikes are numbers of one bit, whose value is 1."""
    for options, most, unit in (
        ({}, 1, 1.0),
        ({"bits": 4}, 15, 2.0**-4),
        ({"bits": 8, "fraction": 0}, 255, 1.0),
        ({"fraction": 3}, 1, 2.0**-3),
    ):
        x = Population("x", (4,), role="input", **options)
        assert (x.most, x.unit) == (most, unit)
    assert Population("x", (4,), role="input", bits=4).fraction == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits of population x is 0, must be a whole number from 1 to 8"),
        ({"bits": 9}, "bits of population x is 9, must be a whole number from 1 to 8"),
        ({"bits": True}, "bits of population x is True, must be a whole number"),
        ({"bits": None}, "bits of population x is None, must be a whole number"),
        ({"fraction": 9}, "fraction of population x is 9, must be a whole number from 0 to 8"),
        ({"fraction": -1}, "fraction of population x is -1, must be a whole number from 0 to 8"),
        (
            {"bits": 2, "role": "hidden", "neuron": LIF()},
            "x has numbers of 2 bits, must have spikes",
        ),
        (
            {"fraction": 1, "role": "readout"},
            "population x has numbers of 1 bits, must have spikes",
        ),
    ],
)
def test_what_is_no_graded_input_is_refused(options, message):
    """With what is allowed."""
    with pytest.raises(UserError, match=message):
        Population("x", (4,), **{"role": "input"} | options)


@pytest.mark.parametrize("seed", range(100))
def test_learning_by_enumeration(seed):
    """Of random graphs: all ways that errors can take from a read-out down to updated weights."""
    net = random_graph(np.random.default_rng(seed))
    updated = [c for c in net.connections if isinstance(c.kind, Dense) and not c.frozen]

    def ways(way: tuple[str, ...]):
        """Populations from a read-out down, none twice."""
        yield way
        for c in net.into(way[-1]):
            if not c.stop_gradient and c.source not in way:
                yield from ways((*way, c.source))

    # A way from a read-out to weights goes on from one to the other with what is between.
    down = {p.name: {way[-1] for way in ways((p.name,))} for p in net.populations}
    readouts = [p.name for p in net.populations if p.role == "readout"]
    inputs = {p.name for p in net.populations if p.role == "input"}
    learning = {
        name
        for name in net.by_name
        if any(name in down[readout] for readout in readouts)
        and any(c.target in down[name] for c in updated)
    } - inputs
    assert net.learning == learning
    assert net.trained == tuple(c for c in updated if c.target in learning)
    for name in learning:
        assert net.errors_into(name) == tuple(
            c
            for c in net.connections
            if c.source == name and not c.stop_gradient and c.target in learning
        )


@pytest.mark.parametrize(
    ("populations", "connections", "message"),
    [
        ((X, H, H, Y), CHAIN, "population h is there twice, must have a name of its own"),
        ((X, H, Y), (*CHAIN, CHAIN[0]), "connection a is there twice"),
        ((X, H, Y), (*CHAIN, dense("c", "x", "z")), "c has the end 'z', must have two of x, h, y"),
        ((X, H, Y), (*CHAIN, dense("c", "h", "x", delay=1)), "c enters input x, must enter a pop"),
        ((X, H, Y), (*CHAIN, dense("c", "y", "h", delay=1)), "c leaves y, a read-out that does no"),
        ((X, H, K, Y), (*CHAIN, dense("c", "k", "y")), "no connection enters population k"),
        ((X, H, K, Y), (*CHAIN, dense("c", "h", "k")), "no connection leaves population k"),
        ((X, H), (CHAIN[0], dense("c", "h", "h", delay=1)), "a network has no readout, must have"),
        (
            (X, H, K, Y),
            (*CHAIN, dense("c", "h", "k"), dense("d", "k", "h")),
            "connections without delay make the circle h -> k -> h, one of them must have delay 1",
        ),
        ((X, H, Y), (*CHAIN, dense("c", "h", "h")), "make the circle h -> h, one of them"),
        (
            (X, H, Y),
            (*CHAIN, Connection(name="c", source="x", target="h", kind=Identity())),
            "identity c connects x of shape (4,) and h of shape (3,), must connect equal shapes",
        ),
    ],
)
def test_what_is_no_network_is_refused(populations, connections, message):
    """The message names population or connection, and what must be."""
    with pytest.raises(UserError, match=re.escape(message)):
        Graph(populations, connections)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Population("-h", (3,), LIF()), "name is '-h', must be of letters"),
        (lambda: Population("h", (3, 4), LIF()), "population h has the shape (3, 4), must have"),
        (lambda: Population("h", (0,), LIF()), "a size of population h is 0, must be a whole"),
        (lambda: Population("h", (3,)), "population h has no neuron model, must have one"),
        (lambda: Population("h", (3,), LIF(), role="input"), "input h has a neuron model, must"),
        (lambda: Population("h", (3,), "LIF"), "population h has 'LIF', must have a neuron"),  # pyright: ignore[reportArgumentType]
        (lambda: dense("c", "x", "h", delay=2), "delay of connection c is 2, must be 0 or 1"),
        (lambda: dense("c", "x", "h", frozen=1), "frozen of connection c is 1, must be True or"),
        (lambda: dense("", "x", "h"), "a connection's name is '', must be of letters"),
        (lambda: Connection(name="c", source="x", target="h", kind=None), "connection c is None"),  # pyright: ignore[reportArgumentType]
        (lambda: Identity(2.0**-26), "scale is 1.4901161193847656e-08, must not be 0 as FP16"),
        (lambda: Dense(bias=1), "bias is 1, must be True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: CubaLIF(synapse=1.5), "synapse is 1.5, must be from 0 to 1"),
        (lambda: LIF(leak=-1), "leak is -1, must be from 0 to 1"),
    ],
)
def test_what_is_wrong_by_itself_is_refused(make, message):
    """Populations, connections, kinds and neuron models are checked as they are made."""
    with pytest.raises(UserError, match=re.escape(message)):
        make()


def test_integrate_and_fire_does_not_leak():
    """IF is LIF with leak 1, whatever else is given."""
    assert IF(threshold=0.5, reset="soft") == LIF(leak=1.0, threshold=0.5, reset="soft")
    assert IF() == LIF(leak=1.0)
