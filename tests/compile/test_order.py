"""compile.order: tasks that may run at the same time never meet in a row, for small networks."""

import collections
import dataclasses
import itertools

import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.order import Footprints, complete, conflicts, steps
from backspike.compile.schedule import PROGRAMS, Queue, Task
from backspike.ir.connection import Dense, Identity
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from tests.support.graph_plans import ROOMY, delayed, drawn_plan
from tests.support.layered import Layer, Network, compile_network

MOST = {1: 5, 2: 5, 3: 4, 4: 3}
"""Tiles of a layer, by layers."""
GRAPHS, CHUNK = 320, 40
"""Random graphs, and those of each test."""


def compiled(tiles, *, bias=True, batch=5, steps=4):
    """Full and partly empty last tiles take turns; two blocks, the spans of one set."""
    sizes = [ROOMY.lanes * count - n % 2 for n, count in enumerate(tiles)]
    layers = tuple(Layer(size=size, bias=bias) for size in sizes)
    network = Network(inputs=3, layers=layers, steps=steps)
    return compile_network(network, Learning(batch=batch), ROOMY)


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


@pytest.mark.parametrize("first", range(0, GRAPHS, CHUNK))
def test_no_two_tasks_of_a_graph_meet(first):
    """Random graphs, with errors of every step or of the last, stateful or not. A batch that goes
    on, where spikes are delayed, is updated and followed in turns (`CoreBackend.update_forward`),
    without `both`: wg may need the spikes in whose place the next batch's are."""
    for seed in range(first, first + CHUNK):
        plan = drawn_plan(seed)
        for program in PROGRAMS:
            assert list(conflicts(plan, program)) == [], (seed, program)
            if plan.stateful and not (program == "both" and delayed(plan)):
                assert list(conflicts(plan, program, carry=True)) == [], (seed, program)


def test_the_graphs_have_every_kind_of_task():
    """Loops of both engines, of one population and of several; several sets, spans, and both."""
    seen = collections.Counter()
    for seed in range(GRAPHS):
        plan = drawn_plan(seed)
        seen["sets and spans"] += plan.cut.sets > 1 and plan.cut.spans > 1
        seen["every", plan.every, plan.stateful] += 1
        seen["tight"] += any(at.after for at in plan.populations.values())
        seen["delayed and going on"] += plan.stateful and delayed(plan)
        for name in ("fp", "bp"):
            looped = {task.layer for task in plan.queues[name].tasks if task.step}
            seen[name, min(len(looped), 2)] += plan.cut.spans > 1
    assert all(
        seen[what] > 20
        for what in [
            "sets and spans",
            "tight",
            "delayed and going on",
            *itertools.product(("every",), (False, True), (False, True)),
            *itertools.product(("fp", "bp"), (1, 2)),
        ]
    ), seen


def test_an_update_and_a_batch_that_goes_on_would_meet():
    """Why they take turns: some circle's weights are updated with the spikes of the batch before,
    which `both` overwrites. Without a delay they need not."""
    met = collections.Counter()
    for seed in range(GRAPHS):
        plan = drawn_plan(seed)
        if plan.stateful and plan.cut.spans > 1:
            found = list(conflicts(plan, "both", carry=True))
            met[delayed(plan)] += bool(found)
            assert all("of the spikes" in line for line in found)
    assert met[True] > 10
    assert met[False] == 0


def without(queues, engine: str, at: int, other: str):
    """The queues, with one task's wait for another engine a task too short."""
    tasks = list(queues[engine].tasks)
    waits = {k: v - (k == other) for k, v in tasks[at].waits.items()}
    tasks[at] = dataclasses.replace(tasks[at], waits=waits)
    return {**queues, engine: Queue(tuple(tasks))}


def needed_waits(plan: Plan) -> int:
    """How many waits of `both` the queues' rules do not make up for. Each that is a task too short
    makes a conflict of its own task; but that of a read-out for its errors of every step, of which
    bp uses nothing that fp writes."""
    ranges, spans = plan.programs["both"], plan.cut.spans
    known = complete(plan.queues, ranges, spans)
    run = steps(plan.queues, ranges, spans)
    found = 0
    for name in ENGINES:
        first = ranges[name].begin
        # A task of a loop waits once, in the first span.
        once = {step.task: step for step in reversed(run[name])}
        for step in once.values():
            for other, count in plan.queues[name].tasks[first + step.task].waits.items():
                wrong = without(plan.queues, name, first + step.task, other)
                if complete(wrong, ranges, spans)[step][other] >= known[step][other]:
                    continue
                layer = list(plan.descriptors[name].layers)[step.layer]
                stepped = (name, other) == ("fp", "bp") and plan.every
                if stepped and not plan.graph.by_name[layer].spikes:
                    continue
                met = list(conflicts(plan, "both", wrong))
                # A tile of gradients waits for all whose place its population takes.
                if (name, other) == ("bp", "wg") and not met:
                    continue
                assert met, f"{step} needs no {count} tasks of {other}"
                assert any(str(step) in line for line in met)
                found += 1
    return found


