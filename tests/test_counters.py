"""gen.core.counters: every counter against a count of what was put in."""

import numpy as np
import pytest

from backspike.gen.core.counters import CONDITIONS, Counters
from backspike.gen.core.layout import ENGINES
from backspike.sim.bulk import Bulk


@pytest.mark.verilator
def test_counts():
    rng = np.random.default_rng(1)
    cycles = 6000
    # Runs of some hundred cycles with pauses; each is cleared as it begins.
    clear = rng.random(cycles) < 0.004
    count = np.repeat(rng.random(cycles // 50) < 0.8, 50) & ~clear
    names = [f"{engine}_{condition}" for engine in ENGINES for condition in CONDITIONS]
    inputs = {name: rng.random(cycles) < rng.random() for name in names}
    inputs["wg_loaded"] = rng.random(cycles) < 0.02
    inputs["wg_rows"] = rng.random(cycles) < 0.3
    # A layer's load comes while the engine is empty.
    inputs["wg_event"] &= ~inputs["wg_loaded"]
    inputs["wg_rows"] &= ~inputs["wg_loaded"]
    # Layers of either kind: more events than twice the rows, and fewer.
    inputs["wg_event"] &= np.repeat(rng.random(cycles // 100) < 0.6, 100)
    out = Bulk(Counters(), "counters")(clear=clear, count=count, **inputs)

    want = dict.fromkeys(out, 0)
    events = rows = before = 0
    wins = set()
    for cycle in range(cycles):
        want["wg_bound"] = before + max(events, 2 * rows)
        want["fp_bound"], want["bp_bound"] = want["fp_events"], want["bp_events"]
        got = {name: int(values[cycle]) for name, values in out.items()}
        assert got == want, f"cycle {cycle}"
        now = {name: bool(values[cycle]) for name, values in inputs.items()}
        if clear[cycle]:
            want = dict.fromkeys(want, 0)
            events = rows = before = 0
            continue
        if now["wg_loaded"]:
            wins.add(events > 2 * rows)
            before, events, rows = want["wg_bound"], 0, 0
        if count[cycle]:
            want["cycles"] += 1
            want["overlap"] += any(now[f"{engine}_working"] for engine in ENGINES)
            for engine in ENGINES:
                for condition, counter in CONDITIONS.items():
                    want[f"{engine}_{counter}"] += now[f"{engine}_{condition}"]
            events += now["wg_event"]
            rows += now["wg_rows"]
    assert wins == {True, False}
