"""compile.cut: every batch is cut into blocks that hold it, none too large; the fastest first."""

import itertools

import pytest

from backspike.compile.cut import Cut, cut_of, cuts
from backspike.gen.core.backward.unit import BackwardUnit
from backspike.gen.core.forward.unit import ForwardUnit
from backspike.gen.machine import DEPTH, MACHINES

DEFAULT = MACHINES["default"]
FEW = range(1, 41)
MANY = (100, 1000, 4096)
BATCHES = [*itertools.product(FEW, FEW), *itertools.product((1, 7, 16, 40), MANY),
           *itertools.product(MANY, (1, 5, 17)), (4096, 4096)]  # fmt: skip
"""(samples, steps)."""


@pytest.mark.parametrize("samples", range(1, DEPTH + 1))
def test_a_cut_holds_the_batch(samples):
    """Sets hold all samples, and spans all steps, with none left over; a block is not too large."""
    for batch, steps in BATCHES:
        cut = cut_of(batch, steps, samples)
        assert cut.samples == samples
        assert 1 <= cut.steps * samples <= DEPTH
        assert samples * (cut.sets - 1) < batch <= samples * cut.sets
        assert cut.steps * (cut.spans - 1) < steps <= cut.steps * cut.spans
        assert 1 <= cut.last_steps <= cut.steps
        assert cut.all_steps == cut.steps * (cut.spans - 1) + cut.last_steps == steps
        assert cut.blocks == cut.sets * cut.spans
        assert cut.spans == -(-steps // (DEPTH // samples))  # no fewer would do
        assert cut.steps == -(-steps // cut.spans)  # and so they are as short as they can be


def test_the_extent_names_the_samples_present():
    """Of every batch up to the whole: the full sets, and the entries of the one behind them."""
    for batch, steps in itertools.product((1, 5, 8, 13), (1, 3, 16, 21)):
        for cut in cuts(batch, steps, DEFAULT):
            for present in range(1, batch + 1):
                full, partial = cut.extent(present)
                assert full * cut.samples <= present < (full + 1) * cut.samples
                for entry in range(DEPTH):
                    t, s = divmod(entry, cut.samples)
                    held = t < cut.steps and full * cut.samples + s < present
                    assert partial >> entry & 1 == held


def cycles(cut: Cut, batch: int, steps: int, machine) -> int:
    """Of both drains: each step of a set is as long as its slots, or as a neuron's recurrence."""
    forward = max(cut.samples * machine.fp_reuse, ForwardUnit.recurrence)
    backward = max(cut.samples * machine.bp_reuse, BackwardUnit.recurrence)
    return -(-batch // cut.samples) * steps * (forward + backward) + 2 * cut.blocks


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_cuts_come_the_fastest_first(machine):
    """Each cut once, with every number of samples that makes one of its own, by rising cost."""
    for batch, steps in BATCHES:
        found = list(cuts(batch, steps, machine))
        assert len(found) == len({cut.samples for cut in found}) == min(batch, DEPTH)
        assert all(cut == cut_of(batch, steps, cut.samples) for cut in found)
        costs = [(cycles(cut, batch, steps, machine), cut.blocks) for cut in found]
        assert costs == sorted(costs)


def test_cuts_of_known_batches():
    """As many samples that few steps wait for the last one, with few blocks, and no set as good as
    empty."""
    expected = {
        (16, 4): Cut(samples=16, sets=1, steps=1, spans=4, last_steps=1),
        (8, 16): Cut(samples=8, sets=1, steps=2, spans=8, last_steps=2),
        (3, 17): Cut(samples=3, sets=1, steps=5, spans=4, last_steps=2),
        (1, 16): Cut(samples=1, sets=1, steps=16, spans=1, last_steps=16),
        (1, 4096): Cut(samples=1, sets=1, steps=16, spans=256, last_steps=16),
        (40, 1): Cut(samples=10, sets=4, steps=1, spans=1, last_steps=1),
    }
    assert {at: next(cuts(*at, DEFAULT)) for at in expected} == expected
