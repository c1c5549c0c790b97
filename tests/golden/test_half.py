"""Bits, values and the two roundings, against NumPy's binary16 and a table of all halves."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.golden.half import from_bits, nearest, random_halves, stochastic, to_bits, ulp
from backspike.ir.constants import LARGEST
from backspike.ir.errors import UserError
from backspike.ir.validation import check_halves, is_half
from tests.support import rational

PATTERNS = np.arange(0x10000, dtype=np.uint16)
HALVES = PATTERNS[is_half(PATTERNS)]


def saturate(x: torch.Tensor) -> np.ndarray:
    return to_bits(x.clamp(-LARGEST, LARGEST))


def bits_of(value: float) -> str:
    return f"{int(to_bits(torch.tensor([value], dtype=torch.float64))[0]):04x}"


def test_every_pattern_is_a_half_or_not():
    """`is_half` of all 65536 patterns: finite, and not -0."""
    assert len(HALVES) == 2 * 0x7C00 - 1
    finite = np.isfinite(PATTERNS.view(np.float16)) & (PATTERNS != 0x8000)
    assert (is_half(PATTERNS) == finite).all()


def test_every_half_goes_to_a_value_and_back():
    """`from_bits` and `to_bits` of all halves are inverse, and the values right."""
    values = from_bits(HALVES)
    assert [Fraction(v) for v in values.tolist()] == [rational.value(int(p)) for p in HALVES]
    assert (to_bits(values) == HALVES).all()


def test_every_half_rounds_to_itself():
    """To nearest and by chance."""
    values = from_bits(HALVES)
    assert (to_bits(nearest(values)) == HALVES).all()
    for random in (0, 0xFFFF):  # never up: nothing is discarded
        assert (to_bits(stochastic(values, torch.tensor(random))) == HALVES).all()


def test_ulp_is_the_distance_to_the_next_half():
    """For all halves."""
    positive = from_bits(np.arange(0x7C00, dtype=np.uint16))
    following = torch.tensor([float(g) * 2.0**-24 for g in rational.GRID[1:]]).double()
    assert torch.equal(ulp(positive), following - positive)
    assert torch.equal(ulp(-positive), following - positive)


@pytest.mark.parametrize("nudge", [-1, 0, 1])
def test_midpoints_and_their_neighbours_round_as_numpy_does(nudge):
    """Every midpoint of two halves is a tie; one float64 beside it is none."""
    low = from_bits(np.arange(0x7BFF, dtype=np.uint16))
    high = from_bits(np.arange(1, 0x7C00, dtype=np.uint16))
    middle = ((low + high) / 2).numpy()
    for sign in (1, -1):
        x = sign * np.nextafter(middle, nudge * np.inf) if nudge else sign * middle
        want = x.astype(np.float16).view(np.uint16)
        want[want == 0x8000] = 0  # NumPy keeps the sign of a zero
        assert (to_bits(nearest(torch.from_numpy(x))) == want).all()


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (0.0, "0000"), (-0.0, "0000"), (2.0**-24, "0001"), (-(2.0**-24), "8001"),
        (2.0**-25, "0000"), (-(2.0**-25), "0000"), (2.0**-25 * (1 + 2.0**-52), "0001"),
        (-(2.0**-48), "0000"), (1.5 * 2.0**-24, "0002"), (2.5 * 2.0**-24, "0002"),
        (2.0**-14, "0400"), (2.0**-14 - 2.0**-25, "0400"), (1023.49 * 2.0**-24, "03ff"),
        (1.0, "3c00"), (1 + 2.0**-11, "3c00"), (1 + 3 * 2.0**-11, "3c02"), (2049.0, "6800"),
        (65504.0, "7bff"), (65519.999, "7bff"), (-65519.999, "fbff"),
    ],
)  # fmt: skip
def test_directed_nearest(x, want):
    """Ties, subnormals, and the ends of the range, by hand."""
    rounded = nearest(torch.tensor([x], dtype=torch.float64))
    assert f"{int(to_bits(rounded)[0]):04x}" == want
    assert rounded.abs().item() <= LARGEST
    assert rational.nearest(Fraction(x)) == (int(want, 16), False)


@pytest.mark.parametrize("x", [65520.0, 65536.0, 1e6, 2.0**44, -65520.0, -(2.0**44)])
def test_beyond_the_largest_half_is_beyond_it(x):
    """`nearest` does not saturate, so that a caller sees it."""
    rounded = nearest(torch.tensor([x], dtype=torch.float64))
    assert rounded.abs().item() > LARGEST
    assert (int(saturate(rounded)[0]), True) == rational.nearest(Fraction(x))


def doubles() -> st.SearchStrategy[float]:
    """float64 of every exponent that sums can have, biased to few set bits (near ties)."""
    return st.builds(
        lambda m, e, s: s * m * 2.0**e,
        st.one_of(st.integers(0, 2**53), st.integers(0, 2**14)),
        st.integers(-60, 8),
        st.sampled_from([1, -1]),
    ).filter(lambda x: abs(x) < 2.0**50)


@settings(deadline=None, max_examples=500)
@given(doubles())
def test_nearest_is_the_exact_one(x):
    """Against rationals, for numbers of every exponent."""
    rounded = nearest(torch.tensor([x], dtype=torch.float64))
    assert (int(saturate(rounded)[0]), rounded.abs().item() > LARGEST) == rational.nearest(
        Fraction(x)
    )


@settings(deadline=None, max_examples=500)
@given(doubles(), st.integers(0, 0xFFFF))
def test_stochastic_is_the_exact_one(x, random):
    """Against rationals, for numbers of every exponent and any random number."""
    rounded = stochastic(torch.tensor([x], dtype=torch.float64), torch.tensor([random]))
    assert (int(saturate(rounded)[0]), rounded.abs().item() > LARGEST) == rational.stochastic(
        Fraction(x), random
    )


@pytest.mark.parametrize("scale", [1.0, -1.0, 2.0**-24, 1024.0])
def test_stochastic_rounds_up_exactly_as_often_as_the_fraction_says(scale):
    """Over all 2^16 draws, a fraction of n / 2^16 ulp rounds up n times."""
    draws = torch.arange(0x10000)
    for n in (0, 1, 0x4000, 0x8000, 0xFFFF):
        base = 3.0 * scale
        step = ulp(torch.tensor([base]).double()).item() * (1 if scale > 0 else -1)
        x = torch.full((0x10000,), base + n * 2.0**-16 * step, dtype=torch.float64)
        up = stochastic(x, draws) != base
        assert int(up.sum()) == n


def test_stochastic_overflow_is_beyond_the_largest():
    """`stochastic` does not saturate, so that a caller sees it."""
    x = torch.tensor([65504.0 + 1, -65504.0 - 1, 65504.0]).double()
    rounded = stochastic(x, torch.tensor([0xFFFF, 0xFFFF, 0xFFFF]))
    assert rounded.tolist() == [65536.0, -65536.0, 65504.0]


def test_random_halves_are_halves_of_every_exponent():
    """What tests draw covers the range."""
    bits = to_bits(random_halves((4000,), torch.Generator().manual_seed(1)))
    assert is_half(bits).all()
    assert set(bits >> 10) == set(range(0x40)) - {0x1F, 0x3F}


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (np.zeros((2, 3), np.int16), r"w is of int16, must be an array of uint16"),
        ([1, 2], r"w is a list, must be an array of uint16"),
        (np.zeros((3, 2), np.uint16), r"w has the shape \(3, 2\), must have \(2, 3\)"),
        (np.array([[0, 1, 2], [3, 0x7C00, 5]], np.uint16), r"w at \(1, 1\) is 0x7c00, must be"),
        (np.array([[0, 1, 0x8000], [3, 4, 5]], np.uint16), r"w at \(0, 2\) is 0x8000, must be"),
    ],
)
def test_what_is_no_half_is_refused(bits, message):
    """The error says where, and which pattern, dtype or shape."""
    with pytest.raises(UserError, match=message):
        check_halves("w", bits, (2, 3))
