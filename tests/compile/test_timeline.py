"""The order of tasks, and what waits for what."""

import itertools

import numpy as np
import pytest

from backspike.bench.alone import AloneCore
from backspike.compile import timeline
from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.loads import Loads, Shares, Sum, Tile
from backspike.compile.predict import Densities
from backspike.gen.core.shared.sum_buffer import BLOCKS
from backspike.gen.machine import DEPTH, MACHINES
from backspike.ir.builder import Dense, Input, Network, Sequential
from backspike.ir.constants import ENGINES
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from tests.support.graph_plans import drawn_plan

TINY = MACHINES["tiny"]


def recurrent(steps: int) -> Plan:
    net = Network()
    h = net.population("h", 3, LIF())
    net.connect(net.input("x", 4), h)
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 2))
    return compile_graph(net.graph, steps, Learning(batch=2), TINY, every=True)


def loads(plan: Plan) -> Loads:
    return Loads(plan, Densities().shares(plan.graph))


def test_tasks_of_a_loop_come_again_for_each_span():
    """Two tiles take turns for three spans, and count as complete in the last one."""
    steps = timeline.steps_of(recurrent(3), "fp", "forward")
    assert [(s.task.tile, s.span, s.counts) for s in steps] == [
        (0, 0, False), (1, 0, False), (0, 1, False), (1, 1, False), (0, 2, True), (1, 2, True),
        (0, None, True),
    ]  # fmt: skip


def test_all_tasks_of_random_plans_are_done_in_order():
    """Each program ends; each engine completes all its tasks, and is never busy longer than the
    run takes."""
    for seed, program in itertools.product(range(12), ("forward", "update", "both")):
        plan = drawn_plan(seed)
        engines = timeline.run(plan, program, loads(plan))
        for name, engine in engines.items():
            begin, end = plan.programs[program][name]
            assert len(engine.completed) == end - begin
            assert engine.completed == sorted(engine.completed)
            if engine.completed:
                assert 0 < sum(engine.busy.values()) < engine.completed[-1]


def test_a_task_begins_after_those_that_it_waits_for():
    """Weight gradients end after the errors that they are made of, and with `both` the next forward
    pass of a layer after its weights."""
    graph = Sequential(Input(16), Dense(16), LIF(), Dense(16), LIF(), Dense(8))
    plan = compile_graph(graph, 4, Learning(batch=16), TINY)
    engines = timeline.run(plan, "both", loads(plan))
    begins = {name: plan.programs["both"][name].begin for name in ENGINES}
    for name, engine in engines.items():
        for n, done in enumerate(engine.completed):
            for other, count in plan.queues[name].tasks[begins[name] + n].waits.items():
                assert engines[other].completed[count - 1] < done


def test_engines_that_work_at_the_same_time_take_less_than_one_after_the_other():
    """`both` takes less than `update` and then `forward`."""
    graph = Sequential(Input(16), Dense(16), LIF(), Dense(16), LIF(), Dense(8))
    plan = compile_graph(graph, 4, Learning(batch=16), TINY)

    def ends(program: str) -> float:
        engines = timeline.run(plan, program, loads(plan))
        return max(done for engine in engines.values() for done in engine.completed)

    assert ends("both") < ends("update") + ends("forward")


class Given(Loads):
    """Sums that are given: events of each block, in one tile."""

    def __init__(self, plan: Plan, events: list[int]):
        super().__init__(plan, Densities().shares(plan.graph))
        self._events = events

    def sums(self, engine, name, tile, span):
        """Of any task, the same."""
        steps = self.plan.cut.steps
        yield from (Sum(((Tile(n, 1),),), steps, 0.0) for n in self._events)


def test_sums_that_are_not_drained_hold_events_back():
    """The buffer has room for all blocks but one that have ended: after light ones, whose drains
    take longer than their events, heavy ones cannot all be ahead."""
    graph = Sequential(Input(2), Dense(2), LIF(), Dense(2))
    plan = compile_graph(graph, 1, Learning(batch=16), TINY)
    engine = timeline.EngineTime(plan, "fp", Given(plan, [1] * 12 + [200] * 8))
    engine.do(timeline.steps_of(plan, "fp", "forward")[0], 0.0)
    drain = 16 * 2 + 1
    # The last light one ends when there is room; then come heavy ones, and the last one's drain.
    least = (12 - (BLOCKS - 1)) * drain + 8 * 200 + drain
    assert least < engine.busy["hidden1"] < least + 60


class Counted(Loads):
    """Sums of wg as a batch in one block has them: spikes (entry, source), rows (entry, tile)."""

    def __init__(self, plan: Plan, spikes: np.ndarray, rows: np.ndarray):
        super().__init__(plan, Shares(spikes={}))
        self._spikes, self._rows = spikes.astype(int), rows.astype(int)

    def sums(self, engine, name, tile, span):
        """Each group's events, lines and touched rows."""
        reads = DEPTH // self.plan.machine.lanes
        for first in range(0, self._spikes.shape[1], DEPTH):
            met = self._spikes[:, first : first + DEPTH] * self._rows[:, tile, None]
            none = float(not met.any())
            scanned = Tile(met.sum() + none, met.any(1).sum() + none, reads, none)
            yield Sum(((scanned,),), 1, float(met.any(0).sum()))


@pytest.mark.verilator
def test_groups_of_few_events_wait_for_their_headers(monkeypatch):
    """Weight gradients with a few events a group: a walk is no more than HEADERS groups ahead of
    its drain, and their way there takes longer. The counters say so, too."""
    sources, neurons, batch = 128, 96, 16
    machine = MACHINES["default"]
    graph = Sequential(Input(sources), Dense(neurons))
    plan = compile_graph(graph, 1, Learning(batch=batch), machine, every=True)
    rng = np.random.default_rng(0)
    spikes = (rng.random((batch, 1, sources)) < 0.03).astype(np.uint8)
    error = (rng.random((batch, 1, neurons)) < 0.05).astype(np.uint16) * 0x3C00
    core = AloneCore(plan)
    core.load_weights({"readout": np.zeros((sources, neurons), np.uint16)})
    core.forward({"input": spikes})
    core.update({"readout": error}, 0)
    (measured,) = (run.busy for run in core.runs if run.engine == "wg")
    core.close()

    def predicted() -> float:
        rows = (error != 0).reshape(batch, -1, machine.lanes).any(2)
        engine = timeline.EngineTime(plan, "wg", Counted(plan, spikes[:, 0], rows))
        for step in timeline.steps_of(plan, "wg", "update"):
            engine.do(step, 0.0)
        return engine.busy["readout"]

    assert predicted() == pytest.approx(measured, rel=0.02)
    monkeypatch.setattr(timeline, "HEADERS", 4)
    assert predicted() > 1.05 * measured
