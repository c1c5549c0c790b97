"""The spectral unit's arithmetic: 2-D transforms in block floating point, and FSDS's sums.

Definition of FSDS: arXiv 2405.07919; `backspike.golden.fsds` is its float64 form. Here two real
images are transformed at once, z = image + j reference, on raw pixels less mid-scale. The spectra
are separated by symmetry, cumulated and squared in exact integers, so that the transform's rounding
is the only error. Mean and deviation enter at the end, from sums of pixels: taking the mean off the
pixels changes one number of the spectrum, the one at frequency 0.

An image is a matrix of H rows and W columns, powers of two from 8 on; integers are int64.
"""

import math
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from typing import NamedTuple

import torch
from torch import Tensor

from backspike.golden.fft import Words, fft, inverse, normalise, round_shift
from backspike.ir.spectral_constants import DROPPED, GUARD, MANTISSA, WIDTH

UNIT = DROPPED - 2 * GUARD - 1
"""The spectral sums' unit is 2^UNIT of a sample's: one less than `spectrum`'s, for `separate`."""
DIGITS = 60
"""Decimal digits of the last few operations: the logarithm's argument is a small difference."""


class Samples(NamedTuple):
    """Complex numbers in block floating point: (re + j im) 2^exponent; (H, W) int64 each.

    re, im: mantissas of MANTISSA bits; exponent: 0 or more.
    """

    re: Tensor
    im: Tensor
    exponent: Tensor

    def transposed(self) -> "Samples":
        return Samples(*(part.mT for part in self))


class Spectra(NamedTuple):
    """Two images' spectra, real and imaginary part of each; int64 of equal shapes."""

    image_re: Tensor
    image_im: Tensor
    reference_re: Tensor
    reference_im: Tensor


@dataclass(frozen=True)
class Sums:
    """What the unit finds of one pair of images (of one channel): exact integers.

    Spectral sums are over both halves' cumulative spectra, without frequency 0, in units of 2^UNIT
    (squares of 4^UNIT): saa of |cA|^2 (image), sbb of |cB|^2 (reference), sab of Re(cA conj cB);
    ta and tb of Re cA and Re cB, over the lower half only. Pixel sums, in units of a sample: x of
    the image, y of the reference, of squares xx and yy, of products xy.
    """

    saa: int
    sbb: int
    sab: int
    ta: int
    tb: int
    x: int
    y: int
    xx: int
    yy: int
    xy: int

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def samples(image: Tensor, reference: Tensor, bits: int) -> Samples:
    """Two images (H, W) of pixels 0 … 2^bits - 1 (bits 8 or 16), less mid-scale, at full scale."""
    middle, scale = 1 << (bits - 1), MANTISSA - bits
    re, im = ((pixels.long() - middle) << scale for pixels in (image, reference))
    return Samples(re, im, torch.zeros_like(re))


def align(lines: Samples) -> tuple[Words, Tensor]:
    """Words of WIDTH bits for each line (last dimension), and the lines' exponents (…, 1).

    A line's exponent E is its samples' greatest; a word is m 2^(e - E + GUARD), rounded. A word's
    unit is 2^(E - GUARD).
    """
    line = lines.exponent.amax(-1, keepdim=True)
    shift = (line - lines.exponent).clamp(max=WIDTH)  # from WIDTH on all round to 0
    return Words(*(round_shift(part << GUARD, shift) for part in lines[:2])), line


def pack(words: Words, line: Tensor) -> Samples:
    """A transformed line as samples, in units of 2^-GUARD: exponents count on from the line's."""
    mantissas, shift = normalise(words, MANTISSA)
    return Samples(*mantissas, shift + line)


def transform_lines(lines: Samples, *, back: bool = False) -> Samples:
    """One pass: the transform (`back`: N times the inverse) of each line, in units of 2^-GUARD."""
    words, line = align(lines)
    return pack(inverse(words) if back else fft(words), line)


def transform(image: Samples, *, back: bool = False) -> Samples:
    """2-D transform (`back`: H W times the inverse): rows, then columns; units of 2^-(2 GUARD)."""
    rows = transform_lines(image, back=back)
    return transform_lines(rows.transposed(), back=back).transposed()


def values(result: Samples, *, passes: int = 2) -> Tensor:
    """The numbers that samples stand for after so many passes; complex128."""
    scale = torch.exp2((result.exponent - passes * GUARD).double())
    return torch.complex(result.re * scale, result.im * scale)


def spectrum(pair: Samples) -> Words:
    """The transform of a pair on one scale, without frequency 0: (H, W) integers.

    A column's transform is in units of 2^(E - 2 GUARD), E the column's exponent; the spectrum is
    rounded to units of 2^(DROPPED - 2 GUARD), a 16th of an 8-bit pixel's.
    """
    words, column = align(transform_lines(pair).transposed())
    transformed = fft(words)
    left, right = (column - DROPPED).clamp(min=0), (DROPPED - column).clamp(min=0)
    scaled = [round_shift(part << left, right).mT.clone() for part in transformed]
    for part in scaled:
        part[0, 0] = 0
    return Words(*scaled)


