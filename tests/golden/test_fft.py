"""The integer FFT: against textbook recursion in fractions, and against float64 within a bound."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.gen.spectral import layout
from backspike.golden.fft import (
    Words,
    bit_reversed,
    bit_width,
    butterfly,
    fft,
    inverse,
    normalise,
    quarter_turn,
    rotate,
    round_shift,
    stages,
    twiddles,
)
from backspike.ir.spectral_constants import TWIDDLE_FRACTION
from tests.support.spectral_naive import factor, fits, nearest, normalised, product, transformed

SIZES = [8, 16, 32, 64, 128, 256, 512]
QUANTISED = 2.0**-16.5
"""A twiddle factor's error: half a unit of 2^-16 in either part."""


def words(pairs) -> Words:
    re, im = zip(*pairs, strict=True)
    return Words(torch.tensor(re), torch.tensor(im))


def pairs(x: Words) -> list[tuple[int, int]]:
    return list(zip(x.re.flatten().tolist(), x.im.flatten().tolist(), strict=True))


def random_words(shape, bits: int, seed: int) -> Words:
    g = torch.Generator().manual_seed(seed)
    high = 1 << (bits - 1)
    return Words(*(torch.randint(-high, high, shape, generator=g) for _ in range(2)))


integers = st.integers(-(2**40), 2**40)


@settings(deadline=None)
@given(st.lists(integers, min_size=1), st.integers(0, 41))
def test_rounding(numbers, shift):
    """x / 2^shift to the nearest integer, halves up, for one shift and for one each."""
    want = [nearest(Fraction(x, 2**shift)) for x in numbers]
    assert round_shift(torch.tensor(numbers), shift).tolist() == want
    shifts = torch.arange(len(numbers)) % 42
    want = [nearest(Fraction(x, 2 ** (n % 42))) for n, x in enumerate(numbers)]
    assert round_shift(torch.tensor(numbers), shifts).tolist() == want


EDGES = [s * 2**n + d for n in (0, 1, 2, 16, 17, 18, 19, 26, 27, 40, 61) for s in (-1, 1)
         for d in (-1, 0, 1)]  # fmt: skip


def test_widths():
    """The least two's complement width that holds both parts, at the ends of every width."""
    both = [(a, b) for a in EDGES for b in EDGES]
    want = [next(n for n in range(1, 65) if fits(a, n) and fits(b, n)) for a, b in both]
    assert bit_width(words(both)).tolist() == want


@pytest.mark.parametrize(("mantissa", "step"), [(18, 1), (18, 2), (5, 1), (5, 2)])
def test_mantissas_and_exponents(mantissa, step):
    """Against integers in Python, beside powers of two, for every step of exponents."""
    near = [s * (2**n) + d for n in (4, 5, 17, 18, 27) for s in (-1, 1)
            for d in range(-2, 3)]  # fmt: skip
    both = [(a, b) for a in near for b in near]
    got, exponents = normalise(words(both), mantissa, step)
    want = [normalised(z, mantissa, step) for z in both]
    assert pairs(got) == [z for z, _ in want]
    assert exponents.tolist() == [e for _, e in want]
    assert bit_width(got).max() <= mantissa


def test_what_rounds_beyond_the_greatest_mantissa_is_the_greatest():
    """2^18 - 1 of 18 bits is 2^17 - 1 at exponent 1."""
    got, exponent = normalise(words([(2**18 - 1, 0)]), 18)
    assert (pairs(got), exponent.tolist()) == ([(2**17 - 1, 0)], [1])


@pytest.mark.parametrize("n", [4, 16, 64, 256, 1024])
def test_twiddles_are_the_nearest(n):
    """To exact cosines and sines; the first quarter is 1; all fit their width."""
    got = twiddles(n)
    turns = [Fraction(q * i, n) for q in (0, 2, 1, 3) for i in range(n // 4)]
    assert pairs(got) == [factor(turn) for turn in turns]
    assert pairs(got)[: n // 4] == [(1 << TWIDDLE_FRACTION, 0)] * (n // 4)
    for part in got:
        assert all(fits(x, layout.TWIDDLE) for x in part.tolist())


@pytest.mark.parametrize("mantissa", [None, 18, 9])
@pytest.mark.parametrize("n", [4, 16, 64])
def test_rotations_are_exact_products_rounded(n, mantissa):
    """Against exact products, for lines of an eighth to two blocks."""
    for points in (max(n // 8, 1), n // 2, n, 2 * n):
        x = random_words((points,), 24, n + points)
        turns = [Fraction(q * i, n) for q in (0, 2, 1, 3) for i in range(n // 4)]
        want = [product(z, turns[k % n], mantissa) for k, z in enumerate(pairs(x))]
        assert pairs(rotate(x, n, mantissa)) == want


def test_butterflies_and_quarter_turns():
    """Sum, difference and the turn by -j, point by point."""
    x = random_words((3, 16), 20, 1)
    for block in (2, 4, 8, 16):
        sums, turned = butterfly(x, block), quarter_turn(x, block) if block > 2 else None
        for line in range(3):
            for n in range(16):
                re, im = (part[line].tolist() for part in x)
                half, place = block // 2, n % block
                sign, other = (1, n + half) if place < half else (-1, n - half)
                first, second = (n, other) if sign == 1 else (other, n)
                assert sums.re[line, n] == re[first] + sign * re[second]
                assert sums.im[line, n] == im[first] + sign * im[second]
                if turned is not None:
                    last = place >= block - block // 4
                    want = (im[n], -re[n]) if last else (re[n], im[n])
                    assert (turned.re[line, n], turned.im[line, n]) == want


def test_bit_reversal():
    """The order of the points is that of their numbers written backwards."""
    for bits in (3, 4, 9):
        want = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)]
        assert bit_reversed(1 << bits).tolist() == want


@pytest.mark.parametrize("mantissa", [None, 18, 12])
@pytest.mark.parametrize("points", [8, 16, 32, 64])
def test_every_bit_of_a_line(points, mantissa):
    """The transform is that of naive integers, for every number of points and mantissa."""
    x = random_words((2, points), 20, points)
    got = fft(x, mantissa)
    for line in range(2):
        want = transformed(pairs(Words(x.re[line], x.im[line])), mantissa)
        assert pairs(Words(got.re[line], got.im[line])) == want


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**19), 2**19 - 1), st.integers(-(2**19), 2**19 - 1)),
                min_size=16, max_size=16))  # fmt: skip
