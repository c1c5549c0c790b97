"""sim.proofs.order: tasks that may run at the same time never meet in a row, for all small nets."""

import dataclasses
import itertools

import pytest

from backspike.compile.compiler import compile_network
from backspike.compile.order import complete, conflicts, footprint, steps
from backspike.compile.schedule import PROGRAMS, Queue, Task
from backspike.gen.machine import Machine
from backspike.ir.constants import ENGINES
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network

MACHINE = Machine(name="proof", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=2048,
                  units=256, spike_units=512, readout_units=64, layers=8, tasks=256)  # fmt: skip
MOST = {1: 5, 2: 5, 3: 4, 4: 3}
"""Tiles of a layer, by layers."""


def compiled(tiles, *, bias=True, batch=5, steps=4):
    """Full and partly empty last tiles take turns; two blocks, the spans of one set."""
    sizes = [MACHINE.lanes * count - n % 2 for n, count in enumerate(tiles)]
    layers = tuple(Layer(size=size, bias=bias) for size in sizes)
    network = Network(inputs=3, layers=layers, steps=steps)
    return compile_network(network, Learning(batch=batch), MACHINE)


@pytest.mark.parametrize("layers", MOST)
def test_no_two_tasks_meet(layers):
    """Every number of tiles, every program."""
    for tiles in itertools.product(range(1, MOST[layers] + 1), repeat=layers):
        plan = compiled(tiles, bias=sum(tiles) % 2 == 0)
        assert (plan.cut.sets, plan.cut.spans) == (1, 2)
        for program in PROGRAMS:
            assert list(conflicts(plan, program)) == [], (tiles, program)


@pytest.mark.parametrize("cut", [(2, 1), (2, 2)])
def test_no_two_tasks_meet_of_several_sets(cut):
    """The read-out's logits lie by set, all else by block: two sets, of one span and of two."""
    spans = cut[1]
    for tiles in itertools.product(range(1, 4), repeat=3):
        plan = compiled(tiles, batch=18, steps=spans)
        assert (plan.cut.sets, plan.cut.spans) == cut
        for program in PROGRAMS:
            assert list(conflicts(plan, program)) == [], (tiles, program)


def without(queues, engine: str, at: int, other: str):
    """The queues, with one task's wait for another engine a task too short."""
    tasks = list(queues[engine].tasks)
    waits = {k: v - (k == other) for k, v in tasks[at].waits.items()}
    tasks[at] = dataclasses.replace(tasks[at], waits=waits)
    return {**queues, engine: Queue(tuple(tasks))}


def test_every_wait_that_is_not_implied_is_needed():
    """A wait that is a task too short is found, unless the queues' rules make up for it."""
    plan = compiled([3, 2, 2])
    ranges = plan.programs["both"]
    known = complete(plan.queues, ranges)
    found = 0
    for name in ENGINES:
        first = ranges[name].begin
        for step in steps(plan.queues, ranges)[name]:
            for other, count in plan.queues[name].tasks[first + step.number].waits.items():
                wrong = without(plan.queues, name, first + step.number, other)
                if complete(wrong, ranges)[step][other] < known[step][other]:
                    met = list(conflicts(plan, "both", wrong))
                    assert met, f"{step} needs no {count} tasks of {other}"
                    assert any(str(step) in line for line in met)
                    found += 1
    assert found > 5


def test_a_queue_that_waits_for_ever():
    """A queue whose first task waits for a task behind it is a ValueError."""
    plan = compiled([2, 2])
    wrong = {**plan.queues, "bp": Queue((Task(1, 0, {"wg": 1}), *plan.queues["bp"].tasks[1:]))}
    with pytest.raises(ValueError, match="waits for ever"):
        complete(wrong, plan.programs["update"])


def test_spikes_need_their_two_halves():
    """With one half the next batch's spikes would meet those that weights are updated with."""
    plan = compiled([2, 2])
    run = [step for name in ENGINES for step in steps(plan.queues, plan.programs["both"])[name]]
    forward = next(step for step in run if step.engine == "fp" and step.layer == 0)
    gradient = next(step for step in run if step.engine == "wg" and step.layer == 1)
    written = footprint(plan, forward, forward=0, backward=0)[1]
    assert written & footprint(plan, gradient, forward=0, backward=0)[0]
    assert not written & footprint(plan, gradient, forward=0, backward=1)[0]
