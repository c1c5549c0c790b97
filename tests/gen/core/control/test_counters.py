"""gen.core.counters: every counter of some runs against a count of what was put in."""

import numpy as np
import pytest

from backspike.gen.core.control.counters import CONDITIONS, LAYER_PAUSE, SLOTS, WORDS, Counters
from backspike.gen.host.bus import request_layout
from backspike.ir.constants import ENGINES
from backspike.sim.bench.array_bench import ArrayBench

NAMES = [f"{engine}_{condition}" for engine in ENGINES for condition in CONDITIONS]
READ = 300
"""Cycles after a run in which the words are read."""

pytestmark = pytest.mark.verilator


def layers(rng: np.random.Generator, cycles: int) -> np.ndarray:
    """When a layer begins: now and then, and as soon as it may."""
    loaded = np.zeros(cycles, bool)
    at = int(rng.integers(1, 40))
    while at < cycles - LAYER_PAUSE:
        loaded[at] = True
        at += LAYER_PAUSE + (int(rng.integers(0, 200)) if rng.random() < 0.5 else 0)
    return loaded


def expected(inputs: dict[str, np.ndarray]) -> dict[str, int]:
    """From a run's conditions."""
    working = np.stack([inputs[f"{engine}_working"] for engine in ENGINES])
    want = {"cycles": working.shape[1], "overlap": int(working.any(axis=0).sum())}
    for engine in ENGINES:
        for condition, counter in CONDITIONS.items():
            want[f"{engine}_{counter}"] = int(inputs[f"{engine}_{condition}"].sum())
    want["fp_bound"], want["bp_bound"] = want["fp_events"], want["bp_events"]
    ends = [*np.flatnonzero(inputs["wg_loaded"]), working.shape[1]]
    want["wg_bound"] = 0
    for first, end in zip([0, *ends], ends, strict=False):
        events, rows = (int(inputs[f"wg_{name}"][first:end].sum()) for name in ("event", "rows"))
        want["wg_bound"] += max(events, 2 * rows)
    return want


def conditions(rng: np.random.Generator, cycles: int) -> dict[str, np.ndarray]:
    inputs = {name: rng.random(cycles) < rng.choice([0, rng.random(), 1]) for name in NAMES}
    inputs["wg_loaded"] = layers(rng, cycles)
    # Layers of either kind: more events than twice the rows, and fewer.
    inputs["wg_rows"] = rng.random(cycles) < 0.3
    inputs["wg_event"] = rng.random(cycles) < np.repeat(rng.random(-(-cycles // 60)), 60)[:cycles]
    for name in ("wg_event", "wg_rows"):
        inputs[name] &= ~inputs["wg_loaded"]
    return inputs


def read(counters: ArrayBench, cycles: int, **inputs: np.ndarray) -> dict[str, int]:
    """The words after `cycles` with these inputs; conditions that stay high are not counted."""
    layout = request_layout(5)
    total = cycles + READ
    padded = {
        name: np.pad(values, (0, READ), constant_values=name in (*NAMES, "wg_rows"))
        for name, values in inputs.items()
    }
    valid, address = np.zeros(total), np.zeros(total, np.uint64)
    asked = cycles + READ - 50  # by then the host need not wait
    valid[asked : asked + SLOTS] = 1
    address[asked : asked + SLOTS] = np.arange(SLOTS)
    out = counters(
        host__request__valid=valid,
        host__request__payload=address << np.uint64(layout["address"].offset),
        host__response__ready=np.ones(total),
        **padded,
    )
    assert out["host__request__ready"][asked:].all()
    answers = out["host__response__payload"][out["host__response__valid"].astype(bool)]
    assert len(answers) == SLOTS
    return {name: int(answers[at]) for name, at in WORDS.items()}


def test_counts():
    """Every counter after runs of many lengths equals a count of what was put in."""
    rng = np.random.default_rng(1)
    counters = ArrayBench(Counters(), "counters")
    assert not any(read(counters, 0).values())
    more = set()
    for cycles in [*range(1, 12), *range(SLOTS - 3, SLOTS + 4), 60, 61, 700, 701, 5000]:
        inputs = conditions(rng, cycles)
        # A run begins with a clear, in which nothing is counted yet.
        late = {name: np.pad(values, (1, 0)) for name, values in inputs.items()}
        count = np.pad(np.ones(cycles), (1, 0))
        clear = np.arange(cycles + 1) == 0
        got = read(counters, cycles + 1, count=count, clear=clear, **late)
        want = expected(inputs)
        assert set(want) == set(WORDS)
        wrong = {name: (got[name], want[name]) for name in want if got[name] != want[name]}
        assert not wrong, f"{cycles} cycles: {wrong} (got, want)"
        more.add(want["wg_bound"] > 2 * inputs["wg_rows"].sum())
        more.add(want["wg_bound"] > want["wg_events"])
    assert more == {True, False}


def test_the_host_waits():
    """Until the words are complete: after a run, and zero after a reset."""
    counters = ArrayBench(Counters(), "counters")
    cycles = 200
    now = np.arange(cycles)
    address = np.full(cycles, WORDS["fp_busy"] << 1)
    out = counters(host__request__valid=now < 150, host__request__payload=address)
    first = int(np.argmax(out["host__request__ready"]))
    assert SLOTS <= first <= SLOTS + 4
    out = counters(
        host__request__valid=now >= 100, host__request__payload=address, fp_working=now >= 0,
        clear=now == 0, count=(now > 0) & (now < 100),
    )  # fmt: skip
    first = 100 + int(np.argmax(out["host__request__ready"][100:]))
    assert 100 + SLOTS <= first <= 100 + 2 * SLOTS + 4
    answers = out["host__response__payload"][out["host__response__valid"].astype(bool)]
    assert len(answers) > 20
    assert (answers == 99).all()
