"""Predicted cycles and events of networks in planes, beside the counters' of one run."""

from collections.abc import Mapping

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.drain import drain_slots, pipeline_cycles
from backspike.compile.loads import Loads, Shares
from backspike.compile.measured import measured_shares
from backspike.compile.predict import Densities, cycles_a_batch, predict, update_cycles
from backspike.compile.timeline import steps_of
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Dense, Identity, Input, Network, Sequential
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle
from backspike.train.fuzz_graphs import roomy

TINY = roomy(MACHINES["tiny"])
ALWAYS = {"threshold": 0.5, "surrogate": rectangle(1000)}
"""A neuron that spikes whenever it has a current, and always has a derivative."""
ONE = 0x3C00


def chain(*convs: Conv2d, neuron: LIF | None = None, bias: bool = False) -> Graph:
    layers = [layer for conv in convs for layer in (conv, neuron or LIF(**ALWAYS))]
    return Sequential(Input((3, 5, 4)), *layers, Dense(5, bias=bias))


def circle() -> Graph:
    """Two connections into planes, one of them late; an identity in planes."""
    net = Network()
    h, k = (net.population(name, (3, 4, 3), LIF(**ALWAYS)) for name in "hk")
    net.connect(net.input("x", (2, 4, 3)), h, Conv2d(kernel=3, padding=1))
    net.connect(h, h, Conv2d(kernel=1), delay=1)
    net.connect(h, k, Identity(1.0))
    net.connect(k, net.readout("y", 3))
    return net.graph


CASES: Mapping[str, tuple[Graph, int, int]] = {
    "one block": (chain(Conv2d(3, 3, padding=1)), 4, 4),
    "strides, sets and spans": (chain(Conv2d(3, (2, 3), stride=(2, 1), padding=(0, 1))), 5, 20),
    "two": (chain(Conv2d(5, 3, padding=1), Conv2d(2, 2)), 3, 5),
    "many channels": (chain(Conv2d(19, 2, stride=2)), 4, 4),
    "currents": (chain(Conv2d(3, 2), neuron=CubaLIF(**ALWAYS)), 4, 5),
    "biases": (chain(Conv2d(3, 3, padding=1, bias=True), bias=True), 4, 5),
    "a circle": (circle(), 5, 3),
    "no planes on a machine with windows": (Sequential(Input(6), Dense(8), LIF(**ALWAYS), Dense(3)),
                                            4, 5),
}  # fmt: skip
"""Graph, steps, batch."""
CERTAIN = [(name, density) for name in CASES for density in (0, 1) if density or name != "biases"]
"""In which nothing or everything spikes and has a gradient."""


def plan_of(name: str) -> Plan:
    graph, steps, batch = CASES[name]
    return compile_graph(graph, steps, Learning(batch=batch), TINY, every=True)


@pytest.mark.verilator
@pytest.mark.parametrize(("name", "density"), CERTAIN)
def test_counters_of_a_run_are_what_is_predicted(name, density):
    """Where nothing is left to chance, every engine's busy cycles are known: of fp and bp all, of
    wg but for a cycle a task, since its drain's phases never stop."""
    plan = plan_of(name)
    graph, batch = plan.graph, plan.learning.batch
    core = RTLBackend(plan)
    try:
        core.load_weights({n: np.full(shape, ONE, np.uint16) for n, shape in graph.shapes.items()})
        inputs = {p.name: np.full((batch, plan.steps, p.size), density, np.uint8)
                  for p in graph.populations if p.role == "input"}  # fmt: skip
        logits = core.forward(inputs)
        core.update({n: np.full(x.shape, ONE * density, np.uint16) for n, x in logits.items()}, 0)
        counted = core.counters()
    finally:
        core.close()
    everywhere = {p.name: float(density) for p in graph.populations}
    found = predict(plan, Shares(spikes=everywhere, gradients=everywhere, errors=everywhere))
    for engine in ENGINES:
        busy = counted[engine]["busy"]
        about = 1 if engine != "wg" else len(plan.queues["wg"].tasks) / 2
        # Sums of one sample end with few events, which are taken to be missing now and then.
        about += 0.001 * busy if name == "a circle" else 0
        assert sum(found[engine].values()) == pytest.approx(busy, abs=about), engine


