"""Schedules, executed: whatever time the tasks take, nobody reads too early or writes too soon."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.compile.schedule import PROGRAMS, Queue, Task, gradient_order, schedule
from backspike.ir.constants import ENGINES

Span = tuple[float, float]
"""When a task began and was complete."""
Durations = Callable[[str, Task], float]


class DeadlockError(Exception):
    """No engine can go on."""


def execute(queues, ranges, duration: Durations) -> dict[tuple[str, int, int], Span]:
    """{(engine, layer, tile): span}, by the rules of the core's dispatchers.

    An engine issues its tasks in order, each when the others have completed as many tasks of this
    run as it waits for. Tasks of a layer overlap and complete in order; before another layer's
    first task the engine runs empty.
    """
    todo = {name: list(queues[name].tasks[slice(*ranges[name])]) for name in ENGINES}
    ends: dict[str, list[float]] = {name: [] for name in ENGINES}
    issued = dict.fromkeys(ENGINES, 0.0)  # when the engine issued its last task
    layer: dict[str, int | None] = dict.fromkeys(ENGINES)
    spans: dict[tuple[str, int, int], Span] = {}
    while any(todo.values()):
        progress = False
        for name in ENGINES:
            if not todo[name]:
                continue
            task = todo[name][0]
            if any(len(ends[other]) < count for other, count in task.waits.items()):
                continue
            # The moment when the last token was there, and the engine was ready.
            begin = issued[name]
            for other, count in task.waits.items():
                if count:
                    begin = max(begin, ends[other][count - 1])
            if layer[name] != task.layer and ends[name]:
                begin = max(begin, ends[name][-1])
            end = max(begin + duration(name, task), ends[name][-1] if ends[name] else 0.0)
            issued[name], layer[name] = begin, task.layer
            ends[name].append(end)
            key = name, task.layer, task.tile
            assert key not in spans, f"{key} is done twice"
            spans[key] = begin, end
            todo[name].pop(0)
            progress = True
        if not progress:
            raise DeadlockError
    return spans


def hazards(program: str, tiles: list[int]):
    """(first, then, why): `first` must be complete before `then` begins."""
    last = len(tiles) - 1
    every = [(n, tile) for n in range(len(tiles)) for tile in range(tiles[n])]
    for n, tile in every:
        forward, backward, gradient = (("fp", n, tile), ("bp", n, tile), ("wg", n, tile))
        if program != "forward":
            yield backward, gradient, "gradients are made, then used for weights"
            for below in range(tiles[n - 1] if n else 0):
                yield backward, ("bp", n - 1, below), "gradients are made, then passed down"
                yield ("bp", n - 1, below), gradient, "errors use the old weights"
        if program != "update":
            for above in range(tiles[n + 1] if n < last else 0):
                yield forward, ("fp", n + 1, above), "spikes are made, then read"
        if program == "both":
            yield gradient, forward, "weights are updated, then used"
            yield backward, forward, "codes and logits are used, then overwritten"


def violations(program: str, tiles: list[int], spans) -> list[str]:
    return [
        f"{why}: {first} ends at {spans[first][1]}, {then} begins at {spans[then][0]}"
        for first, then, why in hazards(program, tiles)
        if spans[first][1] > spans[then][0]
    ]


def random_durations(seed: int) -> Durations:
    """Some tasks, and some engines, take a hundred times as long as others."""
    rng = np.random.default_rng(seed)
    pace = {name: 10.0 ** rng.integers(0, 3) for name in ENGINES}
    return lambda name, task: float(pace[name] * rng.exponential())


TILES = st.lists(st.integers(1, 7), min_size=1, max_size=8)


@pytest.mark.parametrize("program", PROGRAMS)
@given(tiles=TILES, seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=120)
def test_no_hazard_and_no_deadlock(program, tiles, seed):
    """However long tasks take, no task reads too early or writes too soon, and all are done."""
    queues, programs = schedule(tiles)
    spans = execute(queues, programs[program], random_durations(seed))
    assert violations(program, tiles, spans) == []
    every = {(n, tile) for n in range(len(tiles)) for tile in range(tiles[n])}
    for name in ENGINES:
        done = {key[1:] for key in spans if key[0] == name}
        works = {"forward": ("fp",), "update": ("bp", "wg"), "both": ENGINES}[program]
        assert done == (every if name in works else set())


def without(queues, engine: str, at: int, other: str):
    """The queues, one task's wait for one engine left out."""
    tasks = list(queues[engine].tasks)
    tasks[at] = dataclasses.replace(
        tasks[at], waits={k: v for k, v in tasks[at].waits.items() if k != other}
    )
    return {**queues, engine: Queue(tuple(tasks))}


def test_a_wait_left_out_is_a_hazard():
    """Of each kind of wait the first task's: some durations show that it is needed."""
    tiles = [3, 2, 2]
    queues, programs = schedule(tiles)
    first = programs["both"]["fp"].begin
    for engine, at, other in [("fp", first, "wg"), ("wg", 0, "bp"), ("wg", 2, "bp")]:
        assert queues[engine].tasks[at].waits[other] > 0
        wrong = without(queues, engine, at, other)
        found = [
            violations("both", tiles, execute(wrong, programs["both"], random_durations(seed)))
            for seed in range(60)
        ]
        assert any(found), (engine, at, other)


def test_a_wait_too_many_is_a_deadlock():
    """A wait that cannot be met is a deadlock, so the execution finds one."""
    queues, programs = schedule([2, 2])
    tasks = list(queues["bp"].tasks)
    tasks[0] = dataclasses.replace(tasks[0], waits={"wg": 1})
    with pytest.raises(DeadlockError):
        execute({**queues, "bp": Queue(tuple(tasks))}, programs["both"], random_durations(0))


@pytest.mark.parametrize("tiles", [[1], [4, 2], [16, 2], [3, 5, 2, 1]])
def test_the_engines_overlap(tiles):
    """In `both` the feed-forward engine begins before the last weight is updated, if there is
    more than one tile, and weights are updated beside back-propagation if there are two layers."""
    queues, programs = schedule(tiles)
    spans = execute(queues, programs["both"], lambda name, task: 1.0)

    def begin(engine: str) -> float:
        return min(span[0] for key, span in spans.items() if key[0] == engine)

    def end(engine: str) -> float:
        return max(span[1] for key, span in spans.items() if key[0] == engine)

    if sum(tiles) > 1:
        assert begin("fp") < end("wg")
    if len(tiles) > 2:
        assert begin("wg") < end("bp")


@pytest.mark.parametrize("layers", range(1, 9))
def test_gradient_order_has_every_layer_once(layers):
    """The update visits every layer once, and the first two layers last."""
    order = gradient_order(layers)
    assert sorted(order) == list(range(layers))
    if layers > 1:
        assert order[-2:] == [0, 1]
