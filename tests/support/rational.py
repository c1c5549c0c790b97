"""The numeric contract a second time, naively: Fractions, Python loops and a table of all halves.

Halves are patterns (int). Every function that rounds returns (pattern, saturated). Networks are in
`rational_graph.py`.
"""

from bisect import bisect_right
from fractions import Fraction

UNIT = Fraction(1, 2**24)
GRID = [
    # Magnitudes in units of 2^-24 in the order of their patterns, and 2^16, which is none.
    (p & 0x3FF) if p < 0x400 else (0x400 | p & 0x3FF) << ((p >> 10) - 1)
    for p in range(0x7C01)
]
LARGEST = 0x7BFF


def value(pattern: int) -> Fraction:
    """The value of a half, exactly."""
    magnitude = GRID[pattern & 0x7FFF] * UNIT
    return -magnitude if pattern & 0x8000 else magnitude


def _signed(x: Fraction, pattern: int) -> tuple[int, bool]:
    saturated = pattern > LARGEST
    pattern = min(pattern, LARGEST)
    return pattern | (0x8000 if x < 0 and pattern else 0), saturated


def nearest(x: Fraction) -> tuple[int, bool]:
    """Ties to the pattern that is even."""
    magnitude = abs(x) / UNIT
    p = min(bisect_right(GRID, magnitude) - 1, LARGEST)
    below, above = magnitude - GRID[p], GRID[p + 1] - magnitude
    return _signed(x, p + (above < below or (above == below and p % 2 == 1)))


def stochastic(x: Fraction, random: int) -> tuple[int, bool]:
    """The magnitude truncated, and up iff floor(discarded ulps * 2^16) + random >= 2^16."""
    magnitude = abs(x) / UNIT
    p = bisect_right(GRID, magnitude) - 1
    if p > LARGEST:
        return _signed(x, p)
    fraction = (magnitude - GRID[p]) / (GRID[p + 1] - GRID[p])
    return _signed(x, p + (int(fraction * 2**16) + random >= 2**16))
