"""The figures of merit: how they are counted, and how they are told."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backspike.bench import accuracy, densities, efficiency, lockstep, run, speed
from backspike.bench.alone import Run, alone, alone_plan
from backspike.bench.densities import Case
from backspike.bench.figure import Figure, at_least, at_most, table, to_json
from backspike.compile.compiler import compile_network
from backspike.compile.schedule import ENGINES, PROGRAMS
from backspike.drive.lockstep import Counts
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.ir.errors import Mismatch, UserError
from backspike.train.data import digits
from backspike.train.digits_run import batches, learning, network
from backspike.train.steady import train_steadily
from backspike.train.trainer import Trainer

TINY = MACHINES["tiny"]
WIDTH = 16
"""Small enough for `tiny`."""
SMALL = (64, 12, 10)
GATED = Case("gated", 0.4, 1.0, ("mpd-ed", "mpd-ed"), ("fp", "bp", "wg"))
SPARSE = Case("sparse errors", 0.4, 0.3, ("bptt", "mpd-ed"), ("bp",))


def test_goals_are_inclusive():
    """A value equal to its goal meets it."""
    assert [at_most("a", value, 1.1, "").met for value in (1.1, 1.1001)] == [True, False]
    assert [at_least("a", value, 95, "").met for value in (95, 94.99)] == [True, False]


def test_json_and_table():
    """JSON holds every figure with its goal; the table marks a missed goal and wraps long texts."""
    figures = [at_most("mismatches", 0, 0, "counted"), at_least("accuracy", 94.5, 95, "trained"),
               Figure("wall", None, "<= 6 min", None, "time make demo")]  # fmt: skip
    assert json.loads(to_json(figures)) == [
        {"figure": "mismatches", "value": 0, "goal": "<= 0", "met": True, "how": "counted"},
        {"figure": "accuracy", "value": 94.5, "goal": ">= 95", "met": False, "how": "trained"},
        {"figure": "wall", "value": None, "goal": "<= 6 min", "met": None, "how": "time make demo"},
    ]
    lines = table(figures).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["figure", "value", "goal", "met"], ["mismatches", "0", "<=", "0", "yes"], ["counted"]
    ]  # fmt: skip
    assert lines[3].split() == ["accuracy", "94.5", ">=", "95", "NO"]
    assert lines[5].split() == ["wall", "-", "<=", "6", "min", "-"]
    long = table([at_most("mismatches", 0, 0, "word " * 50)]).splitlines()[2:]
    assert " ".join(long).split() == ["word"] * 50
    assert all(line.startswith("    word") and len(line) <= 96 for line in long)


def _group(value: int, tensors: int = 0):
    def measured(counts: Counts) -> list[Figure]:
        counts.tensors += tensors
        return [at_most("small", value, 1, "")]

    return measured


@pytest.mark.parametrize(("value", "code"), [(1, 0), (2, 1)])
def test_the_exit_code_says_whether_all_goals_are_met(monkeypatch, capsys, value, code):
    """The exit code is 1 as soon as one figure misses its goal."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": _group(value), "other": _group(0)})
    assert run.bench(None, ["some"]) == code
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["small", str(value)]


def test_a_whole_run_lists_what_it_cannot_measure(monkeypatch, capsys):
    """A run of all groups lists the figures that only people can measure, without a value."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": _group(1), "other": _group(0)})
    assert run.bench("-") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [f["value"] for f in figures] == [1, 0, None, None, None]


def test_unknown_groups_are_refused_before_any_work(monkeypatch):
    """A group that does not exist is a UserError that names the known ones."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": _group(1)})
    with pytest.raises(UserError, match=r"only is 'sum', must be of some"):
        run.bench(None, ["some", "sum"])


def test_a_mismatch_is_a_figure_and_ends_its_group_only():
    """A Mismatch in one group is counted and quoted, and the next group still runs."""

    def wrong(counts: Counts) -> list[Figure]:
        counts.tensors, counts.mismatches = 3, 2
        raise Mismatch("layer 0 differs")

    mismatches, small = run.measure({"wrong": wrong, "some": _group(1)})
    assert (mismatches.value, mismatches.met) == (2, False)
    assert "wrong: layer 0 differs" in mismatches.how
    assert small.met
    assert run.measure({"some": _group(1, tensors=5)})[0] == at_most(
        "mismatches", 0, 0, mismatches.how.partition(": ")[0] + ": 0 values in 5 tensors"
    )


def plan_of(case: Case):
    return compile_network(case.network(WIDTH), densities.LEARNING, TINY)


