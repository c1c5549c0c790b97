"""Training on the RTL in lockstep with golden, for its counters in the steady state."""

from collections.abc import Iterable

from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.train.digits_run import Batch
from backspike.train.result import difference


def train_steadily(
    network: Network, learning: Learning, machine: Machine, data: Iterable[Batch], counts: Counts
) -> dict:
    """Train on the batches; the counters of all `update_forward`s, the steady state.

    counts: what was compared is added. Raises Mismatch at the first bit that differs.
    """
    rtl = RTLBackend(network, learning, machine)
    both = Lockstep(rtl, GoldenBackend(network, learning))
    both.counts = counts
    ce = learning.loss == "ce"
    try:
        both.load_weights(initial_weights(network, learning.seed))
        first, *rest = data
        logits, labels = both.forward(first.spikes, first.labels), first.labels
        before = rtl.counters()
        for step, batch in enumerate(rest):
            error = cross_entropy_error(logits, labels) if ce else None
            logits = both.update_forward(error, step, batch.spikes, batch.labels)
            labels = batch.labels
        steady = difference(rtl.counters(), before)
        both.update(cross_entropy_error(logits, labels) if ce else None, len(rest))
        return steady
    finally:
        both.close()
