"""Exact sums against Fractions, at every span and in every order."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.golden.arithmetic import Halves
from backspike.golden.exact import gated_sum, odd_sum, product_sum
from backspike.golden.half import from_bits, random_halves, to_bits
from tests.support import rational

GENERATOR = torch.Generator().manual_seed(20)
SPECIAL = [0, 1, 0x8001, 0x3FF, 0x400, 0x83FF, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7BFE, 0x4200]

halves = st.one_of(
    st.sampled_from(SPECIAL), st.integers(0, 0x7BFF), st.integers(0x8001, 0xFBFF)
)  # patterns


def values(patterns: list[int]) -> torch.Tensor:
    return from_bits(np.array(patterns, dtype=np.uint16))


def rounded(*terms: torch.Tensor) -> tuple[int, bool]:
    a = Halves()
    return int(to_bits(a.round(*terms)).item()), a.saturated


def exactly(terms: tuple[torch.Tensor, ...]) -> np.ndarray:
    """The exact sum of terms, as Fractions (object array)."""
    return sum(np.vectorize(Fraction, otypes=[object])(x.numpy()) for x in terms)  # type: ignore


def fractions(x: torch.Tensor) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(x.numpy())


# ------------------------------------------------------------------------- few terms, one rounding


@settings(deadline=None, max_examples=600)
@given(halves, halves, halves, halves)
def test_two_products_are_rounded_once(a, b, c, d):
    """h e + κ g: a tail 60 bits below the sum still breaks a tie."""
    want = rational.nearest(
        rational.value(a) * rational.value(b) + rational.value(c) * rational.value(d)
    )
    x = values([a, b, c, d])
    assert rounded(x[0] * x[1], x[2] * x[3]) == want


@settings(deadline=None, max_examples=600)
@given(halves, halves, halves, st.integers(0, 0xFFFF))
def test_weight_update_is_rounded_once_by_chance(w, eta, d, random):
    """w - η d, rounded stochastically, is the exact rational's, its saturation too."""
    want = rational.stochastic(rational.value(w) - rational.value(eta) * rational.value(d), random)
    a = Halves()
    x = values([w, eta, d])
    bits = to_bits(a.round(x[0], -x[1] * x[2], random=torch.tensor(random)))
    assert (int(bits.item()), a.saturated) == want


@settings(deadline=None, max_examples=600)
@given(
    st.lists(
        st.builds(
            lambda m, e: m * 2.0**e,
            st.one_of(st.integers(-(2**53), 2**53), st.integers(-4096, 4096)),
            st.integers(-48, -12),
        ),
        min_size=3,
        max_size=3,
    )
)
def test_three_terms_are_rounded_once(terms):
    """Any three float64 terms round as their exact sum does."""
    tensors = [torch.tensor([x], dtype=torch.float64) for x in terms]
    assert rounded(*tensors) == rational.nearest(sum(map(Fraction, terms), Fraction(0)))


def test_three_terms_keep_a_sticky_tail():
    """A tie, broken by a term that neither of the other additions can hold."""
    tie, tail = 1 + 2.0**-11, 2.0**-70
    for terms in ([tie, tail, 2.0**-40], [2.0**-40, tail, tie], [tail, tie, -(2.0**-40)]):
        tensors = [torch.tensor([x], dtype=torch.float64) for x in terms]
        assert rounded(*tensors) == rational.nearest(sum(map(Fraction, terms), Fraction(0)))
    for sign in (1, -1):
        got = rounded(*(torch.tensor([x], dtype=torch.float64) for x in (tie, sign * tail, 0.0)))
        assert got == (0x3C01 if sign > 0 else 0x3C00, False)


def test_what_three_terms_lose_is_itself_summed_to_odd():
    """The two rests sum to 1 + 2^-53, whose rounding to nearest would pass for exact."""
    terms = [-(2.0**50 + 0.75), 2.0**53, 0.75 + 2.0**-53]
    got = odd_sum(*(torch.tensor([x], dtype=torch.float64) for x in terms))
    assert int(got.item()) % 2 == 1
    assert 0 < int(got.item()) - sum(map(Fraction, terms)) < 1


