"""compile.parts: the fewest parts that a machine has room for, and what is refused."""

from dataclasses import replace

import pytest

from backspike.compile.compiler import compile_graph
from backspike.compile.parts import compile_batch
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Input, Network, Sequential
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF

TINY = MACHINES["tiny"]
PARTS = replace(TINY, name="tiny,parts=1", parts=1)
CHAIN = Sequential(Input(64), Dense(48), LIF(), Dense(10))


def circle() -> Graph:
    """x -> h, which listens to itself -> y."""
    net = Network()
    x, h = net.input("x", 6), net.population("h", 9, CubaLIF())
    net.connect(x, h)
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    return net.graph


def fits(graph: Graph, steps: int, batch: int) -> bool:
    try:
        compile_graph(graph, steps, Learning(batch=batch), PARTS)
    except UserError:
        return False
    return True


@pytest.mark.parametrize(("graph", "steps"), [(CHAIN, 4), (CHAIN, 7), (CHAIN, 17), (circle(), 5)])
def test_the_fewest_parts_as_equal_as_can_be(graph, steps):
    """A batch that fits is one; a larger one has no more parts than it needs."""
    most = max(n for n in range(1, 100) if fits(graph, steps, n))
    assert all(fits(graph, steps, n) for n in range(1, most))
    for batch in (1, most, most + 1, 2 * most, 2 * most + 1, 100):
        plan = compile_batch(graph, steps, Learning(batch=batch), PARTS)
        part = plan.learning.batch
        assert part <= min(batch, most)
        parts = -(-batch // part)
        assert (parts - 1) * most < batch <= parts * part < batch + parts
        assert plan == compile_graph(graph, steps, Learning(batch=part), PARTS)


def test_without_the_memory_it_is_as_ever():
    """What does not fit says what would; but not where one sample has no room, or is all."""
    plan = compile_batch(CHAIN, 4, Learning(batch=16), TINY)
    assert plan == compile_graph(CHAIN, 4, Learning(batch=16), TINY)
    message = (
        r"tiles, and there are .*; tiny,parts=1 has room for it, as such a batch may come in p"
    )
    with pytest.raises(UserError, match=message):
        compile_batch(CHAIN, 4, Learning(batch=64), TINY)
    large = Sequential(Input(64), Dense(480), LIF(), Dense(10))
    for graph, steps, batch in ((large, 4, 16), (CHAIN, 4096, 1)):
        for machine in (TINY, PARTS):
            with pytest.raises(UserError, match="and there are ") as said:
                compile_batch(graph, steps, Learning(batch=batch), machine)
            assert "in parts" not in str(said.value)


def test_states_that_go_on_have_no_parts():
    """What neurons keep is there for the samples of one part."""
    how = Learning(batch=64)
    with pytest.raises(UserError, match="; and no batch comes in parts whose states go on in the"):
        compile_batch(circle(), 4, how, PARTS, stateful=True)
    with pytest.raises(UserError, match="and there are ") as said:
        compile_batch(circle(), 4, how, TINY, stateful=True)
    assert "in parts" not in str(said.value)
    assert compile_batch(circle(), 4, Learning(batch=16), PARTS, stateful=True).stateful


def test_as_many_terms_as_are_exact():
    """2^23 of them, and not one sample more."""
    how = Learning(batch=2**21 + 1)
    with pytest.raises(
        UserError, match=r"has 2097153 samples of 4 steps, must have up to 8,388,608"
    ):
        compile_batch(CHAIN, 4, how, PARTS)
    assert compile_batch(CHAIN, 4, replace(how, batch=2**21), PARTS).learning.batch == 16
