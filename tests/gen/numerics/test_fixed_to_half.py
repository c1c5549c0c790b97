"""gen.numerics.fixed_to_half: FixedToHalf in simulation against golden, and against Fractions."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import torch

from backspike.gen.numerics.fixed_to_half import FixedToHalf
from backspike.golden import exact, half
from backspike.ir.constants import LARGEST
from backspike.sim.bench.array_bench import ArrayBench, after, limbs_of, to_limbs
from tests.support import fixed, rational

MILLION = 1_000_000
SHAPES = [
    # (width, fraction, stochastic): the core's,
    (56, 24, False),  # d, a sum of halves
    (81, 48, False),  # u
    (92, 48, False),  # e, a sum of products
    (42, 24, False),  # v
    (82, 48, False),  # g
    (82, 48, True),  # w
    # and corners: no half overflows; all bits beside the window; padded below, and sign-extended.
    (57, 48, False),
    (97, 48, False),
    (12, 25, False),
    (3, 24, True),
]

pytestmark = pytest.mark.verilator


@functools.cache
def built(width, fraction, stochastic):
    dut = FixedToHalf(width=width, fraction=fraction, stochastic=stochastic)
    return dut, ArrayBench(dut, f"round_{width}_{fraction}" + "_stochastic" * stochastic)


def rounded_rtl(shape, numbers, random=None):
    """Patterns and flags for uint64 limbs; random int64 in [0, 2^16), -1 for to nearest."""
    dut, run = built(*shape)
    inputs = {"i": numbers}
    if random is not None:
        inputs |= {"i_random": np.maximum(random, 0), "i_stochastic": random >= 0}
    out = after(dut.latency, run, **inputs)
    return out["o"], out["saturated"]


def as_input(numbers, width):
    limbs = to_limbs(numbers, width)
    return limbs[:, 0] if limbs_of(width) == 1 else limbs


def check(name, numbers, got, want):
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), (
        f"{len(wrong)} {name} differ; index {wrong[0]}: {numbers[wrong[0]]}: "
        f"got {int(got[wrong[0]]):#06x}, want {int(want[wrong[0]]):#06x}"
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_million_random_numbers_are_rounded_as_by_golden(shape):
    """A million hard numbers of each shape are rounded and flagged as by golden."""
    width, fraction, stochastic = shape
    rng = np.random.default_rng(width)
    numbers, terms = fixed.hard_numbers(rng, MILLION, width)
    random = rng.integers(-(1 << 16), 1 << 16, MILLION).clip(-1) if stochastic else None
    got, saturated = rounded_rtl(shape, numbers, random)

    x = exact.odd_sum(*(term * 2.0**-fraction for term in terms))
    want = half.nearest(x).numpy()
    if random is not None:
        by_chance = half.stochastic(x, torch.from_numpy(random.clip(0))).numpy()
        want = np.where(random < 0, want, by_chance)
    beyond = np.abs(want) > LARGEST
    want = half.to_bits(torch.from_numpy(want.clip(-LARGEST, LARGEST)))
    check("halves", numbers, got, want)
    check("flags", numbers, saturated, beyond)
    if width - fraction > 18:
        assert 100 < beyond.sum() < MILLION // 2  # both happen


def naive(x, random=None):
    return rational.nearest(x) if random is None else rational.stochastic(x, random)


def check_naively(shape, numbers, random=None):
    """Python integers, in and around every corner, against Fractions."""
    width, fraction, stochastic = shape
    given = None
    if stochastic:
        given = np.full(len(numbers), -1) if random is None else np.asarray(random)
    got, saturated = rounded_rtl(shape, as_input(numbers, width), given)
    unit = Fraction(1, 1 << fraction)
    want = [
        naive(number * unit, None if random is None else random[n])
        for n, number in enumerate(numbers)
    ]
    check("halves", numbers, got, np.array([w[0] for w in want]))
    check("flags", numbers, saturated, np.array([w[1] for w in want]))


HALVES = [p for p in range(0x10000) if p & 0x7C00 != 0x7C00 and p != 0x8000]


@pytest.mark.parametrize("shape", [(56, 24, False), (66, 48, False), (66, 48, True)])
def test_every_half_comes_out_as_it_went_in(shape):
    """Every half is unchanged by either rounding, and no flag is set."""
    width, fraction, stochastic = shape
    magnitudes = [rational.GRID[p & 0x7FFF] << fraction - 24 for p in HALVES]
    numbers = [-n if p & 0x8000 else n for p, n in zip(HALVES, magnitudes, strict=True)]
    random = np.arange(len(HALVES)) & 0xFFFF if stochastic else None  # any: nothing is cut off
    got, saturated = rounded_rtl(shape, as_input(numbers, width), random)
    check("halves", numbers, got, np.array(HALVES))
    assert not saturated.any()


def test_between_all_neighbours_ties_go_to_even():
    """Between all neighbouring halves the middle goes to even, and one more or less does not."""
    near = np.tile([-1, 0, 1], 2 * 0x7C00)
    pattern = np.repeat(np.tile(np.arange(0x7C00), 2), 3)
    sign = np.repeat([1, -1], 3 * 0x7C00)
    middle = [
        (low + high) << 23 for low, high in zip(rational.GRID, rational.GRID[1:], strict=False)
    ]
    numbers = [int(s) * (middle[p] + int(d)) for s, p, d in zip(sign, pattern, near, strict=True)]
    up = (near > 0) | (near == 0) & (pattern % 2 == 1)
    beyond = up & (pattern == 0x7BFF)
    magnitude = pattern + (up & ~beyond)
    want = magnitude | np.where((sign < 0) & (magnitude > 0), 0x8000, 0)
    got, saturated = rounded_rtl((66, 48, False), as_input(numbers, 66))
    check("halves", numbers, got, want)
    check("flags", numbers, saturated, beyond)


def corners(width):
    """Numbers about 0, the subnormals' end, saturation and the ends of the number's range."""
    places = [1 << n for n in range(width)] + [65504 << 48, 65520 << 48, 65536 << 48, 1 << 23]
    near = {sign * (p + d) for p in places for sign in (1, -1) for d in (-2, -1, 0, 1, 2)}
    return sorted(n for n in near if -(1 << width - 1) <= n < 1 << width - 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_corners(shape):
    """Numbers around every corner are rounded as by Fractions."""
    check_naively(shape, corners(shape[0]))


@pytest.mark.parametrize("random", [0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF])
def test_corners_by_chance(random):
    """Stochastic rounding at its corners equals Fractions, for extreme random numbers."""
    numbers = corners(66)
    numbers += [(g << 24) + (cut << 8) + d for g in (0, 1, 0x400, 0x7FF)
                for cut in (0x10000 - random, 0xFFFF - random) for d in (-1, 0, 1)]  # fmt: skip
    check_naively((66, 48, True), numbers, [random] * len(numbers))


def test_to_nearest_and_by_chance_take_turns():
    """i_stochastic and i_random belong to the number beside them."""
    numbers = [(0x400 << 24) + (1 << 23)] * 64  # a tie: down to even, up with random >= 0x8000
    random = np.tile([-1, 0x8000, -1, 0x7FFF], 16)
    got, _ = rounded_rtl((66, 48, True), as_input(numbers, 66), random)
    assert got.tolist() == [0x400, 0x401, 0x400, 0x400] * 16


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refused():
    """A width or a fraction that is too small is a ValueError."""
    with pytest.raises(ValueError, match="fraction is 23, must be 24 or more"):
        FixedToHalf(width=40, fraction=23)
    with pytest.raises(ValueError, match="width is 1, must be 2 or more"):
        FixedToHalf(width=1, fraction=24)
