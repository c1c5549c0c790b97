"""Losses on the host: the error that is fed back, and what is reported. All from logits' bits.

Everything is computed in float64. Only `cross_entropy_error` reaches hardware; it is computed
once a batch and given to every backend, so backends cannot differ in it.
"""

import numpy as np
import torch

from backspike.backend import Bits
from backspike.golden.half import from_bits, nearest, to_bits


def cross_entropy_error(logits: Bits, labels: np.ndarray) -> Bits:
    """e = round(softmax(o) - onehot): logits uint16 (B, N), labels int64 (B,) -> uint16 (B, N).

    The difference is taken in float64, whose own error of about 2^-53 is the definition's.
    """
    o = from_bits(logits)
    onehot = torch.nn.functional.one_hot(torch.from_numpy(labels), o.shape[1])
    return to_bits(nearest(torch.softmax(o, dim=1) - onehot))


def cross_entropy(logits: Bits, labels: np.ndarray) -> float:
    """Mean over the batch of -log softmax(o)[label]."""
    loss = torch.nn.functional.cross_entropy(from_bits(logits), torch.from_numpy(labels))
    return float(loss)


def squared(logits: Bits, labels: np.ndarray, alpha: float) -> float:
    """Mean over the batch of 1/2 Σ_j (α o_j - onehot_j)², the loss of rule `mse`.

    Its gradient with respect to o is α (α o - onehot); the constant α is left to the rate.
    """
    o = alpha * from_bits(logits)
    onehot = torch.nn.functional.one_hot(torch.from_numpy(labels), o.shape[1])
    return float(((o - onehot) ** 2).sum(1).mean() / 2)


def accuracy(logits: Bits, labels: np.ndarray) -> float:
    """Share of samples, 0 to 1, whose largest logit (the first of equals) is the label's."""
    return float((from_bits(logits).argmax(1).numpy() == labels).mean())
