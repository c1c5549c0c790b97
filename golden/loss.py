"""On the host, from logits' bits: the error of cross-entropy that is fed back, and accuracy.

Everything is computed in float64. Only `cross_entropy_error` reaches hardware; it is computed
once a batch and given to every backend, so backends cannot differ in it. It is made of additions,
multiplications and divisions alone, in a fixed order, because those give the same bits on every
machine and library functions do not.
"""

import math

import numpy as np
import torch

from backspike.golden.half import from_bits, nearest, to_bits
from backspike.ir.bits import Bits

_LN2_HIGH = 0xB17217F7D * 2.0**-36
"""ln 2 to 36 bits: its product with k, 11 bits, is exact."""
_LN2_LOW = 1.6465949582897082e-12


def cross_entropy_error(logits: Bits, labels: np.ndarray) -> Bits:
    """e = round(softmax(o) - onehot): logits uint16 (B, N), labels int64 (B,) -> uint16 (B, N).

    softmax and difference are float64; what `exponential` and a sum from left to right give for
    them is the definition.
    """
    return to_bits(nearest(softmax_error(from_bits(logits), labels)))


def softmax_error(o: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """softmax(o) - onehot before it is rounded: float64 (B, N), labels int64 (B,) -> (B, N)."""
    onehot = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), o.shape[1])
    powers = exponential(o - o.max(1, keepdim=True).values)
    total = sum(powers.unbind(1), torch.zeros(len(o), dtype=torch.float64))
    return powers / total.unsqueeze(1) - onehot


def exponential(x: torch.Tensor) -> torch.Tensor:
    """exp(x) for x <= 0, float64, within 4 ulps down to -700 and constant below.

    x = k ln 2 + r with |r| <= ln 2 / 2; exp(r) by its Taylor series up to r^13, whose remainder
    is below 2^-57; times 2^k, made as a bit pattern.
    """
    x = x.clamp(min=-700.0)  # exp(-700) is 2^-1010, still normal, and nothing beside a half
    k = (x / math.log(2)).round()
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = torch.full_like(x, 1 / math.factorial(13))
    for n in reversed(range(13)):
        series = series * r + 1 / math.factorial(n)
    return series * ((k.long() + 1023) << 52).view(torch.float64)


def accuracy(logits: Bits, labels: np.ndarray) -> float:
    """Share of samples, 0 to 1, whose largest logit (the first of equals) is the label's."""
    return float((from_bits(logits).argmax(1).numpy() == labels).mean())
