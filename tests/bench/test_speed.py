"""The driver's speed beside the barest loop."""

from backspike.bench import speed
from backspike.drive.rtl_backend import RTLBackend
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.train.digits_run import batches, learning, network
from tests.support.bench_cases import SMALL, TINY


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
