"""Schedules, executed: whatever time the tasks take, nobody reads too early or writes too soon."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.compile.schedule import PROGRAMS, Queue, Scheduler, Task
from backspike.ir.connection import Dense
from backspike.ir.constants import ENGINES, ceil_div
from backspike.ir.graph import Graph
from backspike.train.random_graphs import random_graph
from tests.support.layered import Layer, Network

Key = tuple[str, str, int, int | None]
"""Engine, population or connection, tile; of a loop the span of the batch."""
Spans = dict[Key, tuple[float, float]]
"""When a task began and was complete."""
Durations = Callable[[str, Task], float]
LANES, SPANS, SETS = 2, 3, 2


class DeadlockError(Exception):
    """No engine can go on."""


class Schedule:
    """A graph's queues, and the names behind its tasks' numbers."""

    def __init__(self, graph: Graph, *, stateful: bool = False):
        self.graph, self.stateful = graph, stateful
        self.tiles = {p.name: ceil_div(p.size, LANES) for p in graph.populations}
        order = [name for stage in graph.stages for name in stage]
        forward = [n for n in order if graph.by_name[n].role != "input"]
        self.names = {
            "fp": forward,
            "bp": [n for n in forward if n in graph.learning],
            "wg": [c.name for c in graph.trained],
        }
        numbers = {
            engine: {name: n for n, name in enumerate(names)}
            for engine, names in self.names.items()
        }
        self.scheduler = Scheduler(
            graph, self.tiles, numbers, sets=dict.fromkeys(self.tiles, SETS), stateful=stateful
        )
        self.queues, self.programs = self.scheduler.queues()

    def tasks(self, engine: str, program: str) -> tuple[Task, ...]:
        """Those of an engine in a program."""
        return self.queues[engine].tasks[slice(*self.programs[program][engine])]

    def named(self, engine: str, program: str) -> list[tuple[str, int]]:
        """Population or connection, and tile, of each task."""
        return [(self.names[engine][t.layer], t.tile) for t in self.tasks(engine, program)]


def chain(tiles: list[int]) -> Schedule:
    """Layers of so many tiles."""
    layers = tuple(Layer(size=LANES * count) for count in tiles)
    return Schedule(Network(inputs=3, layers=layers, steps=1).graph)


def drawn(seed: int) -> Schedule:
    """Of a random graph; of every other seed a stateful one."""
    rng = np.random.default_rng(seed)
    return Schedule(random_graph(rng, largest=int(rng.choice([3, 6]))), stateful=bool(seed & 1))


def unrolled(tasks: tuple[Task, ...]) -> Iterator[tuple[int, Task, int | None]]:
    """(place in the queue, task, span), with the tasks of a loop once for each span."""
    at = begin = span = 0
    while at < len(tasks):
        task = tasks[at]
        begin = at if task.loop else begin
        yield at, task, span if task.step else None
        at += 1
        if task.again:
            span = (span + 1) % SPANS
            at = begin if span else at


def execute(schedule: Schedule, program: str, duration: Durations, queues=None) -> Spans:
    """By the rules of the core's dispatchers.

    An engine issues its tasks in order, each when the others have completed as many tasks of this
    run as it waits for. Tasks of a layer overlap and complete in order; before another layer's
    first task, and before each span of a loop, the engine runs empty. Tasks of a loop count as
    completed in its last span.
    """
    queues = queues or schedule.queues
    todo = {
        name: list(unrolled(queues[name].tasks[slice(*schedule.programs[program][name])]))
        for name in ENGINES
    }
    ends: dict[str, list[float]] = {name: [] for name in ENGINES}  # of those that count
    issued = dict.fromkeys(ENGINES, 0.0)  # when the engine issued its last task
    ended = dict.fromkeys(ENGINES, 0.0)  # and when that ends
    layer: dict[str, int | None] = dict.fromkeys(ENGINES)
    spans: Spans = {}
    while any(todo.values()):
        progress = False
        for name in ENGINES:
            if not todo[name]:
                continue
            _, task, span = todo[name][0]
            if any(len(ends[other]) < count for other, count in task.waits.items()):
                continue
            # The moment when the last token was there, and the engine was ready.
            tokens = [ends[other][count - 1] for other, count in task.waits.items() if count]
            begin = max(issued[name], *tokens, 0.0)
            if layer[name] != task.layer or task.loop:
                begin = max(begin, ended[name])
            end = max(begin + duration(name, task), ended[name])
            issued[name], ended[name], layer[name] = begin, end, task.layer
            if span is None or span == SPANS - 1:
                ends[name].append(end)
            there = span if span is None or name == "fp" else SPANS - 1 - span
            key = name, schedule.names[name][task.layer], task.tile, there
            assert key not in spans, f"{key} is done twice"
            spans[key] = begin, end
            todo[name].pop(0)
            progress = True
        if not progress:
            raise DeadlockError
    return spans


def hazards(schedule: Schedule, program: str) -> Iterator[tuple[tuple, tuple, str]]:
    """(first, then, why): `first` must be complete before `then` begins. Both are engine, name,
    tile and span: whatever task does that."""
    graph, tiles = schedule.graph, schedule.tiles
    every = range(SPANS)

    def pairs(one: str, other: str, diagonal: bool) -> Iterator[tuple[int, int]]:
        for a, b in itertools.product(range(tiles[one]), range(tiles[other])):
            if a == b or not diagonal:
                yield a, b

    for c in graph.connections:
        diagonal = not isinstance(c.kind, Dense)
        for (source, target), span in itertools.product(pairs(c.source, c.target, diagonal), every):
            before, after = span - c.delay, span + c.delay
            if program != "update" and graph.by_name[c.source].role != "input" and before >= 0:
                yield (("fp", c.source, source, before), ("fp", c.target, target, span),
                       "spikes are made, then read")  # fmt: skip
            if program == "forward":
                continue
            brings = c.source in graph.learning and c in graph.errors_into(c.source)
            if brings and after < SPANS:
                yield (("bp", c.target, target, after), ("bp", c.source, source, span),
                       "gradients are made, then passed down")  # fmt: skip
            if c not in graph.trained:
                continue
            wg = ("wg", c.name, target, span)
            yield ("bp", c.target, target, span), wg, "gradients are made, then used for weights"
            if brings:
                yield ("bp", c.source, source, span), wg, "errors use the old weights"
            if program == "both":
                yield wg, ("fp", c.target, target, span), "weights are updated, then used"
    if program == "both":
        for name in graph.learning:
            for tile, span, other in itertools.product(range(tiles[name]), every, every):
                yield (("bp", name, tile, span), ("fp", name, tile, other),
                       "codes and logits are used, then overwritten")  # fmt: skip


def violations(schedule: Schedule, program: str, spans: Spans) -> list[str]:
    def when(at: tuple) -> tuple[float, float]:
        return spans[at] if at in spans else spans[(*at[:3], None)]

    return [
        f"{why}: {first} ends at {when(first)[1]}, {then} begins at {when(then)[0]}"
        for first, then, why in hazards(schedule, program)
        if when(first)[1] > when(then)[0]
    ]


def random_durations(seed: int) -> Durations:
    """Some tasks, and some engines, take a hundred times as long as others."""
    rng = np.random.default_rng(seed)
    pace = {name: 10.0 ** rng.integers(0, 3) for name in ENGINES}
    return lambda name, task: float(pace[name] * rng.exponential())


def check_run(schedule: Schedule, program: str, seed: int) -> None:
    """Nobody reads too early or writes too soon, and all is done."""
    spans = execute(schedule, program, random_durations(seed))
    assert violations(schedule, program, spans) == []
    target = {c.name: c.target for c in schedule.graph.connections}
    works = {"forward": ("fp",), "update": ("bp", "wg"), "both": ENGINES}[program]
    for engine in ENGINES:
        done = {key[1:3] for key in spans if key[0] == engine}
        assert done == {
            (name, tile)
            for name in (schedule.names[engine] if engine in works else ())
            for tile in range(schedule.tiles[target.get(name, name) if engine == "wg" else name])
        }


TILES = st.lists(st.integers(1, 7), min_size=1, max_size=8)


@pytest.mark.parametrize("program", PROGRAMS)
@given(tiles=TILES, seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=120)
def test_no_hazard_and_no_deadlock(program, tiles, seed):
    """However long tasks take, no task reads too early or writes too soon, and all are done."""
    check_run(chain(tiles), program, seed)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_hazard_and_no_deadlock_of_graphs(program):
    """Likewise of random graphs, with branches, skips, and loops of circles."""
    loops = 0
    for seed in range(150):
        schedule = drawn(seed)
        loops += any(task.loop for engine in ENGINES for task in schedule.tasks(engine, program))
        check_run(schedule, program, seed)
    assert loops > 30


def without(schedule: Schedule, engine: str, at: int, other: str):
    """The queues, one task's wait for one engine left out."""
    tasks = list(schedule.queues[engine].tasks)
    tasks[at] = dataclasses.replace(
        tasks[at], waits={k: v for k, v in tasks[at].waits.items() if k != other}
    )
    return {**schedule.queues, engine: Queue(tuple(tasks))}


