"""How far the inverse of a transform may be from what was transformed: a bound for every value.

The unit's passes are a linear map, of twiddle factors rounded to 2^-16, and roundings on the way.
Both are bounded here; nothing is estimated.

The map. F is a line's transform with rounded factors, F* its inverse's; F* F / N = 1 + D. Of an
image whose parts' magnitudes are up to A, rows and columns together move a value by no more than
((1 + d_W)(1 + d_H) - 1) A, d the greatest sum of magnitudes in a row of D. F is read off the
integer transform itself, of impulses so high that its roundings do not count.

The roundings. A word's unit in a line is U. Magnitudes of a complex number's error are
- aligned: √½ U if bits fall off, else 0;
- rotated: √½ U in each rotation;
- packed by e bits: half a unit of 2^e U in either part, a whole one if it is cut to the greatest
  mantissa, 0 if e = 0.
A rotation that leaves blocks of m points is followed by butterflies that add up m such errors, or,
over a line of N points, make the root of the sum of their squares √m times as large. Rounded
factors enlarge either by 1 + 2^-16.5 each at the most: `SLACK`, for all passes.

Errors of the two forward passes reach a value from everywhere, so the sum of their squares is
followed: a pass over N points makes its root √N times as large, and a value of the inverse has no
more than √(H W) of it. Errors of the third pass reach a value from the same column, where their
magnitudes are added up; those of the fourth are the value's own.
"""

import math

import torch
from torch import Tensor

from backspike.golden.fft import Words, fft
from backspike.golden.spectral import Samples
from backspike.ir.spectral_constants import GUARD, MANTISSA

HALF = math.sqrt(0.5)
ROTATIONS = 4
"""Of a line of 512 points at the most."""
SLACK = (1 + 2.0**-16.5) ** (4 * ROTATIONS)
HIGH = 40
"""log2 of the impulses: what rounding adds to a factor is then below N 2^-HIGH."""


def inverse_bound(image: Samples, passes: list[Samples]) -> Tensor:
    """Greatest |inverse(forward(z)) / (H W) - z| of each value, float64 (H, W), in image units.

    image: the samples z, exponents 0. passes: what they were after each of four passes: forward
    rows and columns, inverse rows and columns; only their exponents and greatest mantissas count.
    """
    height, width = image.re.shape
    before = [image, *passes[:3]]
    columns = [before[n].transposed() if n % 2 else before[n] for n in range(4)]
    after = [passes[n].transposed() if n % 2 else passes[n] for n in range(4)]

    first = total_error(*pass_errors(columns[0], after[0], 0), width)
    second = first * math.sqrt(height) + total_error(*pass_errors(columns[1], after[1], 1), height)
    third = single_errors(*pass_errors(columns[2], after[2], 2), width)
    fourth = single_errors(*pass_errors(columns[3], after[3], 3), height).mT
    points = height * width
    rounded = second * math.sqrt(points) + third.sum(0, keepdim=True) + fourth
    greatest = torch.hypot(image.re.double(), image.im.double()).max()
    return SLACK * rounded / points + (map_shift(height, width) * greatest)


def pass_errors(lines: Samples, result: Samples, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the n-th pass from 0: aligned (lines, N), a rotation's (lines, 1), packed (lines, N)."""
    top = lines.exponent.amax(-1, keepdim=True)
    unit = torch.exp2((top - (n + 1) * GUARD).double())
    aligned = torch.where(top - lines.exponent > GUARD, HALF * unit, 0.0)
    shift = result.exponent - top
    scale = torch.where(shift > 0, unit * torch.exp2(shift.double()), 0.0)
    greatest = (1 << (MANTISSA - 1)) - 1
    parts = [torch.where(part == greatest, 1.0, 0.5) * scale for part in result[:2]]
    return aligned, HALF * unit, torch.hypot(*parts)


def rotation_blocks(points: int) -> list[int]:
    """Points of the blocks that each rotation leaves."""
    return [4**k for k in range(1, 10) if 4**k < points]


def total_error(aligned: Tensor, rotated: Tensor, packed: Tensor, points: int) -> float:
    """Root of the sum of squares of all errors after a pass."""
    rotations = sum(math.sqrt(m * points) for m in rotation_blocks(points))
    line = (
        aligned.norm(dim=-1) * math.sqrt(points) + rotated[:, 0] * rotations + packed.norm(dim=-1)
    )
    return float(line.norm())


def single_errors(aligned: Tensor, rotated: Tensor, packed: Tensor, points: int) -> Tensor:
    """The error of each value after a pass; (lines, N)."""
    return aligned.sum(-1, keepdim=True) + rotated * sum(rotation_blocks(points)) + packed


def map_shift(height: int, width: int) -> float:
    """How far the map of rounded factors moves a value, relative to the greatest."""
    return (1 + map_distance(width)) * (1 + map_distance(height)) - 1


def map_distance(points: int) -> float:
    """The greatest sum of magnitudes in a row of F* F / N - 1."""
    impulses = torch.eye(points, dtype=torch.int64) << HIGH
    out = fft(Words(impulses, torch.zeros_like(impulses)))
    f = torch.complex(out.re.double(), out.im.double()).mT / 2.0**HIGH  # (frequency, point)
    d = f.conj() @ f / points - torch.eye(points)
    read = 2 * points**2 * 2.0**-HIGH  # what the roundings in reading F may add
    return float(d.abs().sum(-1).max()) + read
