"""Rate coding: pixels into spikes, without randomness."""

import numpy as np

from backspike.ir.errors import UserError


def rate_code(pixels: np.ndarray, steps: int) -> np.ndarray:
    """Spikes of `pixels` over `steps` time steps.

    A pixel p spikes in n = floor(p · T + 1/2) of T steps, spread as evenly as integers allow:
    s_t = floor((t + 1) n / T) - floor(t n / T), so the last step always spikes if any does.

    pixels: float (B, inputs) within 0..1. Returns uint8 (B, T, inputs).
    """
    if steps < 1:
        raise UserError(f"steps is {steps}, must be 1 or more")
    if pixels.ndim != 2:
        raise UserError(f"pixels have the shape {pixels.shape}, must have (samples, inputs)")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise UserError(
            f"pixels span {pixels.min():g} to {pixels.max():g}, must be finite and within 0..1"
        )
    n = np.floor(pixels * steps + 0.5).astype(np.int64)[:, None, :]
    t = np.arange(steps)[:, None]
    return ((t + 1) * n // steps - t * n // steps).astype(np.uint8)
