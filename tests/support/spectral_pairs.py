"""Pairs of images, and their columns as the spectral unit's engine of passes hands them on."""

from typing import NamedTuple

import torch
from torch import Tensor

from backspike.golden.fft import Words, bit_reversed, fft
from backspike.golden.spectral import Samples, Spectra, align, samples, transform_lines

KINDS = ("noise", "smooth", "checkerboard", "constant", "impulse", "one-sided", "opposite", "steps")
"""Kinds of pairs that `pair` makes; from the third on the pixels are extreme."""


def pair(kind: str, height: int, width: int, seed: int = 1, bits: int = 8) -> Samples:
    """Two images of that kind as samples."""
    random = torch.Generator().manual_seed(seed)
    top = (1 << bits) - 1

    def noise() -> Tensor:
        return torch.randint(top + 1, (height, width), generator=random)

    def smooth() -> Tensor:  # a walk in both directions, as bright places in a photograph are
        walk = torch.randn((height, width), generator=random, dtype=torch.float64)
        walk = walk.cumsum(0).cumsum(1)
        return ((walk - walk.min()) / (walk.max() - walk.min()) * top).round().long()

    row, column = torch.arange(height)[:, None], torch.arange(width)[None]
    zero = torch.zeros((height, width), dtype=torch.int64)
    flat, checker = zero + top, (row + column) % 2 * top
    impulse = zero.clone()
    impulse[height // 3, width // 5] = top
    half, steps = (row < height // 2) * top + zero, column * top // (width - 1) + zero
    image, reference = {
        "noise": (noise, noise),
        "smooth": (smooth, smooth),
        "checkerboard": (lambda: checker, lambda: top - checker),
        "constant": (lambda: zero, lambda: flat),
        "impulse": (lambda: impulse, lambda: top - impulse),
        "one-sided": (lambda: flat, noise),
        "opposite": (lambda: half, lambda: (column % 2) * top + zero),
        "steps": (lambda: steps, lambda: half),
    }[kind]
    return samples(image(), reference(), bits)


class Columns(NamedTuple):
    """Transformed columns, a column a row: words (W, H) in frequencies' order, exponents (W, 1)."""

    words: Words
    exponents: Tensor


def columns(images: Samples) -> Columns:
    """What golden's `spectrum` scales."""
    words, exponents = align(transform_lines(images).transposed())
    return Columns(fft(words), exponents)


def column_order(width: int) -> list[int]:
    """0, 1, W-1, 2, W-2 … W/2."""
    inner = [column for k in range(1, width // 2) for column in (k, width - k)]
    return [0, *inner, width // 2]


def row_order(height: int) -> list[int]:
    """Rows as they leave the transform."""
    return bit_reversed(height).tolist()


def as_sent(part: Tensor) -> Tensor:
    """Of a matrix (H, W): its numbers in the order in which columns and rows are sent, (W H,)."""
    height, width = part.shape
    return part[row_order(height)][:, column_order(width)].mT.flatten()


def as_read(z: Words) -> list[dict]:
    """`pair_layout`'s payloads of a spectrum (H, W): Z[r, k], Z[-r, -k], as `ColumnPairs` reads."""
    height, width = z.re.shape
    rows, columns = -torch.arange(height) % height, -torch.arange(width) % width
    order = [*range(height // 2), *range(height - 1, height // 2 - 1, -1)]

    def numbers(part: Tensor) -> list[int]:
        both = torch.stack([part, part[rows][:, columns]], -1)[order, : width // 2 + 1]
        return both.transpose(0, 1).flatten().tolist()

    marks = places(height, width)
    return [
        {"z": {"re": re, "im": im}, "mirrored": n % 2, "place": marks[n // 2]}
        for n, (re, im) in enumerate(zip(numbers(z.re), numbers(z.im), strict=True))
    ]


def as_parts(halves: tuple[Spectra, Spectra]) -> list[dict]:
    """`parts_layout`'s payloads of a lower and an upper half (H/2, W/2+1).

    Column after column, its lower half, then its upper half; a real part, then the imaginary one.
    """

    def numbers(name: str) -> list[int]:
        parts = [
            torch.cat([getattr(half, f"{name}_{part}") for half in halves]) for part in ("re", "im")
        ]
        return torch.stack(parts, -1).transpose(0, 1).flatten().tolist()

    rows, columns = halves[0].image_re.shape
    marks = places(2 * rows, 2 * (columns - 1))
    return [
        {"image": image, "reference": reference, "imaginary": n % 2, "place": marks[n // 2]}
        for n, (image, reference) in enumerate(
            zip(numbers("image"), numbers("reference"), strict=True)
        )
    ]


def places(height: int, width: int) -> list[dict]:
    """`PLACE`'s marks of each number, column after column, the lower half first."""
    return [
        {
            "start": int(row % (height // 2) == 0),
            "lower": int(row < height // 2),
            "first": int(column == 0),
            "last": int(column == width // 2 and row == height - 1),
        }
        for column in range(width // 2 + 1)
        for row in range(height)
    ]
