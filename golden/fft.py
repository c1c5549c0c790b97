"""The fixed-point Fourier transform of a line: what the streaming FFT computes, bit for bit.

Radix-2² decimation in frequency (He and Torkelson, "A new approach to pipeline FFT processor",
1996): a butterfly over blocks of b points, for b = N, N/2 … 2, and between two of them either a
quarter turn or a rotation by a twiddle factor. Butterflies are exact: a word gains a bit in each.
The only rounding is a rotation's.

Numbers are integers, int64, the real and the imaginary part in a tensor each; a line is the last
dimension, of N = 8, 16, 32 … points.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from backspike.ir.constants import ceil_div
from backspike.ir.spectral_constants import TWIDDLE_FRACTION


class Words(NamedTuple):
    """Complex integers: the parts `re` and `im`, int64 of equal shapes."""

    re: Tensor
    im: Tensor


def round_shift(x: Tensor, shift: Tensor | int) -> Tensor:
    """x / 2^shift rounded to the nearest integer, halves up; shift >= 0."""
    shift = torch.as_tensor(shift, dtype=torch.int64)
    half = torch.where(shift > 0, 1 << (shift - 1).clamp(min=0), 0)
    return (x + half) >> shift


def bit_width(words: Words) -> Tensor:
    """Bits that two's complement needs for both parts of each word, int64, at least 1."""
    magnitude = torch.maximum(words.re ^ (words.re >> 63), words.im ^ (words.im >> 63))
    bits = torch.ones_like(magnitude)
    for step in (32, 16, 8, 4, 2, 1):
        high = magnitude >> step
        bits = torch.where(high > 0, bits + step, bits)
        magnitude = torch.where(high > 0, high, magnitude)
    return bits + (magnitude > 0)


def normalise(words: Words, mantissa: int, step: int = 1) -> tuple[Words, Tensor]:
    """Mantissas of `mantissa` bits and the exponent that both parts share: word = m 2^e, rounded.

    e is the least multiple of `step` with which both parts fit before rounding; what then rounds
    up to 2^(mantissa - 1) becomes the greatest mantissa, 2^(mantissa - 1) - 1. e = 0 is exact.
    """
    excess = (bit_width(words) - mantissa).clamp(min=0)
    exponent = -(-excess // step) * step
    greatest = (1 << (mantissa - 1)) - 1
    return Words(*(round_shift(x, exponent).clamp(max=greatest) for x in words)), exponent


def twiddles(n: int) -> Words:
    """The n factors of a rotation of blocks of n points, in the order of the points.

    Quarter p of the block is rotated by W^(q i), W = exp(-2 pi j / n), i = 0 … n/4 - 1, with
    q = 0, 2, 1, 3 for p = 0, 1, 2, 3. In multiples of 2^-16, to nearest.
    """
    turns = torch.cat([q * torch.arange(n // 4, dtype=torch.float64) for q in (0, 2, 1, 3)]) / n
    scale = 1 << TWIDDLE_FRACTION
    angle = 2 * math.pi * turns
    return Words(*((part * scale).round().long() for part in (torch.cos(angle), -torch.sin(angle))))


def rotate(words: Words, n: int, mantissa: int | None = None) -> Words:
    """Blocks of n points times `twiddles(n)`, rounded to integers, halves up.

    The line may be half a block or less: then it is the block's beginning. With `mantissa` it is
    mantissas of so many bits and a shared exponent (in steps of 2) that are multiplied, and the
    rounded products are shifted back; without, the words themselves.
    """
    points = words.re.shape[-1]
    factors = twiddles(n)
    c, s = (part.repeat(ceil_div(points, n))[:points] for part in factors)
    (re, im), exponent = (words, 0) if mantissa is None else normalise(words, mantissa, step=2)
    return Words(
        round_shift(re * c - im * s, TWIDDLE_FRACTION) << exponent,
        round_shift(re * s + im * c, TWIDDLE_FRACTION) << exponent,
    )


def butterfly(words: Words, block: int) -> Words:
    """In each block of `block` points, sums of the halves, then their differences."""

    def both(x: Tensor) -> Tensor:
        first, second = x.unflatten(-1, (-1, 2, block // 2)).unbind(-2)
        return torch.stack([first + second, first - second], -2).flatten(-3)

    return Words(both(words.re), both(words.im))


def quarter_turn(words: Words, block: int) -> Words:
    """In each block of `block` points, the last quarter times -j."""
    last = torch.arange(words.re.shape[-1]) % block >= block - block // 4
    return Words(torch.where(last, words.im, words.re), torch.where(last, -words.re, words.im))


def bit_reversed(points: int) -> Tensor:
    """The frequency of each word as it leaves the last butterfly: its place, bits reversed."""
    bits = points.bit_length() - 1
    places = torch.arange(points)
    return sum(((places >> n & 1) << (bits - 1 - n) for n in range(bits)), torch.zeros(1).long())


def stages(words: Words, mantissa: int | None = None) -> list[Words]:
    """The words after each butterfly and what follows it, as the streaming FFT passes them on."""
    block, passed = words.re.shape[-1], []
    while block > 1:
        words = butterfly(words, block)
        if block.bit_length() % 2:  # an even power of two: the first butterfly of a pair
            words = quarter_turn(words, block)
        elif block > 2:
            words = rotate(words, 2 * block, mantissa)
        passed.append(words)
        block //= 2
    return passed


def fft(words: Words, mantissa: int | None = None) -> Words:
    """Discrete Fourier transform of each line, not scaled, in the order of frequencies.

    Words of B bits become words of at most B + log2 N + 1 bits. mantissa: see `rotate`.
    Raises ValueError unless the line has 8, 16, 32 … points.
    """
    points = words.re.shape[-1]
    if points < 8 or points & (points - 1):
        raise ValueError(f"the line has {points} points, must have a power of two from 8 on")
    last, place = stages(words, mantissa)[-1], torch.argsort(bit_reversed(points))
    return Words(last.re[..., place], last.im[..., place])


def inverse(words: Words, mantissa: int | None = None) -> Words:
    """N times the inverse transform of each line: `fft` with the parts swapped."""
    swapped = fft(Words(words.im, words.re), mantissa)
    return Words(swapped.im, swapped.re)
