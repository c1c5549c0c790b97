"""Drain units that serve one lane each, or four: the same bits."""

import pytest

from backspike.gen.machine import Machine
from backspike.sim.random_run import draw_case, run_case

SEEDS = range(12)


def machine(share: int) -> Machine:
    return Machine(name=f"share{share}", lanes=4, share=share, weight_rows=2048, units=64,
                   spike_units=128, readout_units=32, layers=4, tasks=256)  # fmt: skip


@pytest.mark.verilator
@pytest.mark.parametrize("share", [1, 4])
def test_random_runs(share):
    one = machine(share)
    values = 0
    for seed in SEEDS:
        case = draw_case(one, seed)
        print(case)
        counts, _ = run_case(case, one)
        values += counts.values
    assert values > 10_000
