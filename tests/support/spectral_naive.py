"""The spectral unit's arithmetic a second time: Python integers, fractions and textbook recursion.

A complex number is a pair (re, im) of integers. Nothing here looks at how golden orders its words:
lines go in and come out in natural order.
"""

from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from fractions import Fraction

getcontext().prec = 50
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def nearest(x: Fraction) -> int:
    """Halves up."""
    return (x + Fraction(1, 2)).__floor__()


def fits(x: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= x < 1 << (bits - 1)


def normalised(z: tuple[int, int], mantissa: int, step: int) -> tuple[tuple[int, int], int]:
    """Mantissas and exponent."""
    exponent = 0
    while not all(fits((Fraction(x) / 2**exponent).__floor__(), mantissa) for x in z):
        exponent += step
    greatest = 2 ** (mantissa - 1) - 1
    re, im = (min(nearest(Fraction(x) / 2**exponent), greatest) for x in z)
    return (re, im), exponent


def _cos(turn: Fraction) -> Decimal:
    """cos(2 pi turn), by its series."""
    x = 2 * _PI * turn.numerator / turn.denominator
    total, term, n = Decimal(0), Decimal(1), 0
    while abs(term) > Decimal(10) ** -30:
        total += term
        n += 2
        term *= -x * x / (n * (n - 1))
    return total


def factor(turn: Fraction) -> tuple[int, int]:
    """exp(-2 pi j turn) in multiples of 2^-16, to nearest."""
    turn %= 1
    parts = _cos(turn), _cos(turn + Fraction(1, 4))  # cos and -sin
    re, im = (int((p * 2**16).to_integral_value(ROUND_HALF_EVEN)) for p in parts)
    return re, im


def product(z: tuple[int, int], turn: Fraction, mantissa: int | None) -> tuple[int, int]:
    """z exp(-2 pi j turn), rounded; of mantissas with an exponent if so many bits are given."""
    exponent = 0
    if mantissa is not None:
        z, exponent = normalised(z, mantissa, 2)
    c, s = factor(turn)
    re, im = z[0] * c - z[1] * s, z[0] * s + z[1] * c
    return nearest(Fraction(re, 2**16)) << exponent, nearest(Fraction(im, 2**16)) << exponent


def transformed(line: list[tuple[int, int]], mantissa: int | None = None) -> list[tuple[int, int]]:
    """X[k] of a line, decimated in frequency by 4, and by 2 first if its length is no power of 4.

    Of four numbers a quarter apart, X[4 k + q] has the sum of x_p exp(-2 pi j p q / 4), times
    exp(-2 pi j q i / n) for the i-th four.
    """
    n = len(line)
    if n == 1:
        return line
    radix = 4 if n.bit_length() % 2 else 2
    part = n // radix
    result = [(0, 0)] * n
    for q in range(radix):
        sub = []
        for i in range(part):
            re = im = 0
            for p in range(radix):
                x, y = line[i + p * part]
                for _ in range(p * q * (4 // radix) % 4):
                    x, y = y, -x  # times -j
                re, im = re + x, im + y
            sub.append((re, im) if part == 1 else product((re, im), Fraction(q * i, n), mantissa))
        result[q::radix] = transformed(sub, mantissa)
    return result


def aligned(line: list[tuple[int, int, int]], guard: int) -> tuple[list[tuple[int, int]], int]:
    """Of (re, im, exponent): words, and the greatest exponent."""
    top = max(e for _, _, e in line)
    units = [(re, im, Fraction(2**guard, 2 ** (top - e))) for re, im, e in line]
    return [(nearest(re * unit), nearest(im * unit)) for re, im, unit in units], top
