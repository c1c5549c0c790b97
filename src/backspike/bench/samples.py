"""Training samples a second of the core, beside a PyTorch loop on one core of this computer."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch

from backspike.bench.figure import Figure, at_least
from backspike.flow.reports.baselines import load
from backspike.flow.throughput import throughput
from backspike.gen.machine import MACHINES
from backspike.golden.threads import one_thread
from backspike.ir.errors import UserError
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.encode import rate

BOARD, MACHINE = "ulx3s-85f", "default"
WITHOUT_RECORD = 90.0
"""MHz if no record of a build of MACHINE is kept."""
SIZES, STEPS, LEAK, THRESHOLD, ETA = (64, 128, 10), 4, 0.75, 1.0, 2.0**-6
BATCH, LARGE = 16, 1024
"""Samples of a batch: of the core's, and one at which PyTorch is quickest, to be told beside it."""
GOAL = 10.0
ROUNDS, SECONDS = 7, 1.0
"""Of a round, of the processor's time."""


class Spike(torch.autograd.Function):
    """The rectangle of width 1, as short as PyTorch has it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).float()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad_outputs[0] * (x.abs() < 0.5)


class Loop:
    """Training as one writes it in PyTorch to be quick: float32, autograd, SGD.

    The currents of all steps are one product, and so are the logits: the read-out adds spikes up,
    so it adds them up before its weights. Spikes are coded before, and never again.
    """

    def __init__(self, spikes: torch.Tensor, labels: torch.Tensor, batch: int) -> None:
        """spikes: float32 (samples, T, N). labels: int64 (samples,)."""
        whole = len(spikes) // batch * batch
        self.batches = [*zip(spikes[:whole].split(batch), labels[:whole].split(batch), strict=True)]
        g = torch.Generator().manual_seed(0)
        self.weights = [
            (gain * torch.randn(shape, generator=g) / shape[0] ** 0.5).requires_grad_()
            for gain, shape in zip((2.0, 0.5), pairwise(SIZES), strict=True)
        ]
        # Its step is a call less for each weight than a loop over them.
        self.optimizer = torch.optim.SGD(self.weights, lr=ETA)

    def logits(self, spikes: torch.Tensor) -> torch.Tensor:
        """(B, classes) of (B, T, N)."""
        hidden, readout = self.weights
        v, total = torch.zeros(()), torch.zeros(())
        for current in (spikes @ hidden).unbind(1):
            u = current + LEAK * v
            s = cast(torch.Tensor, Spike.apply(u - THRESHOLD))
            v = u * (1 - s.detach())
            total = total + s
        return total @ readout

    def train(self, n: int) -> int:
        """A step with the n-th batch; its samples."""
        spikes, labels = self.batches[n % len(self.batches)]
        loss = torch.nn.functional.cross_entropy(self.logits(spikes), labels, reduction="sum")
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return len(labels)


def figures(data: Dataset) -> list[Figure]:
    """The core's samples a second over PyTorch's, and PyTorch's alone."""
    mhz, record = clock()
    found = throughput(MACHINES[MACHINE])
    spikes = torch.from_numpy(rate(data.train.x, STEPS)).float()
    labels = torch.from_numpy(data.train.y)
    loops = {batch: Loop(spikes, labels, batch) for batch in (BATCH, LARGE)}
    speeds = measure({batch: loop.train for batch, loop in loops.items()})
    core, ours = found.per_second(mhz), speeds[BATCH]
    network = f"{'-'.join(map(str, SIZES))}, {STEPS} steps"
    return [
        at_least(
            f"samples a second, core / PyTorch on one core, batch {BATCH}",
            round(core / ours, 2),
            GOAL,
            f"{core:,.0f} over {ours:,.0f}: {found.cycles:,.1f} cycles of {MACHINE} for a sample "
            f"at {mhz:.1f} MHz ({record}), and float32 autograd on one thread of this computer, "
            f"batch {BATCH}, SGD, spikes coded before: the quickest of {ROUNDS} rounds, by the "
            f"processor's time. "
            f"{found.how}",
        ),
        Figure(
            f"samples a second, PyTorch on one core, batch {LARGE}",
            round(speeds[LARGE]),
            None,
            None,
            f"the same loop, {network}, likewise",
        ),
    ]


def clock() -> tuple[float, str]:
    """MHz that MACHINE reaches on BOARD, and where that is from."""
    try:
        report = load(BOARD, MACHINE).report
    except UserError:
        report = None
    if report is None or report.mhz is None:
        return WITHOUT_RECORD, "a goal: no build of it is recorded"
    seeds = len(report.placements)
    return report.mhz, f"median of {seeds} seeds in the kept build report of {BOARD}"


@one_thread()
def measure(
    trains: dict[int, Callable[[int], int]], rounds: int = ROUNDS, seconds: float = SECONDS
) -> dict[int, float]:
    """Samples of each in a second of the processor, rounds by turns, the quickest one: what others
    on this computer take away is not PyTorch's fault."""
    best = dict.fromkeys(trains, 0.0)
    for _ in progress_bar(range(rounds), desc="samples", unit="round"):
        for key, train in trains.items():
            begin, samples, n = time.process_time(), 0, 0
            while (elapsed := time.process_time() - begin) < seconds:
                samples += train(n)
                n += 1
            best[key] = max(best[key], samples / elapsed)
    return best
