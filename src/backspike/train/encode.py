"""Encoders: numbers of 0..1 into spikes, without randomness."""

import math
from typing import Any

import numpy as np

from backspike.ir.checks import is_finite, whole
from backspike.ir.errors import UserError
from backspike.ir.graph import MAX_BITS
from backspike.train.arrays import as_array
from backspike.train.coding import rate_code


def rate(x: Any, steps: int) -> np.ndarray:
    """Each number p spikes in ⌊p T + ½⌋ of T steps, spread evenly: see `rate_code`.

    x: NumPy array or tensor (B, *shape) of 0..1. Returns uint8 (B, T, *shape). Raises UserError.
    """
    x = _checked(x, steps)
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    return rate_code(flat, steps).reshape(len(x), steps, *x.shape[1:])


def direct(x: Any, steps: int, threshold: float = 0.5, *, bits: int = 1) -> np.ndarray:
    """The same frame in each step: a spike where a number is `threshold` or more; for a graded
    input of more bits ⌊p (2^bits - 1) + ½⌋, and no threshold.

    x, result and errors as of `rate`.
    """
    x = _checked(x, steps)
    if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= MAX_BITS:
        raise UserError(f"bits is {bits!r}, must be a whole number from 1 to {MAX_BITS}")
    if bits > 1:
        if threshold != 0.5:
            raise UserError(f"threshold is {threshold!r} beside bits {bits}, must be left out")
        levels = np.floor(x * (2**bits - 1) + 0.5).astype(np.uint8)
        return np.repeat(levels[:, None], steps, axis=1)
    if isinstance(threshold, bool) or not is_finite(threshold):
        raise UserError(f"threshold is {threshold!r}, must be a finite number")
    return np.repeat((x >= threshold).astype(np.uint8)[:, None], steps, axis=1)


def latency(x: Any, steps: int) -> np.ndarray:
    """One spike, earlier for larger numbers: p > 0 spikes in step ⌊(1 - p) (T - 1) + ½⌋, 0 never.

    x, result and errors as of `rate`.
    """
    x = _checked(x, steps)
    at = np.floor((1 - x) * (steps - 1) + 0.5).astype(np.int64)[:, None]
    t = np.arange(steps).reshape(steps, *[1] * (x.ndim - 1))
    return ((t == at) & (x > 0)[:, None]).astype(np.uint8)


def _checked(x: Any, steps: int) -> np.ndarray:
    """x as float64 (B, *shape)."""
    whole("steps", steps)
    found = as_array("x is", x)
    if found.dtype.kind not in "buif":
        raise UserError(f"x is of {found.dtype}, must be of real numbers")
    if found.ndim < 2:
        raise UserError(f"x has the shape {found.shape}, must have (samples, ...)")
    found = found.astype(np.float64)
    if found.size and not (found.min() >= 0 and found.max() <= 1):
        raise UserError(
            f"x spans {found.min():g} to {found.max():g}, must be finite and within 0..1"
        )
    return found
