"""A simulated spectral unit, and pairs of images that try its arithmetic."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from backspike.drive.spectral_backend import SpectralRTL
from backspike.gen.spectral.machine import SpectralMachine


@contextmanager
def opened(machine: SpectralMachine) -> Iterator[SpectralRTL]:
    unit = SpectralRTL(machine)
    try:
        yield unit
    finally:
        unit.close()


def kinds(height: int, width: int, bits: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of images, int64 (H, W) of so many bits, by what is in them."""
    g = torch.Generator().manual_seed(seed)
    top, shape = (1 << bits) - 1, (height, width)

    def noise() -> Tensor:
        return torch.randint(0, top + 1, shape, generator=g)

    faint = torch.randint(-1, 2, shape, generator=g)
    checks = (torch.arange(height)[:, None] + torch.arange(width)) % 2 * top
    one = torch.zeros(shape, dtype=torch.int64)
    one[-1, 3] = top
    return {
        "noise": (noise(), noise()),
        "black and white": (noise() // (top // 2 + 1) * top, noise() // (top // 2 + 1) * top),
        "faint": (top // 2 + faint, top // 2 + faint.flip(0)),
        "a checkerboard and its negative": (checks, top - checks),
        "one pixel and none": (one, torch.zeros_like(one)),
    }