def test_a_wait_left_out_is_a_hazard():
    """Of each kind of wait the first task's: some durations show that it is needed."""
    schedule = chain([3, 2, 2])
    first = schedule.programs["both"]["fp"].begin
    for engine, at, other in [("fp", first, "wg"), ("wg", 0, "bp"), ("wg", 2, "bp")]:
        assert schedule.queues[engine].tasks[at].waits[other] > 0
        wrong = without(schedule, engine, at, other)
        found = [
            violations(schedule, "both", execute(schedule, "both", random_durations(seed), wrong))
            for seed in range(60)
        ]
        assert any(found), (engine, at, other)


def test_a_wait_too_many_is_a_deadlock():
    """A wait that cannot be met is a deadlock, so the execution finds one."""
    schedule = chain([2, 2])
    tasks = list(schedule.queues["bp"].tasks)
    tasks[0] = dataclasses.replace(tasks[0], waits={"wg": 1})
    with pytest.raises(DeadlockError):
        execute(
            schedule, "both", random_durations(0), {**schedule.queues, "bp": Queue(tuple(tasks))}
        )


@pytest.mark.parametrize("tiles", [[1], [4, 2], [16, 2], [3, 5, 2, 1]])
def test_the_engines_overlap(tiles):
    """In `both` the feed-forward engine begins before the last weight is updated, if there is
    more than one tile, and weights are updated beside back-propagation if there are two layers."""
    spans = execute(chain(tiles), "both", lambda name, task: 1.0)

    def begin(engine: str) -> float:
        return min(span[0] for key, span in spans.items() if key[0] == engine)

    def end(engine: str) -> float:
        return max(span[1] for key, span in spans.items() if key[0] == engine)

    if sum(tiles) > 1:
        assert begin("fp") < end("wg")
    if len(tiles) > 2:
        assert begin("wg") < end("bp")


