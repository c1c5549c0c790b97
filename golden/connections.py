"""Kinds of connections, forward and back; they run in either arithmetic.

Shapes: K sources (a bias is the last one), N targets, before them samples and steps in any form.
Tensors are float64; spikes are 0 or 1. Sums come as terms that the population adds and rounds.
"""

import torch

from backspike.golden.arithmetic import Arithmetic
from backspike.golden.exact import Terms
from backspike.ir.connection import Dense, Identity, Kind


def sources(kind: Kind, spikes: torch.Tensor) -> torch.Tensor:
    """(..., K) from a population's spikes: a bias spikes in every step."""
    bias = isinstance(kind, Dense) and kind.bias
    return torch.nn.functional.pad(spikes, (0, 1), value=1.0) if bias else spikes


def current(a: Arithmetic, kind: Kind, weights: torch.Tensor | None, spikes: torch.Tensor) -> Terms:
    """Dense Σ_k w_kj s_k, identity scale · s_j: terms of (..., N) from spikes of a population."""
    if isinstance(kind, Identity):
        return (kind.scale * spikes,)
    assert weights is not None
    return a.gated_sum(sources(kind, spikes), weights)


def errors(
    a: Arithmetic, kind: Kind, weights: torch.Tensor | None, gradients: torch.Tensor
) -> Terms:
    """Dense Σ_j w_kj g_j, identity scale · g_k: terms of (..., K without bias) from (..., N)."""
    if isinstance(kind, Identity):
        return (kind.scale * gradients,)
    assert weights is not None
    inner = weights[: len(weights) - kind.bias]
    return a.product_sum(gradients, inner.T)


def weight_gradient(
    a: Arithmetic, kind: Kind, spikes: torch.Tensor, gradients: torch.Tensor
) -> torch.Tensor:
    """d_kj = round(Σ_b Σ_t s_k,t g_j,t), (K, N), over the whole batch; (..., K or N) both."""
    s = sources(kind, spikes)
    return a.round(*a.gated_sum(s.flatten(0, -2).T, gradients.flatten(0, -2)))
