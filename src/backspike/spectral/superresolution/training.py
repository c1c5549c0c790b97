"""Training of a super-resolution network, from scratch, in some twenty seconds on two cores.

Luminance of the photographs `TRAIN`; crops taken, turned and mirrored at random; Adam, with a rate
that falls along half a cosine; mean squared error. The same seed, number of threads, release of
PyTorch and kind of processor give the same weights.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss

from backspike.spectral.photographs import TRAIN, grey, photograph
from backspike.spectral.superresolution.networks import make
from backspike.spectral.superresolution.resize import from_bytes, smaller, whole
from backspike.system.progress import progress_bar

STEPS = {"srcnn": 600, "fsrcnn": 900}
THREADS = 2
"""How a sum is spread over threads tells in its last bits."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. patch: pixels a side of the large picture, a multiple of any scale.

    margin: pixels along a patch's border that do not count, as what lies beyond them is unknown:
    so far reach SRCNN's convolutions.
    """

    steps: int
    seed: int = 0
    batch: int = 16
    patch: int = 48
    margin: int = 6
    rate: float = 1e-3


def pixels_to_train_with() -> list[np.ndarray]:
    """Luminance of the photographs `TRAIN`, uint8 (1, H, W)."""
    return [grey(photograph(name)) for name in TRAIN]


def train(
    name: str, scale: int, recipe: Recipe, pixels: list[np.ndarray], bar: bool = False
) -> nn.Module:
    """A trained `srcnn` or `fsrcnn`. pixels: photographs, uint8 (1, H, W).

    bar: show progress on stderr. Draws from generators of its own, seeded by the recipe.
    """
    network = make(name, scale, recipe.seed)
    assert isinstance(network, nn.Module)
    patches = Patches(pixels, scale, recipe)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    inner = (..., *[slice(recipe.margin, recipe.patch - recipe.margin)] * 2)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        progress = progress_bar(range(recipe.steps), desc=f"{name} x{scale}", shown=bar)
        for step in progress:
            optimiser.param_groups[0]["lr"] = rate(recipe, step)
            small, large = patches.draw()
            loss = mse_loss(network(small)[inner], large[inner])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 20 == 0:
                progress.set_postfix(dB=f"{-10 * math.log10(loss.item()):.1f}", refresh=False)
    finally:
        torch.set_num_threads(before)
    return network.eval().requires_grad_(False)


def rate(recipe: Recipe, step: int) -> float:
    """From the recipe's rate down to a twentieth of it, along half a cosine."""
    cosine = math.cos(math.pi * step / recipe.steps)
    return recipe.rate * (0.05 + 0.95 * (1 + cosine) / 2)


class Patches:
    """Crops of photographs, small and large, at random places and in all eight positions."""

    def __init__(self, pixels: list[np.ndarray], scale: int, recipe: Recipe) -> None:
        self.scale, self.side, self.batch = scale, recipe.patch // scale, recipe.batch
        self.large = [from_bytes(whole(each, scale))[0] for each in pixels]
        self.small = [smaller(each[None], scale)[0] for each in self.large]
        self.areas = torch.tensor([float(each.numel()) for each in self.large])
        self.generator = torch.Generator().manual_seed(recipe.seed)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 1, p/s, p/s) and (B, 1, p, p); a photograph counts by its area."""
        chosen = torch.multinomial(self.areas, self.batch, True, generator=self.generator)
        pairs = [self._crop(i) for i in chosen.tolist()]
        small, large = (torch.stack(each) for each in zip(*pairs, strict=True))
        return small, large

    def _crop(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        small, large = self.small[i], self.large[i]
        y, x = (self._integer(size - self.side + 1) for size in small.shape[-2:])
        turns, mirror = divmod(self._integer(8), 2)
        crops = []
        for picture, factor in ((small, 1), (large, self.scale)):
            top, left, side = factor * y, factor * x, factor * self.side
            crop = picture[:, top : top + side, left : left + side].rot90(turns, (1, 2))
            crops.append(crop.flip(2) if mirror else crop)
        return crops[0], crops[1]

    def _integer(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))
