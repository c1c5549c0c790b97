"""Pictures that tests make."""

import numpy as np


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of slow waves, uint8 (1, H, W)."""
    g, (y, x) = np.random.default_rng(seed), np.mgrid[:height, :width]
    waves = sum(
        np.cos(a * y + b * x + c)
        for a, b, c in zip(*g.uniform(-0.15, 0.15, (2, 6)), g.uniform(0, 6, 6), strict=True)
    )
    return np.round(128 + 20 * waves).astype(np.uint8)[None]
