"""Halves as bits, and the least half that reaches a surrogate's edge, against Fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.ir.constants import LARGEST_BITS as LARGEST
from backspike.ir.half_bits import INFINITY, half_bits, least_half
from backspike.ir.surrogate import arctan, fast_sigmoid, rectangle, triangle

PATTERNS = [*range(0x8000 | LARGEST, 0x8000, -1), *range(LARGEST + 1)]
"""All halves but -0, ascending."""
VALUES = [Fraction(float(np.uint16(bits).view(np.float16))) for bits in PATTERNS]


UNITS = np.array([int(value * 2**24) for value in VALUES])
"""The same in units of 2^-24, in which all halves are whole."""


def least_by_search(threshold: float, edge: float) -> int:
    """The definition, asked of every half: value >= threshold + edge, in whole units."""
    bound = math.ceil((Fraction(threshold) + Fraction(edge)) * 2**24)
    reached = bound <= UNITS
    return PATTERNS[int(reached.argmax())] if reached.any() else INFINITY


def test_patterns_ascend():
    """The list of all halves, by value, is what the searches below rely on."""
    assert len(PATTERNS) == 2 * LARGEST + 1
    assert (np.diff(UNITS) > 0).all()
    assert all(value * 2**24 == unit for value, unit in zip(VALUES, UNITS.tolist(), strict=True))


@pytest.mark.parametrize("threshold", [1.0, 0.0, -0.25, 0.5, 2.0**-24, 65504.0, -65504.0])
@pytest.mark.parametrize(
    "edge",
    [0.0, -0.5, 0.5, 0.1, -1 / 3, 2.0**-24, -(2.0**-24), 2.0**-25, 1e-300, -1e-300, 1e5, -1e5,
     131008.0, -131008.0, 65504.0, 65505.0, -65504.0],
)  # fmt: skip
def test_least_half_is_the_least(threshold, edge):
    """The least u with u - θ at or above an edge, against a search of all halves."""
    assert least_half(threshold, edge) == least_by_search(threshold, edge)


@pytest.mark.parametrize("surrogate", [rectangle(1.0), triangle(), arctan(), fast_sigmoid()])
def test_edges_of_the_presets(surrogate):
    """The same for every edge of every surrogate."""
    for edge in surrogate.edges:
        assert least_half(0.75, edge) == least_by_search(0.75, edge)


@given(
    st.integers(0, len(PATTERNS) - 1),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-2e5, max_value=2e5),
)
@settings(deadline=None, max_examples=400)
def test_least_half_between_its_neighbours(index, edge):
    """It reaches the edge, and the half below does not."""
    threshold = float(VALUES[index])
    bound = VALUES[index] + Fraction(edge)
    bits = least_half(threshold, edge)
    place = len(PATTERNS) if bits == INFINITY else PATTERNS.index(bits)
    assert place == len(PATTERNS) or VALUES[place] >= bound
    assert place == 0 or VALUES[place - 1] < bound


def test_half_bits_of_every_half():
    """The pattern of each half's value; -0 is 0."""
    for bits, value in zip(PATTERNS, VALUES, strict=True):
        assert half_bits(float(value)) == bits
    assert half_bits(-0.0) == 0