def test_every_bit_of_any_line(line):
    """The same for drawn lines; the inverse swaps real and imaginary parts."""
    assert pairs(fft(words(line))) == transformed(line)
    swapped = transformed([(im, re) for re, im in line])
    assert pairs(inverse(words(line))) == [(im, re) for re, im in swapped]


def test_halves_are_rounded_up_there_and_back():
    """Odd multiples of 2^15 times odd factors are halves: rare, unless they are made."""
    x = random_words((40, 16), 6, 1)
    lines = Words(x.re << 14, x.im << 14)
    there, back = fft(lines), inverse(lines)
    for n, line in enumerate(pairs(Words(a, b)) for a, b in zip(*lines, strict=True)):
        assert pairs(Words(there.re[n], there.im[n])) == transformed(line)
        want = [(im, re) for re, im in transformed([(im, re) for re, im in line])]
        assert pairs(Words(back.re[n], back.im[n])) == want


def bound(points: int, greatest: float) -> float:
    """Of any word's error, if words have magnitudes up to `greatest`.

    A rotation that leaves blocks of m points errs by up to √½ in rounding, and by QUANTISED of a
    number that is up to N / m words. After it, a word is a sum of m such words, whose factors are
    up to 1 + QUANTISED each.
    """
    total, rotations, m = 0.0, 0, points
    while m > 1:
        m //= 2
        if m.bit_length() % 2 and m > 1:  # blocks of a power of 4: a rotation comes before them
            total += m * math.sqrt(0.5) + points * greatest * QUANTISED
            rotations += 1
    return total * (1 + QUANTISED) ** rotations


@pytest.mark.parametrize("points", SIZES)
def test_float64_within_the_bound(points):
    """Both ways are off from PyTorch's FFT by rounding, and by no more than its bound."""
    x = random_words((20, points), 20, points)
    z = torch.complex(x.re.double(), x.im.double())
    got = fft(x)
    error = (torch.complex(got.re.double(), got.im.double()) - torch.fft.fft(z)).abs().max()
    assert 0 < error <= bound(points, z.abs().max().item())
    back = inverse(x)
    error = (torch.complex(back.re.double(), back.im.double()) - points * torch.fft.ifft(z)).abs()
    assert error.max() <= bound(points, z.abs().max().item())


@pytest.mark.parametrize(("mantissa", "least"), [(None, 97), (18, 94)])
@pytest.mark.parametrize("points", SIZES)
def test_noise_is_small(points, mantissa, least):
    """SQNR of noise at full scale of 16 bits; measured are 97.5 and 94.7 dB at 512 points."""
    x = random_words((50, points), 16, points)
    z = torch.fft.fft(torch.complex(x.re.double(), x.im.double()))
    got = fft(x, mantissa)
    error = torch.complex(got.re.double(), got.im.double()) - z
    assert 10 * math.log10(z.abs().square().sum() / error.abs().square().sum()) >= least


@pytest.mark.parametrize("points", SIZES)
def test_constants_and_impulses_are_exact(points):
    """What meets no rounded twiddle has no error, at the ends of the range too."""
    x = Words(torch.full((points,), -(2**19)), torch.full((points,), 2**19 - 1))
    assert pairs(fft(x)) == [(-(2**19) * points, (2**19 - 1) * points)] + [(0, 0)] * (points - 1)
    impulse = Words(torch.eye(points).long()[0] * 12345, torch.eye(points).long()[0] * -77)
    assert pairs(fft(impulse)) == [(12345, -77)] * points


@pytest.mark.parametrize("points", SIZES)
def test_no_stage_outgrows_its_width(points):
    """Lines of the greatest words, each turned into the direction that makes one output largest."""
    log, n = points.bit_length() - 1, torch.arange(points)
    lines = [random_words((points,), 20, 3)]
    low, high = -(1 << 19), (1 << 19) - 1
    for k in (0, 1, points // 8, points // 4 + 1, points // 2, points - 3):
        for turn in (0, 0.125, 0.25, 0.37):
            angle = 2 * math.pi * (n * k / points + turn)
            parts = (torch.cos(angle), torch.sin(angle))
            lines.append(Words(*(torch.where(p > 0, high, low) for p in parts)))
    x = Words(*(torch.stack(part) for part in zip(*lines, strict=True)))
    passed = stages(x)
    assert len(passed) == log
    for stage, after in enumerate(passed, 1):
        assert bit_width(after).max() <= layout.transformed_width(20, stage)
    greatest = int(bit_width(passed[-1]).max())
    assert greatest == layout.transformed_width(20, log)  # one bit less would not do


@pytest.mark.parametrize("points", [1, 2, 4, 12, 24])
def test_lines_of_other_lengths(points):
    """A line that is no power of two from 8 on is a ValueError."""
    with pytest.raises(ValueError, match=f"the line has {points} points, must have a power"):
        fft(random_words((points,), 8, 0))
