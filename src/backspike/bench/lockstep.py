"""Training on the RTL in lockstep with golden: what differs, and how well the engines overlap."""

from collections.abc import Iterable

from backspike.bench.digits import WHAT, Batch, Loss, batches, learning, network
from backspike.bench.figure import Figure, at_most
from backspike.drive.lockstep import Counts, Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES, Machine
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.ir.network import Learning, Network, Rule
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.result import ENGINES, difference

CONCURRENCY = 0.75
RUNS: tuple[tuple[Rule, Loss], ...] = (("bptt", "ce"), ("mpd-ed", "mse"))
"""Rule and loss; the first is also what concurrency is measured on."""


def train(
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


def figures(data: Dataset, counts: Counts, limit: int | None = None) -> list[Figure]:
    """Concurrency and cycles a sample of the first run's epoch; the second is only compared.

    limit: batches of an epoch at the most.
    """
    made: list[Figure] = []
    for rule, loss in RUNS:
        how = learning(0, loss)
        full = [batch for batch in batches(data.train, how, 0) if len(batch.labels) == how.batch]
        shown = progress_bar(full[:limit], desc=f"lockstep, {rule}, {loss}", unit="batch")
        steady = train(network(rule), how, MACHINES["default"], shown, counts)
        if not made:
            made = overlap(steady, len(full[:limit]) - 1, how.batch)
    return made


def overlap(steady: dict, runs: int, batch: int) -> list[Figure]:
    """What the counters of `runs` batches in the steady state say."""
    busy = {engine: steady[engine]["busy"] for engine in ENGINES}
    total = steady["total"]
    parts = ", ".join(
        f"{name} busy {cycles / runs:,.0f} of bound {steady[name]['bound'] / runs:,.0f}"
        for name, cycles in busy.items()
    )
    return [
        at_most(
            "concurrency: cycles / sum of the engines' busy cycles",
            total / sum(busy.values()),
            CONCURRENCY,
            f"{WHAT}, machine default, mean of {runs} batches of an epoch, each beside the next "
            f"batch's forward pass: {total / runs:,.0f} cycles a batch; {parts}",
        ),
        Figure(
            "training, cycles a sample",
            round(total / (runs * batch), 1),
            None,
            None,
            "the same run: cycles from doorbell to end; the host port's transfers left out",
        ),
    ]