def test_every_wait_that_is_not_implied_is_needed():
    """A wait that is a task too short is found, unless the queues' rules make up for it."""
    assert needed_waits(compiled([3, 2, 2])) > 5


def test_every_wait_of_a_graph_is_needed():
    """Likewise of random graphs, with loops among them."""
    found = loops = 0
    for seed in range(GRAPHS, GRAPHS + 24):
        plan = drawn_plan(seed)
        found += needed_waits(plan)
        loops += any(task.loop for task in plan.queues["fp"].tasks)
    assert found > 100
    assert loops > 5


def circle() -> Plan:
    """A circle of two populations of two tiles, in several spans."""
    graph = Graph(
        (
            Population("x", (3,), role="input"),
            Population("h", (4,), LIF()),
            Population("k", (4,), LIF()),
            Population("y", (2,), role="readout"),
        ),
        tuple(
            Connection(name=name, source=source, target=target, kind=kind, delay=delay)
            for name, source, target, kind, delay in [
                ("a", "x", "h", Dense(), 0),
                ("b", "h", "k", Identity(), 0),
                ("c", "k", "h", Dense(bias=True), 1),
                ("d", "k", "y", Dense(), 0),
            ]
        ),
    )
    return compile_graph(graph, 3, Learning(batch=2), ROOMY, every=True)


@pytest.mark.parametrize(("engine", "program"), [("fp", "forward"), ("bp", "update")])
def test_a_loop_goes_span_by_span(engine, program):
    """Of h (0) and k (1): forward h, then k; back k, then h. A span begins when the one before is
    complete, and a task of it when the population before it is."""
    plan = circle()
    assert plan.cut.spans == 3
    run = steps(plan.queues, plan.programs[program], 3)[engine]
    looped = [step for step in run if step.span is not None]
    order = (0, 1) if engine == "fp" else (1, 0)
    assert [(step.span, step.layer, step.tile) for step in looped] == [
        (span, layer, tile) for span in range(3) for layer in order for tile in range(2)
    ]
    known = complete(plan.queues, plan.programs[program], 3)
    first = looped[0].number
    fenced = [first + 2 * (n // 2) for n in range(len(looped))]
    assert [known[step][engine] for step in looped] == fenced
    # And so do tasks that wait for one of the loop: it counts in the last span.
    if engine == "bp":
        update = steps(plan.queues, plan.programs[program], 3)["wg"]
        layers = list(plan.descriptors["wg"].layers)
        there = next(step for step in update if layers[step.layer] == "a")
        assert known[there]["bp"] == run[-1].number + there.tile


def test_a_loop_needs_its_fences_and_its_circle():
    """A circle's populations that take all spans at once, or one after the other, read what is not
    written: that is found."""
    plan = circle()
    ranges = plan.programs["forward"]["fp"]
    tasks = plan.queues["fp"].tasks

    def met(change) -> list[str]:
        changed = [change(n, task) for n, task in enumerate(tasks)]
        return list(conflicts(plan, "forward", {**plan.queues, "fp": Queue(tuple(changed))}))

    assert ranges.begin == 0
    assert met(lambda n, task: task) == []
    assert met(lambda n, task: dataclasses.replace(task, step=False, loop=False, again=False))
    # Span by span, but each population through all of them first.
    alone = met(
        lambda n, task: dataclasses.replace(
            task, loop=task.step and task.tile == 0, again=task.step and task.tile == 1
        )
    )
    assert any(
        line.startswith("fp layer 1 tile 0 span 0 and fp layer 0 tile 0 span 1") for line in alone
    )


def test_a_queue_that_waits_for_ever():
    """A queue whose first task waits for a task behind it is a ValueError."""
    plan = compiled([2, 2])
    wrong = {**plan.queues, "bp": Queue((Task(1, 0, {"wg": 1}), *plan.queues["bp"].tasks[1:]))}
    with pytest.raises(ValueError, match="waits for ever"):
        complete(wrong, plan.programs["update"])


def test_spikes_need_their_two_halves():
    """With one half the next batch's spikes would meet those that weights are updated with."""
    plan = compiled([2, 2])
    every = steps(plan.queues, plan.programs["both"], plan.cut.spans)
    run = [step for name in ENGINES for step in every[name]]
    forward = next(step for step in run if step.engine == "fp" and step.layer == 0)
    number = list(plan.descriptors["wg"].layers).index("1")
    gradient = next(step for step in run if step.engine == "wg" and step.layer == number)
    written = Footprints(plan, forward=0, backward=0).of(forward)[1]
    assert written & Footprints(plan, forward=0, backward=0).of(gradient)[0]
    assert not written & Footprints(plan, forward=0, backward=1).of(gradient)[0]
