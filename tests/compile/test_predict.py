"""Predicted busy cycles beside the counters' of one run."""

from collections.abc import Mapping

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.drain import drain_slots
from backspike.compile.loads import Shares
from backspike.compile.predict import Densities, cycles_a_batch, predict
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Identity, Input, Network, Sequential
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle

ALWAYS = {"threshold": 0.5, "surrogate": rectangle(1000)}
"""A neuron that spikes whenever it has a current, and always has a derivative."""
ONE = 0x3C00


def chain(*sizes: int, neuron: LIF | None = None, bias: bool = False) -> Graph:
    hidden = (
        layer for size in sizes[1:-1] for layer in (Dense(size, bias=bias), neuron or LIF(**ALWAYS))
    )
    return Sequential(Input(sizes[0]), *hidden, Dense(sizes[-1], bias=bias))


def circle() -> Graph:
    """A delayed connection, an identity, two read-outs of which one spikes."""
    net = Network()
    h = net.population("h", 6, LIF(**ALWAYS))
    k = net.population("k", 6, CubaLIF(**ALWAYS))
    net.connect(net.input("x", 6), h)
    net.connect(h, k, Identity(1.0))
    net.connect(k, h, delay=1)
    net.connect(k, net.readout("y", 3))
    net.connect(k, net.readout("w", 4, LIF(**ALWAYS)), frozen=True)
    return net.graph


CASES: Mapping[str, tuple[Graph, int, int]] = {
    "one block": (chain(4, 4, 4), 1, 1),
    "sixteen samples": (chain(4, 6, 3), 1, 16),
    "sets and spans": (chain(7, 6, 3), 5, 20),
    "one sample, many steps": (chain(9, 6, 3), 40, 1),
    "no temporal path": (chain(6, 8, 5, neuron=LIF(temporal=False, **ALWAYS)), 4, 5),
    "currents": (chain(6, 8, 5, neuron=CubaLIF(**ALWAYS)), 4, 5),
    "biases": (chain(6, 8, 5, bias=True), 4, 5),
    "a circle": (circle(), 5, 3),
}
"""Graph, steps, batch."""
CERTAIN = [(name, density) for name in CASES for density in (0, 1) if density or name != "biases"]
"""In which nothing or everything spikes and has a gradient."""


def counted(plan: Plan, spikes: int, error: int) -> dict[str, int]:
    """Busy cycles of a batch in which everything spikes or nothing does, and with errors or
    without."""
    graph, batch = plan.graph, plan.learning.batch
    core = RTLBackend(plan)
    try:
        core.load_weights({n: np.full(shape, ONE, np.uint16) for n, shape in graph.shapes.items()})
        inputs = {p.name: (batch, plan.steps, p.size) for p in graph.populations
                  if p.role == "input"}  # fmt: skip
        logits = core.forward({n: np.full(shape, spikes, np.uint8) for n, shape in inputs.items()})
        core.update({n: np.full(x.shape, error, np.uint16) for n, x in logits.items()}, 0)
        counters = core.counters()
        return {engine: counters[engine]["busy"] for engine in ENGINES}
    finally:
        core.close()


def shares(graph: Graph, density: float) -> Shares:
    return Shares(
        spikes={p.name: density for p in graph.populations},
        gradients={p.name: density for p in graph.populations},
        errors={p.name: density for p in graph.populations},
    )


@pytest.mark.verilator
@pytest.mark.parametrize(("name", "density"), CERTAIN)
def test_counters_of_a_run_are_what_is_predicted(name, density):
    """Where nothing is left to chance, every engine's busy cycles are known: of fp and bp all, of
    wg but for a cycle a task, since its drain's phases never stop."""
    graph, steps, batch = CASES[name]
    plan = compile_graph(graph, steps, Learning(batch=batch), MACHINES["tiny"], every=True)
    busy = counted(plan, density, ONE * density)
    found = predict(plan, shares(graph, density))
    for engine in ENGINES:
        about = 0.002 * busy[engine] + (1 if engine != "wg" else len(plan.queues["wg"].tasks) / 2)
        assert sum(found[engine].values()) == pytest.approx(busy[engine], abs=about), engine


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_predicted_and_no_bound_is_undercut(name):
    """Each population and connection has its busy cycles, at least those of its drain."""
    graph, steps, batch = CASES[name]
    plan = compile_graph(graph, steps, Learning(batch=batch), MACHINES["tiny"], every=True)
    found = predict(plan, Densities().shares(graph))
    for engine in ENGINES:
        assert found[engine]
        assert set(found[engine]) == set(plan.descriptors[engine].layers)
        for layer, busy in found[engine].items():
            assert busy >= drain_slots(plan, engine, layer)


def test_more_density_takes_more_cycles():
    """Busy cycles of every engine grow with what falls upon it."""
    plan = compile_graph(chain(32, 32, 32, 8), 4, Learning(batch=4), MACHINES["tiny"])
    few, many = (
        predict(plan, Densities(input=d, spikes=d, gradients=d).shares(plan.graph))
        for d in (0.1, 0.9)
    )
    for engine in ENGINES:
        assert sum(few[engine].values()) < sum(many[engine].values())


@pytest.mark.verilator
def test_cycles_of_a_batch_beside_the_next_one():
    """A network that always spikes: from doorbell to end of `both`, with all waits for tokens. What
    is left out are refused requests for weights."""
    graph = chain(16, 24, 8)
    plan = compile_graph(graph, 4, Learning(batch=16, rate=2.0**-24), MACHINES["tiny"], every=True)
    core = RTLBackend(plan)
    core.load_weights({n: np.full(shape, ONE, np.uint16) for n, shape in graph.shapes.items()})
    inputs = {"input": np.ones((16, 4, 16), np.uint8)}
    core.forward(inputs)
    core.update_forward({"readout": np.full((16, 4, 8), ONE, np.uint16)}, 0, inputs)
    counted = core.driver.counters()
    core.close()
    found = cycles_a_batch(plan, shares(graph, 1.0))
    assert found == pytest.approx(counted["total"], rel=0.02)
    assert found < sum(counted[engine]["busy"] for engine in ENGINES)


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.verilator
def test_a_loss_of_the_last_step_is_predicted(loss):
    """A chain whose errors are of the last step: its read-out's gradients need no events."""
    graph = chain(6, 8, 5)
    plan = compile_graph(graph, 4, Learning(batch=5, loss=loss), MACHINES["tiny"])
    core = RTLBackend(plan)
    core.load_weights({n: np.full(shape, ONE, np.uint16) for n, shape in graph.shapes.items()})
    core.forward({"input": np.ones((5, 4, 6), np.uint8)}, np.zeros(5, np.int64))
    errors = {"readout": np.full((5, 5), ONE, np.uint16)} if loss == "ce" else None
    core.update(errors, 0)
    counters = core.counters()
    core.close()
    found = predict(plan, shares(graph, 1.0))
    for engine in ("fp", "bp"):
        assert sum(found[engine].values()) == pytest.approx(counters[engine]["busy"], abs=1), engine