def test_cancellation_leaves_the_tail_and_a_positive_zero():
    """2^-48 is left between products of 2^32; zeros are +0."""
    big, tiny = 65504.0 * 65504.0, 2.0**-48
    tensors = [torch.tensor([x], dtype=torch.float64) for x in (big, tiny, -big)]
    assert Fraction(odd_sum(*tensors).item()) == Fraction(tiny)
    x = torch.tensor([1.5], dtype=torch.float64)
    for pair in ((x, -x), (-x, x), (-0.0 * x, -0.0 * x)):
        assert rounded(*pair) == (0, False)


@pytest.mark.parametrize("count", [4, 5, 9, 60])
def test_many_terms(count):
    """Sums of more than three terms, multiples of 2^-48 of every size, are rounded once."""
    rng = np.random.default_rng(count)
    for _ in range(200):
        high = 2.0 ** rng.integers(-40, 45, count)
        terms = (np.round(rng.normal(0, high) * 2.0**48) * 2.0**-48).tolist()
        if rng.random() < 0.5:  # a small rest of large terms
            terms[-1] = -float(sum(map(Fraction, terms[:-1]), Fraction(0)))
            terms[0] += 2.0**-24 * float(rng.integers(-9, 10))
        tensors = [torch.tensor([x], dtype=torch.float64) for x in terms]
        assert rounded(*tensors) == rational.nearest(sum(map(Fraction, terms), Fraction(0)))


@pytest.mark.parametrize("rest", [-(2.0**-48), -(2.0**-64), 0.0, 2.0**-64, 2.0**-48])
@pytest.mark.parametrize("count", [0, 40, 200])
def test_the_last_place_of_many_terms_counts(rest, count):
    """2^-64 beside the middle of two halves decides, and `count` fractions carry."""
    part = 1 - 2.0**-48
    terms = [1.0, 2.0**-11, rest, 2.0**44, -(2.0**44), *[part] * count, *[-1.0] * count]
    terms.append(count * 2.0**-48)
    tensors = [torch.tensor([x], dtype=torch.float64) for x in terms]
    assert rounded(*tensors) == rational.nearest(sum(map(Fraction, terms), Fraction(0)))
    assert rounded(*tensors) == (0x3C00 + (rest > 0), False)


def test_no_term_is_refused():
    """A sum of nothing is a mistake of the caller."""
    with pytest.raises(ValueError, match="no terms, must have 1"):
        odd_sum()


# ------------------------------------------------------------------------------------ matrix sums


@pytest.mark.parametrize("count", [1, 2, 37, 300])
def test_gated_sum_is_exact(count):
    """The terms of spikes @ halves add up to the rational product."""
    spikes = torch.randint(0, 2, (5, count), generator=GENERATOR).double()
    w = random_halves((count, 4), GENERATOR)
    assert (exactly(gated_sum(spikes, w)) == fractions(spikes) @ fractions(w)).all()


