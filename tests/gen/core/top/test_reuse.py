"""Drain units that serve one lane each, or several, and each engine's its own number: same bits."""

from dataclasses import replace

import pytest

from backspike.gen.machine import MACHINES, Machine
from backspike.train.fuzz_training import draw_case, run_case

SEEDS = range(12)


@pytest.mark.verilator
@pytest.mark.parametrize("reuse", [(1, 4, 4), (4, 1, 1)])
def test_random_runs(reuse):
    """Machines with other numbers of drain units train as golden, over random networks."""
    fp, bp, wg = reuse
    one = Machine(name="reuse", lanes=4, fp_reuse=fp, bp_reuse=bp, wg_reuse=wg, weight_rows=2048,
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
