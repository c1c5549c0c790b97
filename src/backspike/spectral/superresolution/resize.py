"""Pictures made smaller and larger. All are float32 (N, 1, H, W), luminance in 0..1."""

import numpy as np
import torch
from torch.nn.functional import interpolate


def from_bytes(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (1, H, W) -> (1, 1, H, W)."""
    return torch.from_numpy(pixels.astype(np.float32))[None] / 255


def to_bytes(picture: torch.Tensor) -> np.ndarray:
    """(1, 1, H, W) -> uint8 (1, H, W): rounded, what is below black or above white cut off."""
    return (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def whole(pixels: np.ndarray, scale: int) -> np.ndarray:
    """(C, H, W) without the last rows and columns that are no multiple of the scale."""
    height, width = pixels.shape[-2:]
    return pixels[..., : height // scale * scale, : width // scale * scale]


def middle(pixels: np.ndarray, side: int) -> np.ndarray:
    """(C, H, W) without what is more than `side` pixels wide or high, half of it on each side."""
    top, left = (max(size - side, 0) // 2 for size in pixels.shape[-2:])
    return pixels[..., top : top + side, left : left + side]


def smaller(picture: torch.Tensor, scale: int) -> torch.Tensor:
    """(N, 1, s·h, s·w) -> (N, 1, h, w): antialiased bicubic, in 256 steps as a file has them."""
    small = interpolate(picture, scale_factor=1 / scale, mode="bicubic", antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


def bicubic(picture: torch.Tensor, scale: int) -> torch.Tensor:
    """(N, 1, h, w) -> (N, 1, s·h, s·w): Keys' cubic convolution, a = -1/2, as Pillow has it."""
    # Enlarging needs no antialiasing. PyTorch takes a = -1/2 with it, and -3/4 without.
    return interpolate(picture, scale_factor=scale, mode="bicubic", antialias=True)