@pytest.mark.verilator
@pytest.mark.parametrize("name", ["two", "many channels", "biases", "strides, sets and spans"])
def test_events_of_measured_spikes_are_those_that_are_counted(name):
    """Of random spikes and weights fp has every event that is predicted, and wg, too: shares are
    those of each pixel, and of pairs that meet. Busy cycles are within 5 %."""
    plan = plan_of(name)
    graph, rng = plan.graph, np.random.default_rng(1)
    golden, core = GoldenBackend(graph, plan.learning, every=True), RTLBackend(plan)
    inputs = {"input": (rng.random((plan.learning.batch, plan.steps, 60)) < 0.3).astype(np.uint8)}
    weights = {n: rng.normal(0, 0.5, shape).astype(np.float16).view(np.uint16)
               for n, shape in graph.shapes.items()}  # fmt: skip
    try:
        for backend in (core, golden):
            backend.load_weights(weights)
            logits = backend.forward(inputs)
        errors = {n: np.where(rng.random(x.shape) < 0.4, ONE, 0).astype(np.uint16)
                  for n, x in logits.items()}  # fmt: skip
        for backend in (core, golden):
            backend.update(errors, 0)
        counted = core.counters()
    finally:
        core.close()
    tensors = golden.forward_tensors() | golden.update_tensors()
    shares = measured_shares(plan, inputs, errors, tensors)
    assert 0.05 < np.mean(shares.spikes["hidden1"]) < 0.95
    for engine in ("fp", "wg"):
        assert events(plan, shares, engine) == pytest.approx(counted[engine]["events"]), engine
    found = predict(plan, shares)
    for engine in ENGINES:
        busy = counted[engine]["busy"]
        assert sum(found[engine].values()) == pytest.approx(busy, rel=0.05), engine


def events(plan: Plan, shares: Shares, engine: str) -> float:
    """Of a batch; what ends an empty sum, no event, is left out."""
    loads, names = Loads(plan, shares), list(plan.descriptors[engine].layers)
    return sum(
        tile.events - tile.empty
        for step in steps_of(plan, engine, "forward" if engine == "fp" else "update")
        for each in loads.sums(engine, names[step.task.layer], step.task.tile, step.span)
        for connection in each.tiles
        for tile in connection
    )


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_predicted_and_no_bound_is_undercut(name):
    """Each population, connection and bias has its busy cycles, at least those of its drain."""
    plan = plan_of(name)
    shares = Densities().shares(plan.graph)
    found = predict(plan, shares)
    for engine in ENGINES:
        assert set(found[engine]) == set(plan.descriptors[engine].layers)
        for layer, busy in found[engine].items():
            assert busy >= drain_slots(plan, engine, layer) > 0 or engine == "wg"
    assert 0 < cycles_a_batch(plan, shares) <= sum(sum(each.values()) for each in found.values())


def test_cycles_of_a_bias_are_those_of_its_connection():
    """What wg takes for a connection includes blocks that only a bias has."""
    busy = predict(plan_of("biases"), Densities().shares(plan_of("biases").graph))
    each = [update_cycles(busy, name) for name in ("hidden1", "readout")]
    assert set(busy["wg"]) == {"hidden1", "hidden1:bias", "readout", "readout:bias"}
    assert sum(each) == pytest.approx(sum(busy["wg"].values()))
    assert each[0] > busy["wg"]["hidden1"] > 0


def test_a_drain_has_slots_for_every_pixel():
    """Forward a tile of a plane takes its pixels times what one of a row of neurons takes."""
    plan = plan_of("strides, sets and spans")
    each = {}
    for name in ("hidden1", "readout"):
        slots = drain_slots(plan, "fp", name) - pipeline_cycles(TINY, "fp")
        each[name] = slots / plan.populations[name].tiles
    assert plan.populations["hidden1"].pixels == 2 * 4
    assert each["hidden1"] == 8 * each["readout"] > 0
