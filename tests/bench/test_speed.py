"""The driver's speed beside the barest loop."""

import pytest

from backspike.bench import speed
from backspike.compile.compiler import compile_graph
from backspike.drive.rtl_backend import RTLBackend
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.train.digits_run import STEPS, batches, errors_of, learning, network
from tests.support.bench_cases import SMALL, TINY


@pytest.mark.verilator
def test_a_bare_loop_between_batches_changes_nothing(few):
    """Measuring the bare loop between batches leaves the weights as golden computes them."""
    graph = network("bptt", SMALL)
    backend = RTLBackend(compile_graph(graph, STEPS, learning(0), TINY))
    golden = GoldenBackend(graph, learning(0), every=False)
    for each in (backend, golden):
        each.load_weights(initial_weights(graph, 0))
    ratios, speeds = speed.measure(backend, few, rounds=1)
    assert len(ratios) == len(speeds) == 1
    assert ratios[0] > 0
    chosen = [*batches(few.train, learning(0), 0)][: speed.BATCHES]
    for step, batch in enumerate(chosen):
        golden.update(errors_of(golden.forward(batch.inputs), batch), step)
    got, want = backend.weights(), golden.weights()
    assert all((got[name] == w).all() for name, w in want.items())
    backend.close()
