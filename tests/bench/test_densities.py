"""Batches of given densities, counted in golden's tensors."""

import numpy as np
import pytest

from backspike.bench import densities
from backspike.golden.backend import GoldenBackend
from tests.support.bench_cases import GATED, SPARSE


def near(share: float, density: float, count: int) -> bool:
    """Whether a share of `count` draws is within 4 standard deviations of their probability."""
    return abs(share - density) <= 4 * (density * (1 - density) / count) ** 0.5


@pytest.mark.parametrize("case", [GATED, SPARSE, *densities.cases()[-3:]], ids=lambda c: c.name)
def test_densities_are_those_of_the_case(case):
    """Spikes, errors and gradients have the case's densities, counted in golden's tensors."""
    batch = densities.tensors(case, 64)
    last = batch.error[:, -1]
    assert near(batch.spikes.mean(), case.input, batch.spikes.size)
    assert near((last != 0).mean(), case.error, last.size)
    golden = GoldenBackend(case.graph(64), densities.LEARNING)
    golden.load_weights(batch.weights)
    golden.forward({"input": batch.spikes})
    golden.update({"readout": batch.error}, 0)
    forward, update = golden.forward_tensors(), golden.update_tensors()
    # What comes back to a layer passes where the rule lets it, and arrives elsewhere as dense.
    back = densities.STEPS * np.count_nonzero(last)
    assert np.count_nonzero(update["gradients.readout"]) == back
    for n in (1, 0):
        name = f"hidden{n + 1}"
        spikes, there = forward[f"spikes.{name}"] == 1, update[f"gradients.{name}"] != 0
        assert spikes.sum() == batch.spikes.sum()
        if case.rules[n] == "bptt":
            assert there.sum() == back
        else:
            assert not (there & ~spikes).any()
            assert case.error < 1 or n == 0 or (there == spikes).all()
        back = there.sum()
