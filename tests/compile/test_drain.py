"""Drain slots, counted by hand."""

import gc
from dataclasses import replace

import pytest

from backspike.compile.compiler import compile_graph
from backspike.compile.drain import (
    drain_slots,
    pipeline_cycles,
    row_slots,
    span_steps,
)
from backspike.compile.schedule import Task
from backspike.gen.core.backward.drain import BackwardDrain
from backspike.gen.core.backward.unit import BackwardUnit
from backspike.gen.core.forward.drain import ForwardDrain
from backspike.gen.core.forward.unit import ForwardUnit
from backspike.gen.core.update.drain import PARTS_LATENCY
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Input, Network, Sequential
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF

TINY = MACHINES["tiny"]
FP, BP = ForwardUnit.recurrence, BackwardUnit.recurrence


def plan_of(neuron: LIF, *, steps: int, batch: int):
    graph = Sequential(Input(4), Dense(5), neuron, Dense(3))
    return compile_graph(graph, steps, Learning(batch=batch), TINY, every=True)


def test_one_sample_waits_for_its_neurons():
    """With one sample a step takes the recurrence, but for the last one, which takes its slots."""
    plan = plan_of(LIF(), steps=20, batch=1)
    assert list(span_steps(plan.cut)) == [10, 10]
    for engine, recurrence in (("fp", FP), ("bp", BP)):
        slots = 3 * (19 * recurrence + 2)  # 3 tiles; 2 neurons take turns in a unit
        assert drain_slots(plan, engine, "hidden1") == slots + pipeline_cycles(TINY, engine)


def test_many_samples_take_a_slot_a_sum():
    """With 16 samples sums come one after the other: two for each sample and step."""
    plan = plan_of(LIF(), steps=3, batch=16)
    for engine in ("fp", "bp"):
        slots = 3 * 3 * 16 * 2
        assert drain_slots(plan, engine, "hidden1") == slots + pipeline_cycles(TINY, engine)


def test_currents_pass_twice():
    """A synaptic current doubles the slots."""
    plan = plan_of(CubaLIF(), steps=3, batch=16)
    assert drain_slots(plan, "fp", "hidden1") == 3 * 3 * 16 * 2 * 2 + pipeline_cycles(TINY, "fp")


def test_without_a_temporal_path_an_entry_takes_one_slot_at_the_least():
    """Backward steps that do not wait may have no error at all; the loss always has."""
    plan = plan_of(LIF(temporal=False), steps=4, batch=1)
    assert drain_slots(plan, "bp", "hidden1") == 3 * 4 + pipeline_cycles(TINY, "bp")
    graph = Sequential(Input(4), Dense(5), LIF(), Dense(3))
    loss = compile_graph(graph, 4, Learning(batch=1), TINY)
    assert drain_slots(loss, "bp", "readout") == 2 * 4 * 2 + pipeline_cycles(TINY, "bp")


def test_in_a_loop_spans_do_not_wait_for_each_other():
    """Other tiles come between a tile's spans, so only the slots of each span count."""
    net = Network()
    h = net.population("h", 5, LIF())
    net.connect(net.input("x", 4), h)
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    plan = compile_graph(net.graph, 6, Learning(batch=1), TINY, every=True)
    assert any(isinstance(task, Task) and task.loop for task in plan.queues["fp"].tasks)
    assert drain_slots(plan, "fp", "h") == 3 * 6 * 2 + pipeline_cycles(TINY, "fp")


def test_weight_gradients_have_none():
    """Rows of weights are counted, each takes two cycles or more."""
    plan = plan_of(LIF(), steps=3, batch=16)
    assert drain_slots(plan, "wg", "hidden1") == 0
    assert row_slots(TINY, 7) - row_slots(TINY, 0) == 14
    assert row_slots(replace(TINY, lanes=4, wg_reuse=4), 7) - row_slots(TINY, 0) >= 28


def test_a_sum_waits_for_what_others_have_of_it():
    """On a machine with partial sums, so long as these take to be read, and no row longer."""
    for momentum in (0, 1):
        without, parts = (replace(TINY, momentum=momentum, parts=n) for n in (0, 1))
        assert pipeline_cycles(parts, "wg") == pipeline_cycles(without, "wg") + PARTS_LATENCY
        assert row_slots(parts, 7) - row_slots(without, 7) == PARTS_LATENCY


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("name", MACHINES)
def test_the_pipeline_is_that_of_the_drain(name):
    """Cycles from sum to tile are those that the drains themselves say."""
    machine = MACHINES[name]
    for drain in (ForwardDrain, BackwardDrain):
        assert pipeline_cycles(machine, drain.kind.name) == drain(machine).tile_at
    gc.collect()  # here, where what is never elaborated is no warning