@pytest.mark.parametrize("layers", range(1, 9))
def test_a_chain_is_updated_from_the_last_layer_down(layers):
    """Layer n's weights are free once errors have passed them; but layer 1's must wait for all of
    layer 0's gradients, and layer 0's follow them tile by tile, so these two change places."""
    order = [*reversed(range(layers))]
    if layers > 1:
        order[-2:] = [0, 1]
    for tiles in (1, 3):
        want = [(str(n), tile) for n in order for tile in range(tiles)]
        schedule = chain([tiles] * layers)
        assert schedule.named("wg", "update") == schedule.named("wg", "both") == want


@pytest.mark.parametrize("seed", range(60))
def test_tasks_come_tile_by_tile_in_an_order_of_their_needs(seed):
    """Each tile once; a population's together and upwards, after those that it needs; an update of
    each connection that is trained, as soon as it may begin."""
    schedule = drawn(seed)
    graph, tiles = schedule.graph, schedule.tiles
    target = {c.name: c.target for c in graph.connections}
    assert schedule.named("fp", "forward") == schedule.named("fp", "both")
    for engine, program in (("fp", "forward"), ("bp", "update"), ("wg", "update")):
        named = schedule.named(engine, program)
        order = list(dict.fromkeys(name for name, _ in named))
        assert sorted(order) == sorted(schedule.names[engine])
        size = {name: tiles[target[name] if engine == "wg" else name] for name in order}
        assert named == [(name, tile) for name in order for tile in range(size[name])]
        at = order.index
        if engine == "wg":
            waits = [schedule.tasks(engine, program)[named.index((name, size[name] - 1))].waits
                     for name in order]  # fmt: skip
            assert [w["bp"] for w in waits] == sorted(w["bp"] for w in waits)
            continue
        for c in graph.connections:
            if not c.delay and c.source in order and c.target in order:
                first, then = (c.source, c.target) if engine == "fp" else (c.target, c.source)
                assert at(first) < at(then)


@pytest.mark.parametrize("seed", range(60))
def test_loops_are_well_formed(seed):
    """A loop is a circle of populations and nothing else: its first task begins it, its last one
    ends it, and all between take a step; no other task has anything of it."""
    schedule = drawn(seed)
    graph = schedule.graph
    for engine, program in (("fp", "forward"), ("fp", "both"), ("bp", "update"), ("wg", "both")):
        looped = []
        group: list[str] | None = None
        for task, (name, _) in zip(
            schedule.tasks(engine, program), schedule.named(engine, program), strict=True
        ):
            if task.loop:
                assert group is None
                group = []
            assert task.step == (group is not None)
            assert task.keep or not task.step
            if group is not None:
                group.append(name)
            if task.again:
                assert group is not None
                looped.append(set(group))
                group = None
        assert group is None
        circles = [set(stage) & set(schedule.names[engine]) for stage in graph.stages]
        counted = [c for c in graph.connections if engine == "fp" or not c.stop_gradient]
        circles = [
            circle
            for circle in circles
            if any(c.delay and {c.source, c.target} <= circle for c in counted)
        ]
        if engine == "wg":
            circles = []
        assert looped == (circles if engine == "fp" else circles[::-1])


@pytest.mark.parametrize("seed", range(60))
def test_tiles_that_are_kept_have_places_of_their_own(seed):
    """In a loop, and in a stateful network always, a tile has a place for each set that no other
    has; others have one to work in, as nothing is kept any more when they begin."""
    schedule = drawn(seed)
    for engine, program in (("fp", "forward"), ("fp", "both"), ("bp", "update")):
        tasks = schedule.tasks(engine, program)
        everything = engine == "fp" and schedule.stateful
        kept: set[int] = set()  # of what is kept at the same time
        for task in tasks:
            if task.loop and not everything:
                kept = set()
            assert task.keep == (task.step or everything)
            places = range(task.place, task.place + (SETS if task.keep else 1))
            assert places.stop <= schedule.scheduler.places
            if not task.keep:
                assert task.place == 0
                continue
            assert not kept & set(places)
            kept |= set(places)
    both, alone = (schedule.tasks("fp", program) for program in ("both", "forward"))
    assert [dataclasses.replace(task, waits={}) for task in both] == list(alone)
