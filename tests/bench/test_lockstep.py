"""Training in lockstep, without its first batch."""

import pytest

from backspike.bench import lockstep
from backspike.compile.schedule import ENGINES
from backspike.drive.comparison import Counts
from backspike.train.digits_run import batches, learning, network
from backspike.train.steady import train_steadily
from tests.support.bench_cases import SMALL, TINY


def test_concurrency_is_cycles_over_all_busy_cycles():
    """Concurrency is total cycles over the engines' busy cycles, beside the cycles of a sample."""
    engine = {"busy": 400, "bound": 300}
    concurrency, sample = lockstep.overlap({"total": 900, **dict.fromkeys(ENGINES, engine)}, 3, 16)
    assert (concurrency.value, concurrency.met) == (0.75, True)
    assert (sample.value, sample.met) == (18.8, None)


@pytest.mark.parametrize(("rule", "loss"), lockstep.RUNS)
def test_lockstep_counts_the_steady_state_only(few, rule, loss):
    """LockstepChain compares every batch, and counts cycles and events without the first batch."""
    how, counts = learning(0, loss), Counts()
    chosen = list(batches(few.train, how, 0))[:3]
    steady = train_steadily(network(rule, SMALL), how, TINY, chosen, counts)
    # Loaded weights; 3 forward passes of 4 tensors, 3 updates of 4.
    assert (counts.tensors, counts.mismatches) == (2 + 3 * 4 + 3 * 4, 0)
    later = sum(int(batch.spikes.sum()) for batch in chosen[1:])
    assert steady["fp"]["events"] > later * -(-SMALL[1] // TINY.lanes)
    assert steady["total"] < sum(steady[engine]["busy"] for engine in ENGINES)
