"""The half in PyTorch: bits <-> values, and rounding to the grid of halves.

A half is IEEE binary16 with subnormals, always finite, zero always +0. Inside golden a half is
its value in a float64 tensor, where sums and products of two halves are (nearly) exact; at the
interface it is its pattern in a NumPy uint16 array.
"""

import numpy as np
import torch

from backspike.ir.constants import RANDOM_BITS
from backspike.ir.validation import is_half

NORMAL = 2.0**-14
"""The smallest normal magnitude; below, halves are multiples of SMALLEST."""

_EXPONENT = 0x7FF0_0000_0000_0000  # of a float64's pattern


def from_bits(bits: np.ndarray) -> torch.Tensor:
    """Values of halves: uint16 of any shape -> float64 of the same shape, exactly."""
    return torch.from_numpy(np.ascontiguousarray(bits).view(np.float16).astype(np.float64))


def to_bits(values: torch.Tensor) -> np.ndarray:
    """Patterns of values that are halves already: float64 of any shape -> uint16, same shape."""
    return values.numpy().astype(np.float16).view(np.uint16)


def random_halves(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Halves (float64) with uniformly random patterns, so with every exponent; int64-drawn."""
    bits = torch.randint(0, 0x10000, shape, generator=generator).numpy().astype(np.uint16)
    # What is no half loses its top exponent bit, or the sign of its zero.
    return from_bits(np.where(is_half(bits), bits, bits & 0x3FFF))


def ulp(x: torch.Tensor) -> torch.Tensor:
    """Distance of the halves around x (float64): 2^(exponent - 10), 2^-24 below the normals."""
    power = (x.view(torch.int64) & _EXPONENT).view(torch.float64)
    return power.clamp(min=NORMAL) * 2.0**-10


def nearest(x: torch.Tensor) -> torch.Tensor:
    """x (float64) rounded to a half, ties to even, with an unbounded exponent: no saturation yet.

    Adding 1.5 * 2^52 ulps moves x to where a float64's own ulp is the half's, so the addition
    itself rounds; taking it off again is exact and leaves a zero positive.
    """
    shift = ulp(x) * (1.5 * 2.0**52)
    return (x + shift) - shift


def stochastic(x: torch.Tensor, random: torch.Tensor) -> torch.Tensor:
    """x (float64) rounded to a half up or down by chance, without saturation yet.

    The magnitude is truncated to a half; it is rounded up iff floor(frac * 2^16) + random >= 2^16,
    where frac in [0, 1) is the discarded part in ulps. random: int64 in [0, 2^16), x's shape.
    """
    scale = ulp(x)
    magnitude = x.abs() / scale  # a power of two: exact
    whole = magnitude.floor()
    discarded = ((magnitude - whole) * 2**RANDOM_BITS).floor()
    up = discarded + random >= 2**RANDOM_BITS
    return (whole + up) * scale * x.sign() + 0.0
