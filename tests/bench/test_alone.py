"""Programs of a single engine."""

from dataclasses import replace

import pytest

from backspike.bench import densities
from backspike.bench.alone import alone, alone_plan
from backspike.bench.densities import Case
from backspike.compile.compiler import compile_graph
from backspike.compile.schedule import PROGRAMS
from backspike.ir.constants import ENGINES
from tests.support.bench_cases import GATED, TINY, WIDTH


def plan_of(case: Case):
    return compile_graph(case.graph(WIDTH), 4, densities.LEARNING, TINY, every=True)


def test_single_engine_programs_hold_every_task_once_and_wait_for_nothing():
    """Programs of one engine hold all tiles of their layer in order and never wait."""
    plan = plan_of(GATED)
    ours = alone_plan(plan)
    for name in PROGRAMS:
        assert ours.programs[name] == plan.programs[name]
    for engine in ENGINES:
        before = plan.queues[engine].tasks
        assert ours.queues[engine].tasks[: len(before)] == before
        layers = plan.descriptors[engine].layers
        assert len(layers) == 3
        for number, layer in enumerate(layers):
            ranges = dict(ours.programs[alone(engine, layer)])
            begin, end = ranges.pop(engine)
            assert all(other.begin == other.end for other in ranges.values())
            tasks = ours.queues[engine].tasks[begin:end]
            assert [(t.layer, t.tile, dict(t.waits)) for t in tasks] == [
                (number, tile, {}) for tile in range(8)
            ]


def test_single_engine_programs_that_do_not_fit_are_refused():
    """Programs of one engine that need more tasks than the machine has are a ValueError."""
    plan = plan_of(GATED)  # 3 layers of 8 tiles: 48 tasks of fp before, 24 more
    with pytest.raises(ValueError, match=r"engine fp has 72 tasks, must have up to 64"):
        alone_plan(replace(plan, machine=replace(TINY, tasks=64)))