def separate(z: Words) -> Spectra:
    """Twice the spectra of two real images from that of image + j reference: columns 0 … W/2.

    2 A = Z[r, k] + conj Z[-r, -k] and 2 B = (Z[r, k] - conj Z[-r, -k]) / j.
    """
    height, width = z.re.shape
    rows, columns = -torch.arange(height) % height, -torch.arange(width) % width
    mirrored = Words(*(part[rows][:, columns] for part in z))
    spectra = (
        z.re + mirrored.re, z.im - mirrored.im, z.im + mirrored.im, mirrored.re - z.re
    )  # fmt: skip
    return Spectra(*(part[:, : width // 2 + 1] for part in spectra))


def halves(spectra: Spectra) -> tuple[Spectra, Spectra]:
    """The lower half of the rows, and the upper half in reversed order: (H/2, W/2 + 1) each."""
    middle = spectra.image_re.shape[0] // 2
    return (
        Spectra(*(part[:middle] for part in spectra)),
        Spectra(*(part[middle:].flip(0) for part in spectra)),
    )


def cumulate(half: Spectra) -> Spectra:
    """2-D cumulative sums from the first row and column on."""
    return Spectra(*(part.cumsum(0).cumsum(1) for part in half))


def exact_sum(left: Tensor, right: Tensor) -> int:
    """The sum of left * right, exact: |left| and |right| below 2^40, up to 2^20 of them."""
    total = 0
    for n, x in enumerate((left & 0xFFFFF, left >> 20)):
        for k, y in enumerate((right & 0xFFFFF, right >> 20)):
            products = (x * y).flatten()  # below 2^40 in magnitude, so the sum is below 2^60
            total += int(products.sum()) << (20 * (n + k))
    return total


def sums(pair: Samples) -> Sums:
    """All the unit finds of a pair of images; see `Sums`."""
    lower, upper = (cumulate(half) for half in halves(separate(spectrum(pair))))
    x, y = pair.re, pair.im
    return Sums(
        saa=_energy(lower[:2], lower[:2]) + _energy(upper[:2], upper[:2]),
        sbb=_energy(lower[2:], lower[2:]) + _energy(upper[2:], upper[2:]),
        sab=_energy(lower[:2], lower[2:]) + _energy(upper[:2], upper[2:]),
        ta=int(lower.image_re.sum()),
        tb=int(lower.reference_re.sum()),
        x=int(x.sum()),
        y=int(y.sum()),
        xx=exact_sum(x, x),
        yy=exact_sum(y, y),
        xy=exact_sum(x, y),
    )


def _energy(u: tuple[Tensor, ...], v: tuple[Tensor, ...]) -> int:
    """Σ Re(u conj v) of complex numbers in parts."""
    return sum(exact_sum(p, q) for p, q in zip(u, v, strict=True))


def similarity(channels: list[Sums], height: int, width: int) -> float:
    """FSDS in dB from the sums of each channel's pair of images, height x width.

    Exact integers until the deviations' square root. +inf if the images are equal but for
    brightness and contrast. Raises ValueError naming an image without contrast.
    """
    points = height * width
    n = len(channels) * points
    total = sum(channels[1:], start=channels[0])
    # n (n - 1) times variances and covariance: integers.
    image, reference = n * total.xx - total.x**2, n * total.yy - total.y**2
    covariance = n * total.xy - total.x * total.y
    for name, variance in (("image", image), ("reference", reference)):
        if variance == 0:
            raise ValueError(f"the {name} has no contrast: FSDS divides by its deviation")
    if covariance > 0 and covariance**2 == image * reference:
        return math.inf
    aa = bb = ab = 0
    terms = height // 2 * (width // 2 + 1)
    for part in channels:
        # n times frequency 0 of the channel less the mean of all; it is in all sums of the lower
        # half, and in none of the upper.
        p, q = n * part.x - points * total.x, n * part.y - points * total.y
        aa += _with_offset(part.saa, part.ta, part.ta, p, p, n, terms)
        bb += _with_offset(part.sbb, part.tb, part.tb, q, q, n, terms)
        ab += _with_offset(part.sab, part.ta, part.tb, p, q, n, terms)
    with localcontext(prec=DIGITS):
        gain = Decimal(reference) / Decimal(image)
        ratio = 1 + (aa * gain - 2 * ab * gain.sqrt()) / bb
        return float(-10 * ratio.log10()) if ratio > 0 else math.inf


def _with_offset(total: int, s: int, t: int, p: int, q: int, n: int, terms: int) -> int:
    """n² Σ Re((u + p/n) conj(v + q/n)) over `terms` cumulative sums, from their Σ Re u conj v.

    s = Σ Re u, t = Σ Re v. total, s and t are in units of 2^UNIT.
    """
    return (n * n * total << 2 * UNIT) + (n * (q * s + p * t) << UNIT) + terms * p * q