def test_single_engine_programs_hold_every_task_once_and_wait_for_nothing():
    """Programs of one engine hold all tiles of their layer in order and never wait."""
    plan = plan_of(GATED)
    ours = alone_plan(plan)
    for name in PROGRAMS:
        assert ours.programs[name] == plan.programs[name]
    for engine in ENGINES:
        before = plan.queues[engine].tasks
        assert ours.queues[engine].tasks[: len(before)] == before
        for layer, at in enumerate(plan.layers):
            ranges = dict(ours.programs[alone(engine, layer)])
            begin, end = ranges.pop(engine)
            assert all(other.begin == other.end for other in ranges.values())
            tasks = ours.queues[engine].tasks[begin:end]
            assert [(t.layer, t.tile, dict(t.waits)) for t in tasks] == [
                (layer, tile, {}) for tile in range(at.tiles)
            ]


def test_single_engine_programs_that_do_not_fit_are_refused():
    """Programs of one engine that need more tasks than the machine has are a ValueError."""
    plan = plan_of(GATED)  # 3 layers of 8 tiles: 48 tasks of fp before, 24 more
    with pytest.raises(ValueError, match=r"engine fp has 72 tasks, must have up to 64"):
        alone_plan(replace(plan, machine=replace(TINY, tasks=64)))


def near(share: float, density: float, count: int) -> bool:
    """Whether a share of `count` draws is within 4 standard deviations of their probability."""
    return abs(share - density) <= 4 * (density * (1 - density) / count) ** 0.5


@pytest.mark.parametrize("case", [GATED, SPARSE, *densities.cases()[-3:]], ids=lambda c: c.name)
def test_densities_are_those_of_the_case(case):
    """Spikes, errors and gradients have the case's densities, counted in golden's tensors."""
    batch = densities.tensors(case, 64)
    assert near(batch.spikes.mean(), case.input, batch.spikes.size)
    assert near((batch.error != 0).mean(), case.error, batch.error.size)
    golden = GoldenBackend(case.network(64), densities.LEARNING)
    golden.load_weights(batch.weights)
    golden.forward(batch.spikes, batch.labels)
    golden.update(batch.error, 0)
    forward, update = golden.forward_tensors(), golden.update_tensors()
    # What comes back to a layer passes where the rule lets it, and arrives elsewhere as dense.
    back = densities.STEPS * np.count_nonzero(batch.error)
    assert np.count_nonzero(update["gradients.2"]) == back
    for n in (1, 0):
        spikes, there = forward[f"spikes.{n}"] == 1, update[f"gradients.{n}"] != 0
        assert spikes.sum() == batch.spikes.sum()
        if case.rules[n] == "bptt":
            assert there.sum() == back
        else:
            assert not (there & ~spikes).any()
            assert case.error < 1 or n == 0 or (there == spikes).all()
        back = there.sum()


def bounds(case: Case) -> dict[tuple[str, int], int]:
    """What a perfect engine needs for each layer, from golden tensors (see docs/design.md)."""
    batch = densities.tensors(case, WIDTH)
    golden = GoldenBackend(case.network(WIDTH), densities.LEARNING)
    golden.load_weights(batch.weights)
    golden.forward(batch.spikes, batch.labels)
    golden.update(batch.error, 0)
    forward, update = golden.forward_tensors(), golden.update_tensors()
    entries = densities.BATCH * densities.STEPS
    sources = [batch.spikes, forward["spikes.0"], forward["spikes.1"]]
    s = [bits.reshape(entries, WIDTH).astype(int) for bits in sources]
    g = [(update[f"gradients.{n}"] != 0).reshape(entries, WIDTH) for n in range(3)]

    def tiled(bits: np.ndarray) -> np.ndarray:
        return bits.reshape(entries, -1, TINY.lanes).any(2).astype(int)

    needed = {}
    for n in range(3):
        rows = tiled(g[n])
        matches = s[n].T @ rows  # (source, tile)
        needed["fp", n] = int(s[n].sum()) * rows.shape[1]
        needed["wg", n] = max(int(matches.sum()), 2 * np.count_nonzero(matches))
    for n, rule in enumerate(case.rules):
        active = tiled(s[n + 1]) if rule == "mpd-ed" else np.ones_like(tiled(s[n + 1]))
        needed["bp", n] = int((active * g[n + 1].sum(1)[:, None]).sum())
    return needed


@pytest.mark.parametrize("case", [GATED, SPARSE], ids=lambda case: case.name)
def test_an_engine_alone_has_golden_bits_and_its_bound(case):
    """An engine alone computes golden's bits, and its bound equals one worked out from golden."""
    counts = Counts()
    measured = efficiency.measure(case, TINY, counts, width=WIDTH)
    # Loaded weights; spikes and codes of 2 layers, logits twice; gradients and weights of 3.
    assert (counts.tensors, counts.mismatches) == (3 + 6 + 6, 0)
    got = {(one.run.engine, one.run.layer): one.run.bound for one in measured}
    assert got == {key: bound for key, bound in bounds(case).items() if key[0] in case.engines}
    assert all(one.run.bound <= one.run.busy <= one.run.cycles for one in measured)


def _run(engine: str, busy: int, bound: int) -> Run:
    return Run(engine, 0, busy + 5, busy, bound, bound, {"vector": 2, "drain": 3})


