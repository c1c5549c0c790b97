"""The squared error, and the update of weights; they run in either arithmetic.

All tensors are float64. `a.round` is the identity in the arithmetic `Reals`.
"""

import torch

from backspike.golden.arithmetic import Arithmetic
from backspike.ir.learning import Learning


def squared_error(
    a: Arithmetic, logits: torch.Tensor, labels: torch.Tensor, alpha: float
) -> torch.Tensor:
    """The read-out's error for the mean squared loss: e = round(α o - onehot), (B, N)."""
    onehot = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return a.round(alpha * logits, -onehot)


def moment(
    a: Arithmetic, learning: Learning, moment: torch.Tensor, gradient: torch.Tensor
) -> torch.Tensor:
    """m_kj = round(μ m_kj + d_kj), (K, N): what takes the gradient's place with momentum."""
    return a.round(learning.momentum * moment, gradient)


def update(
    a: Arithmetic,
    learning: Learning,
    weights: torch.Tensor,
    gradient: torch.Tensor,
    random: torch.Tensor | None = None,
) -> torch.Tensor:
    """w_kj = round(w_kj - η d_kj), (K, N); random (K, N) for stochastic rounding."""
    return a.round(weights, -learning.rate * gradient, random=random)
