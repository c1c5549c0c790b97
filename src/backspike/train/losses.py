"""Losses of graphs, on the host: of each read-out, and what they feed back.

Logits are (B, T, N): of each step the potential of a read-out, or how often it has spiked up to
that step. Errors are what a backend takes: of the logits of each step, or, if the read-out spikes,
of the spikes of each step. They are sums over the batch, not means. They are made of additions,
multiplications and divisions in a fixed order, so that they are the same bits on every machine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from backspike.golden.arithmetic import Halves
from backspike.golden.half import from_bits, to_bits
from backspike.golden.loss import softmax_error
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.checks import nearest_half, switch
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph


@dataclass(frozen=True)
class CrossEntropy:
    """-log softmax(o)[label] of the last step's logits.

    every_step: the mean over all steps of it instead. readout: of which it is, if a network has
    several; the others then have no error.
    """

    every_step: bool = False
    readout: str | None = None

    def __post_init__(self) -> None:
        switch("every_step", self.every_step)
        _check_readout(self.readout)

    def mean(self, logits: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        """Over the batch, a number that autograd knows. logits: floating (B, T, N)."""
        judged = logits if self.every_step else logits[:, -1:]
        steps = judged.shape[1]
        wanted = torch.from_numpy(labels).repeat_interleave(steps)
        return torch.nn.functional.cross_entropy(judged.flatten(0, 1), wanted)

    def gradient(self, logits: torch.Tensor, labels: np.ndarray) -> list[torch.Tensor | None]:
        """By step: of each sample's loss with respect to that step's logits, float64 (B, N)."""
        steps = logits.shape[1]
        if not self.every_step:
            return [None] * (steps - 1) + [softmax_error(logits[:, -1], labels)]
        return [softmax_error(logits[:, t], labels) / steps for t in range(steps)]


@dataclass(frozen=True)
class MeanSquared:
    """1/2 Σ_j (α o_j - onehot_j)² of the last step's logits; its error is α o - onehot, and the
    factor α before it is left to the rate, as for chains.

    alpha is rounded to FP16. readout: as of CrossEntropy.
    """

    alpha: float = 0.25
    readout: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", nearest_half("alpha", self.alpha))
        _check_readout(self.readout)

    def mean(self, logits: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        """As of CrossEntropy."""
        return (self._error(logits[:, -1], labels) ** 2).sum(1).mean() / 2

    def gradient(self, logits: torch.Tensor, labels: np.ndarray) -> list[torch.Tensor | None]:
        """As of CrossEntropy, but for the factor α."""
        return [None] * (logits.shape[1] - 1) + [self._error(logits[:, -1], labels)]

    def _error(self, o: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        # Exact: a product of two halves and a difference from 1 fit a float64.
        return self.alpha * o - torch.nn.functional.one_hot(torch.from_numpy(labels), o.shape[1])


Loss = CrossEntropy | MeanSquared


def _check_readout(readout: object) -> None:
    if not (readout is None or isinstance(readout, str)):
        raise UserError(f"readout is {readout!r}, must be the name of a read-out")


def errors(loss: Loss, logits: torch.Tensor, labels: np.ndarray, spiking: bool) -> torch.Tensor:
    """float64 (B, T, N), not rounded: of logits, or, spiking, of spikes.

    A spike counts in its step and all that follow, so its error is their sum.
    """
    found = torch.zeros_like(logits)
    total = torch.zeros_like(logits[:, 0])
    for t, each in reversed(list(enumerate(loss.gradient(logits, labels)))):
        if each is not None:
            total = total + each
            found[:, t] = each
        if spiking:
            found[:, t] = total
    return found


class Criterion:
    """A network's losses, one for each read-out that has one; `losses` are they by name.

    loss: of the only read-out; or with its `readout` named; or {name: loss} of one or several.
    every: whether backends are to have logits and errors of every step; see `Backend`.
    on_chip: whether a backend is to work errors out of labels: of the only read-out, if its loss
    is a MeanSquared and it does not spike.
    Raises UserError.
    """

    def __init__(self, graph: Graph, loss: Loss | Mapping[str, Loss]) -> None:
        readouts = [p for p in graph.populations if p.role == "readout"]
        self._spiking = {p.name: p.neuron is not None for p in readouts}
        self.sizes = {p.name: p.size for p in readouts}
        given = _given(self.sizes, loss)
        for name, each in given.items():
            if not isinstance(each, Loss):
                raise UserError(f"loss is {each!r}, must be a CrossEntropy or a MeanSquared")
            if name not in self.sizes:
                names = ", ".join(self.sizes)
                raise UserError(f"loss is of the read-out {name!r}, must be of one of {names}")
            if each.readout not in (None, name):
                raise UserError(f"the loss of {name} has readout {each.readout!r}, must have none")
        self.losses: dict[str, Loss] = {n: given[n] for n in self.sizes if n in given}
        judged = [self.losses[name] for name in self.losses if not self._spiking[name]]
        self.every = any(isinstance(each, CrossEntropy) and each.every_step for each in judged)
        only = next(iter(self.losses.values())) if len(readouts) == 1 else None
        self.on_chip = isinstance(only, MeanSquared) and bool(judged)
        self.alpha = only.alpha if isinstance(only, MeanSquared) else None

    @property
    def equal_outputs(self) -> float:
        """The sum of the losses if all logits of a read-out are equal, or (MeanSquared) zero."""
        return sum(
            math.log(self.sizes[name]) if isinstance(loss, CrossEntropy) else 0.5
            for name, loss in self.losses.items()
        )

    @one_thread()
    def errors(self, logits: Mapping[str, Bits], labels: Mapping[str, np.ndarray]) -> dict:
        """uint16 of each read-out, shaped as its logits, 0 where there is no loss; none if a
        backend works them out."""
        if self.on_chip:
            return {}
        found = {name: np.zeros_like(bits) for name, bits in logits.items()}
        for name, loss in self.losses.items():
            stepped = from_bits(_stepped(logits[name]))
            exact = errors(loss, stepped, labels[name], self._spiking[name])
            found[name] = to_bits(Halves().round(exact)).reshape(logits[name].shape)
        return found

    @one_thread()
    def values(self, logits: Mapping[str, Bits], labels: Mapping[str, np.ndarray]) -> dict:
        """Mean loss over the batch of each read-out that has one."""
        return {
            name: float(loss.mean(from_bits(_stepped(logits[name])), labels[name]))
            for name, loss in self.losses.items()
        }

    def last(self, logits: Mapping[str, Bits]) -> dict[str, Bits]:
        """Logits (B, N) of the last step, of each read-out that has a loss."""
        return {name: _stepped(logits[name])[:, -1] for name in self.losses}


def _given(sizes: Mapping[str, int], loss: Loss | Mapping[str, Loss]) -> dict[str, Loss]:
    """By read-out."""
    names = ", ".join(sizes)
    if isinstance(loss, Mapping):
        if not loss:
            raise UserError(f"loss is of no read-out, must be of 1 or more of {names}")
        return dict(loss)
    name = getattr(loss, "readout", None)
    if name is None and len(sizes) > 1:
        raise UserError(
            f"loss is {loss!r} of a network with the read-outs {names}, must be {{name: loss}}, or "
            "name its readout"
        )
    return {next(iter(sizes)) if name is None else name: loss}


def _stepped(logits: Bits) -> Bits:
    """(B, T, N), also of those of the last step, (B, N)."""
    return logits if logits.ndim == 3 else logits[:, None]
