"""Losses from logits' bits, each written once more, for comparison with `train.losses`."""

import numpy as np
import torch

from backspike.golden.half import from_bits
from backspike.ir.bits import Bits


def cross_entropy(logits: Bits, labels: np.ndarray) -> float:
    """Mean over the batch of -log softmax(o)[label]."""
    loss = torch.nn.functional.cross_entropy(
        from_bits(logits), torch.from_numpy(labels.astype(np.int64))
    )
    return float(loss)


def squared(logits: Bits, labels: np.ndarray, alpha: float) -> float:
    """Mean over the batch of 1/2 Σ_j (α o_j - onehot_j)², the loss of rule `mse`.

    Its gradient with respect to o is α (α o - onehot); the constant α is left to the rate.
    """
    o = alpha * from_bits(logits)
    onehot = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), o.shape[1])
    return float(((o - onehot) ** 2).sum(1).mean() / 2)
