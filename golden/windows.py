"""Populations seen through a connection's window: what each target pixel sums, and the way back.

Shapes: K taps of a target (a bias is one more, the last), P pixels and N channels of the target,
before them samples and steps in any form. Planes are flattened as PyTorch flattens (C, H, W).
"""

import torch
from torch.nn.functional import pad

from backspike.ir.window import Window


def gather(window: Window, spikes: torch.Tensor) -> torch.Tensor:
    """(..., P, K): the sources of each target pixel, from a population (..., C·H·W). Of a pool it
    is their number, or, averaged, that times a power of two: exact. A bias is 1."""
    channels, rows, columns = window.source
    planes = spikes.reshape(-1, channels, rows, columns)
    if window.pool_size > 1:
        (h, w), (py, px) = window.pooled, window.pool
        planes = planes[:, :, : h * py, : w * px]
        planes = planes.reshape(-1, channels, h, py, w, px).sum((3, 5))
        if window.average:
            planes = planes / window.pool_size
    (above, left), (down, right) = window.padding, window.stride
    if above or left:
        planes = pad(planes, (left, left, above, above))
    seen = planes.unfold(2, window.kernel[0], down).unfold(3, window.kernel[1], right)
    pixels = window.pixels[0] * window.pixels[1]
    seen = seen.permute(0, 2, 3, 1, 4, 5).reshape(*spikes.shape[:-1], pixels, window.taps)
    return pad(seen, (0, 1), value=1.0) if window.bias else seen


def backwards(window: Window, weights: torch.Tensor) -> torch.Tensor:
    """(N, K), a bias left out, of weights (K, N): the taps of a pixel next to each other."""
    channels = window.source[0]
    return weights[: window.taps].T.reshape(-1, channels, *window.kernel).movedim(1, 3).flatten(1)


def scatter(window: Window, sums: torch.Tensor) -> torch.Tensor:
    """The transpose of `gather`: (..., C·H·W), each source's sum over all windows that it is in,
    from (..., P, K), where K is in the order of `backwards`."""
    channels, rows, columns = window.source
    (h, w), (py, px), (above, left) = window.pooled, window.pool, window.padding
    (y, x), (down, right) = window.pixels, window.stride
    seen = sums.reshape(-1, y, x, *window.kernel, channels)
    planes = sums.new_zeros(len(seen), h + 2 * above, w + 2 * left, channels)
    for dy in range(window.kernel[0]):
        for dx in range(window.kernel[1]):
            at = planes[:, dy : dy + down * y : down, dx : dx + right * x : right]
            at += seen[:, :, :, dy, dx]
    planes = planes[:, above : above + h, left : left + w].movedim(3, 1)
    if window.pool_size > 1:
        if window.average:
            planes = planes / window.pool_size
        planes = planes.repeat_interleave(py, 2).repeat_interleave(px, 3)
        planes = pad(planes, (0, columns - w * px, 0, rows - h * py))
    return planes.reshape(*sums.shape[:-2], channels * rows * columns)


def to_pixels(window: Window, targets: torch.Tensor) -> torch.Tensor:
    """(..., P, N) from a population (..., N·P)."""
    return targets.reshape(*targets.shape[:-1], window.channels, -1).mT


def from_pixels(sums: torch.Tensor) -> torch.Tensor:
    """(..., N·P) from (..., P, N)."""
    return sums.mT.flatten(-2)