def test_the_worst_run_is_the_figure():
    """The figure of an engine is its worst ratio of busy cycles to bound, and says what stalled."""
    cases = ((GATED, "fp", 105), (SPARSE, "fp", 120), (GATED, "bp", 300))
    runs = [efficiency.Measured(case, _run(engine, busy, 100)) for case, engine, busy in cases]
    figure = efficiency.figure(runs, "fp")
    assert (figure.figure, figure.value, figure.met) == ("busy / bound, fp alone", 1.2, False)
    assert "worst of 2 layers" in figure.how
    assert "1 missed" in figure.how
    assert "sparse errors: 120 / 100 cycles, 100 with events, 2 stalled by vector, " in figure.how
    assert figure.how.endswith("3 stalled by drain, 15 without")


def test_concurrency_is_cycles_over_all_busy_cycles():
    """Concurrency is total cycles over the engines' busy cycles, beside the cycles of a sample."""
    engine = {"busy": 400, "bound": 300}
    concurrency, sample = lockstep.overlap({"total": 900, **dict.fromkeys(ENGINES, engine)}, 3, 16)
    assert (concurrency.value, concurrency.met) == (0.75, True)
    assert (sample.value, sample.met) == (18.8, None)


@pytest.fixture(scope="module")
def few():
    return digits().limited(16 * 6)


@pytest.mark.parametrize(("rule", "loss"), lockstep.RUNS)
def test_lockstep_counts_the_steady_state_only(few, rule, loss):
    """Lockstep compares every batch, and counts cycles and events without the first batch."""
    how, counts = learning(0, loss), Counts()
    chosen = list(batches(few.train, how, 0))[:3]
    steady = train_steadily(network(rule, SMALL), how, TINY, chosen, counts)
    # Loaded weights; 3 forward passes of 4 tensors, 3 updates of 4.
    assert (counts.tensors, counts.mismatches) == (2 + 3 * 4 + 3 * 4, 0)
    later = sum(int(batch.spikes.sum()) for batch in chosen[1:])
    assert steady["fp"]["events"] > later * -(-SMALL[1] // TINY.lanes)
    assert steady["total"] < sum(steady[engine]["busy"] for engine in ENGINES)


def test_a_bare_loop_between_batches_changes_nothing(few):
    """Measuring the bare loop between batches leaves the weights as golden computes them."""
    backend = RTLBackend(network("bptt", SMALL), learning(0), TINY)
    golden = GoldenBackend(network("bptt", SMALL), learning(0))
    for each in (backend, golden):
        each.load_weights(initial_weights(network("bptt", SMALL), 0))
    ratios, speeds = speed.measure(backend, few, rounds=1)
    assert len(ratios) == len(speeds) == 1
    assert ratios[0] > 0
    chosen = [*batches(few.train, learning(0), 0)][: speed.BATCHES]
    for step, batch in enumerate(chosen):
        logits = golden.forward(batch.spikes, batch.labels)
        golden.update(cross_entropy_error(logits, batch.labels), step)
    assert all((a == b).all() for a, b in zip(backend.weights(), golden.weights(), strict=True))
    backend.close()


def test_float32_sees_the_batches_that_the_trainer_sees(few):
    """The same batches through golden give the trainer's weights."""
    golden = GoldenBackend(network("bptt", SMALL), learning(3))
    golden.load_weights(initial_weights(network("bptt", SMALL), 3))
    step = 0
    for epoch in range(2):
        for batch in batches(few.train, learning(3), epoch):
            logits = golden.forward(batch.spikes, batch.labels)
            golden.update(cross_entropy_error(logits, batch.labels), step)
            step += 1
    with Trainer(network("bptt", SMALL), learning=learning(3)) as trainer:
        trainer.train(few, 2)
        want = trainer.backend.weights()
    assert all((a == b).all() for a, b in zip(golden.weights(), want, strict=True))


def test_accuracy_is_a_mean_and_its_distance(monkeypatch, few):
    """Accuracy is the mean over seeds, and its distance to float32 is in points."""
    monkeypatch.setattr(accuracy, "golden", lambda data, rule, seed, epochs: 0.9 + seed / 100)
    monkeypatch.setattr(accuracy, "float32", lambda data, rule, seed, epochs: 0.93)
    figures = accuracy.figures(few, seeds=(4, 8), epochs=1)
    values = [(figure.figure, round(float(figure.value or 0), 6), figure.met) for figure in figures]
    assert values[:2] == [
        ("test accuracy, bptt, %", 96.0, True),
        ("distance to float32, bptt, points", 3.0, False),
    ]
    assert [name.split(", ")[1] for name, _, _ in values] == ["bptt", "bptt", "mpd-ed", "mpd-ed"]


def test_float32_learns(few):
    """The float32 baseline gains more than 20 points of accuracy in 3 epochs."""
    untrained = accuracy.float32(few, "bptt", 0, 0)
    assert accuracy.float32(few, "bptt", 0, 3) > untrained + 0.2