@pytest.mark.parametrize("count", [4096, 4097, 9000])
def test_gated_sum_is_exact_where_a_float64_ends(count):
    """The largest halves and one smallest: 2^28 or more beside 2^-24."""
    w = torch.full((count, 1), 65504.0, dtype=torch.float64)
    w[count // 2] = 2.0**-24
    terms = gated_sum(torch.ones(1, count, dtype=torch.float64), w)
    assert exactly(terms)[0, 0] == (count - 1) * 65504 + Fraction(1, 2**24)


@pytest.mark.parametrize("count", [1, 2, 37, 200])
def test_product_sum_is_exact(count):
    """The terms of halves @ halves add up to the rational product."""
    g, w = random_halves((4, count), GENERATOR), random_halves((count, 3), GENERATOR)
    assert (exactly(product_sum(g, w)) == fractions(g) @ fractions(w)).all()


def test_product_sum_is_exact_at_its_widest():
    """8192 products of the largest halves, and one of the smallest."""
    count = 8192
    g = torch.full((1, count), 65504.0, dtype=torch.float64)
    w = -g.T.clone()
    g[0, 7], w[7, 0] = 2.0**-24, 2.0**-24
    g[0, 9], w[9, 0] = 65504.0 - 32, 1 + 2.0**-10
    want = -(count - 2) * Fraction(65504) ** 2 + Fraction(1, 2**48)
    want += Fraction(65472) * (1 + Fraction(1, 2**10))
    assert exactly(product_sum(g, w))[0, 0] == want


@pytest.mark.parametrize(("count", "most"), [(8193, 1), (20000, 1), (300, 200), (4, 5000)])
def test_more_products_than_a_float64_holds_are_several_terms(count, most):
    """The largest products, and `most` such sums added term by term: nothing is lost."""
    g = torch.full((1, count), 65504.0, dtype=torch.float64)
    w = g.T.clone()
    g[0, -1], w[-1, 0] = 2.0**-24, 2.0**-24
    g[0, -2], w[-2, 0] = 65504.0 - 32, 1 + 2.0**-10
    terms = product_sum(g, w, most)
    assert len(terms) == 3 * -(-count // (8192 // most))
    summed = tuple(sum([x] * (most - 1), x) for x in terms)
    want = (count - 2) * Fraction(65504) ** 2 + Fraction(1, 2**48)
    want += Fraction(65472) * (1 + Fraction(1, 2**10))
    assert exactly(summed)[0, 0] == most * want


@pytest.mark.parametrize(("count", "most"), [(64, 64), (64, 65), (9, 255 * 256), (3, 2**24)])
def test_a_sum_of_counts_is_exact(count, most):
    """The largest number of times that the largest halves may come, and one smallest."""
    w = torch.full((count, 1), 65504.0, dtype=torch.float64)
    w[1] = 2.0**-24
    counts = torch.full((1, count), most, dtype=torch.float64)
    counts[0, 1] = 1
    for power in (1.0, 2.0**-16):
        terms = gated_sum(counts * power, w, most)
        want = (count - 1) * most * Fraction(65504) + Fraction(1, 2**24)
        assert exactly(terms)[0, 0] == want * Fraction(power)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(halves, halves), min_size=1, max_size=24))
def test_product_sum_is_rounded_once(pairs):
    """The terms of a sum of products round as the rational sum does."""
    want = rational.nearest(
        sum((rational.value(a) * rational.value(b) for a, b in pairs), Fraction(0))
    )
    x = values([p for pair in pairs for p in pair]).view(-1, 2)
    assert rounded(*product_sum(x[:, 0].view(1, -1), x[:, 1].view(-1, 1))) == want


@settings(deadline=None, max_examples=150)
@given(st.lists(halves, min_size=1, max_size=24), halves, st.integers(0, 0x3C00))
def test_current_and_leak_are_rounded_once(weights, v, leak):
    """Σ w + λ v rounds as the rational sum does."""
    want = rational.nearest(
        sum(map(rational.value, weights), Fraction(0)) + rational.value(leak) * rational.value(v)
    )
    w = values(weights).view(-1, 1)
    (current,) = gated_sum(torch.ones(1, len(weights), dtype=torch.float64), w)
    x = values([leak, v])
    assert rounded(current, x[0] * x[1]) == want


def test_order_does_not_matter():
    """Permuting the summands, which no floating-point sum survives, changes no bit."""
    count = 700
    g, w = random_halves((3, count), GENERATOR), random_halves((count, 5), GENERATOR)
    s = torch.randint(0, 2, (3, count), generator=GENERATOR).double()
    order = torch.randperm(count, generator=GENERATOR)
    for one, other in (
        (product_sum(g, w), product_sum(g[:, order], w[order])),
        (gated_sum(s, w), gated_sum(s[:, order], w[order])),
    ):
        assert torch.equal(Halves().round(*one), Halves().round(*other))
