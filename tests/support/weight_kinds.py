"""Weights that are hard to add up: kinds of uint16 patterns (K, N)."""

import numpy as np
import torch

from backspike.golden.half import nearest, random_halves, to_bits, ulp
from backspike.ir.constants import SMALLEST


def ties(shape: tuple[int, int], g: torch.Generator) -> np.ndarray:
    """Columns of a number, half of its last place, the smallest half, and zeros: sums a 2^-24
    beside the middle of two halves, which to round to float32 first, or in parts, is to lose."""
    w = torch.zeros(shape, dtype=torch.float64)
    w[0] = nearest(1 + 3 * torch.rand(shape[1], generator=g).double())
    for k, row in enumerate((ulp(w[0]) / 2, SMALLEST * signs((shape[1],), g)), 1):
        w[k : k + 1] = row
    return to_bits(w[torch.randperm(shape[0], generator=g)] * signs((shape[1],), g) + 0.0)


def signs(shape: tuple[int, ...], g: torch.Generator) -> torch.Tensor:
    """1 or -1."""
    return 1 - 2 * torch.randint(0, 2, shape, generator=g)


def largest(shape: tuple[int, int], g: torch.Generator) -> np.ndarray:
    """The three largest magnitudes, of either sign."""
    magnitudes = 0x7BFF - torch.randint(0, 3, shape, generator=g)
    return (magnitudes + 0x8000 * torch.randint(0, 2, shape, generator=g)).numpy().astype(np.uint16)


def _tiny(shape: tuple[int, int], g: torch.Generator) -> np.ndarray:
    bits = to_bits(random_halves(shape, g)) & 0x83FF
    return np.where(bits == 0x8000, 0, bits).astype(np.uint16)


WEIGHTS = {
    "ordinary": lambda shape, g: to_bits(torch.randn(shape, generator=g) / 2),
    "extreme": lambda shape, g: to_bits(random_halves(shape, g)),
    "tiny": _tiny,
    "largest": largest,
    "ties": ties,
}
