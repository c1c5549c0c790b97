"""Training on the RTL in lockstep with golden, for its counters in the steady state."""

from collections.abc import Iterable

from backspike.compile.compiler import compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.train.digits_run import Batch, errors_of
from backspike.train.result import difference


def train_steadily(
    graph: Graph, learning: Learning, machine: Machine, data: Iterable[Batch], counts: Counts
) -> dict:
    """Train on the batches; the counters of all `update_forward`s, the steady state.

    counts: what was compared is added. Raises Mismatch at the first bit that differs.
    """
    first, *rest = data
    rtl = RTLBackend(compile_graph(graph, first.spikes.shape[1], learning, machine))
    both = Lockstep(rtl, GoldenBackend(graph, learning, every=False))
    both.counts = counts
    host = learning.loss == "ce"
    try:
        both.load_weights(initial_weights(graph, learning.seed))
        logits, before, last = both.forward(first.inputs, first.labels), rtl.counters(), first
        for step, batch in enumerate(rest):
            errors = errors_of(logits, last) if host else None
            logits = both.update_forward(errors, step, batch.inputs, batch.labels)
            last = batch
        steady = difference(rtl.counters(), before)
        both.update(errors_of(logits, last) if host else None, len(rest))
        return steady
    finally:
        both.close()
