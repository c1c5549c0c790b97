"""Training on the RTL in lockstep with golden: what differs, and how well the engines overlap."""

from backspike.bench.figure import Figure, at_most
from backspike.drive.comparison import Counts
from backspike.gen.machine import MACHINES
from backspike.ir.constants import ENGINES
from backspike.ir.neuron import Rule
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.digits_run import WHAT, Loss, batches, learning, network
from backspike.train.steady import train_steadily

CONCURRENCY = 0.75
RUNS: tuple[tuple[Rule, Loss], ...] = (("bptt", "ce"), ("mpd-ed", "mse"))
"""Rule and loss; the first is also what concurrency is measured on."""


def figures(data: Dataset, counts: Counts, limit: int | None = None) -> list[Figure]:
    """Concurrency and cycles a sample of the first run's epoch; the second is only compared.

    limit: batches of an epoch at the most.
    """
    made: list[Figure] = []
    for rule, loss in RUNS:
        how = learning(0, loss)
        full = [batch for batch in batches(data.train, how, 0) if len(batch.labels) == how.batch]
        shown = progress_bar(full[:limit], desc=f"lockstep, {rule}, {loss}", unit="batch")
        steady = train_steadily(network(rule), how, MACHINES["default"], shown, counts)
        if not made:
            made = overlap(steady, len(full[:limit]) - 1, how.batch)
    return made


def overlap(steady: dict, runs: int, batch: int) -> list[Figure]:
    """What the counters of `runs` batches in the steady state say."""
    return [
        overlap_of(steady, runs, CONCURRENCY, f"{WHAT}, machine default", "concurrency"),
        Figure(
            "training, cycles a sample",
            round(steady["total"] / (runs * batch), 1),
            None,
            None,
            "the same run: cycles from doorbell to end; the host port's transfers left out",
        ),
    ]


def overlap_of(steady: dict, runs: int, goal: float, what: str, name: str) -> Figure:
    """Cycles over those that the engines were busy, of so many batches. what: was trained."""
    busy = {engine: steady[engine]["busy"] for engine in ENGINES}
    total = steady["total"]
    parts = ", ".join(
        f"{engine} busy {cycles / runs:,.0f} of bound {steady[engine]['bound'] / runs:,.0f}"
        for engine, cycles in busy.items()
    )
    return at_most(
        f"{name}: cycles / sum of the engines' busy cycles",
        total / sum(busy.values()),
        goal,
        f"{what}, mean of {runs} batches of an epoch, each beside the next batch's forward pass: "
        f"{total / runs:,.0f} cycles a batch; {parts}",
    )
