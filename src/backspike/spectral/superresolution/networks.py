"""SRCNN and FSRCNN, and the two interpolations that they are compared with.

All take luminance (N, 1, h, w), 0..1, to (N, 1, s·h, s·w). Where they start from matters, since
they are trained for seconds: weights are random as PyTorch has them, but channel 0 hands the
picture on unchanged, so that a network begins as an interpolation and learns what is missing.
"""

from collections.abc import Callable

import torch
from torch import nn

from backspike.golden.hyra import RADIUS, ideal_low_pass, linear_part
from backspike.ir.errors import UserError
from backspike.spectral.superresolution.resize import bicubic

SCALES = (2, 3, 4)
TRAINED = ("srcnn", "fsrcnn")
NETWORKS = (*TRAINED, "bicubic", "sinc")


class SRCNN(nn.Module):
    """SRCNN 9-1-5 (arXiv 1501.00092): three convolutions on the bicubically enlarged picture.

    64 and 32 channels, as published. Beyond the borders all are zero.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.patches = nn.Conv2d(1, 64, 9, padding=4)
        self.mapping = nn.Conv2d(64, 32, 1)
        self.reconstruction = nn.Conv2d(32, 1, 5, padding=2)
        for layer in (self.patches, self.mapping):
            _hand_on(layer)
        _add_little(self.reconstruction)
        _hand_on(self.reconstruction)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = self.patches(bicubic(picture, self.scale)).relu()
        return self.reconstruction(self.mapping(x).relu())


class FSRCNN(nn.Module):
    """FSRCNN(56, 12, 4) (arXiv 1608.00367), as published: works on the small picture; the last
    layer, a transposed convolution of 9 x 9, enlarges it.

    Its channel 0 begins as linear interpolation, which is as far as 9 pixels reach at scale 4.
    """

    def __init__(self, scale: int, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__()
        shape = [(1, d, 5), (d, s, 1), *[(s, s, 3)] * m, (s, d, 1)]
        layers: list[nn.Module] = []
        for i, o, kernel in shape:
            convolution = nn.Conv2d(i, o, kernel, padding=kernel // 2)
            _hand_on(convolution)
            layers += [convolution, nn.PReLU(o)]
        self.body = nn.Sequential(*layers)
        # So much is cut off that a pixel's 9 x 9 lie about the middle of its block.
        padding = 4 - (scale - 1) // 2
        rest = scale + 2 * padding - 9
        self.enlarge = nn.ConvTranspose2d(
            d, 1, 9, stride=scale, padding=padding, output_padding=rest
        )
        _add_little(self.enlarge)
        away = (torch.arange(9) - padding - (scale - 1) / 2).abs()
        linear = (1 - away / scale).clamp(min=0)
        with torch.no_grad():
            self.enlarge.weight[0, 0] = linear[:, None] * linear

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.enlarge(self.body(picture))


class Bicubic:
    """Bicubic interpolation."""

    def __init__(self, scale: int) -> None:
        self.scale = scale

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        return bicubic(picture, self.scale)


class Sinc:
    """The ideal low-pass filter, cut off without a window at 31 pixels of the small picture.

    Then what a pixel gets from all others together is not quite 1; it is made so for each place in
    a block, that a flat picture stays flat. Beyond its borders the picture is mirrored.
    """

    # One less than an impulse's picture reaches: its mirror images stay out of its response.
    radius = RADIUS - 1

    def __init__(self, scale: int) -> None:
        self.scale = scale
        kernel = ideal_low_pass(scale, self.radius)
        blocks = kernel.unflatten(1, (-1, scale)).unflatten(0, (-1, scale))
        self.kernel = (blocks / blocks.sum((0, 2), keepdim=True)).reshape(kernel.shape)

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        return linear_part(picture, self.kernel[None, None], self.scale).to(picture.dtype)


def make(name: str, scale: int, seed: int = 0) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network called `name`; weights, if it has any, as they are before training.

    Draws from a generator of its own. Raises UserError.
    """
    check_choice(name, scale)
    kinds = {"srcnn": SRCNN, "fsrcnn": FSRCNN, "bicubic": Bicubic, "sinc": Sinc}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kinds[name](scale)


def check_choice(name: str, scale: int) -> None:
    """UserError unless there is a network of that name for that scale."""
    if name not in NETWORKS:
        raise UserError(f"network is {name!r}, must be {', '.join(NETWORKS)}")
    if scale not in SCALES:
        raise UserError(f"scale is {scale}, must be {', '.join(map(str, SCALES))}")


@torch.no_grad()
def _hand_on(layer: nn.Conv2d) -> None:
    """Let output channel 0 be input channel 0, and no layer add a constant."""
    middle = layer.kernel_size[0] // 2
    nn.init.zeros_(layer.weight[0])
    layer.weight[0, 0, middle, middle] = 1
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def _add_little(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Let a last layer's other channels begin with a tenth of what they would add."""
    layer.weight *= 0.1
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
