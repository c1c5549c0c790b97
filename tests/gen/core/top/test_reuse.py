"""Drain units that serve one lane each, or all, and each engine's own number: same bits."""

from dataclasses import replace

import pytest

from backspike.gen.machine import MACHINES, Machine
from backspike.train.fuzz_training import draw_case, run_case

SEEDS = range(12)


@pytest.mark.verilator
def test_random_runs():
    """A machine with other numbers of drain units than the presets trains as golden."""
    one = Machine(name="reuse", lanes=4, fp_reuse=1, bp_reuse=1, wg_reuse=4, weight_rows=2048,
                  units=64, spike_units=128, readout_units=32, layers=4, tasks=256)  # fmt: skip
    values = 0
    for seed in SEEDS:
        case = draw_case(one, seed)
        print(case)
        counts, _ = run_case(case, one)
        values += counts.values
    assert values > 10_000


@pytest.mark.parametrize("engine", ["fp", "bp", "wg"])
def test_wrong_reuse_is_told(engine):
    """A reuse that is no power of two up to its limit is a ValueError."""
    for reuse in (0, 3, 8):
        with pytest.raises(ValueError, match=f"{engine}_reuse is {reuse}, must be 1, 2, 4"):
            replace(MACHINES["tiny"], **{f"{engine}_reuse": reuse})
