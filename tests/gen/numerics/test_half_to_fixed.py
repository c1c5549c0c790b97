"""gen.numerics.half_to_fixed and half_product: exact integers against golden."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import Half
from backspike.gen.numerics.half_product import HalfProduct, shift_factor, shifted_factor
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.golden import half
from backspike.sim.bench.array_bench import ArrayBench, after, to_limbs
from tests.gen.core.shared.test_lane import factors
from tests.support import fixed, rational

MILLION = 1_000_000
HALF_FIXED, PRODUCT_FIXED = 41, 81  # not imported: too few bits must be seen
PATTERNS = np.arange(0x10000, dtype=np.uint64)
HALVES = PATTERNS[half.is_half(PATTERNS.astype(np.uint16))]
CORNERS = np.array([0, 1, 2, 0x3FF, 0x400, 0x7FF, 0x800, 0x3C00, 0x7BFE, 0x7BFF], np.uint64)

pytestmark = pytest.mark.verilator


def values(patterns):
    return half.from_bits(patterns.astype(np.uint16)).numpy()


def check(patterns, got, want):
    wrong = np.flatnonzero((got != want).reshape(len(got), -1).any(1))
    assert not len(wrong), (
        f"{len(wrong)} differ; of {[hex(p[wrong[0]]) for p in patterns]} "
        f"got {got[wrong[0]]}, want {want[wrong[0]]}"
    )


def added(out, width):
    """o + carry, as an adder of `width` bits makes it: uint64 limbs."""
    sums = np.copy(out["o"]).reshape(len(out["o"]), -1)
    carry = out["carry"].astype(np.uint64)
    for limb in sums.T:
        limb += carry
        carry = carry & (limb == 0)
    sums[:, -1] &= np.uint64(2 ** ((width - 1) % 64 + 1) - 1)
    return sums[:, 0] if sums.shape[1] == 1 else sums


def test_every_half():
    """Every half becomes the integer that golden and Fractions make of it."""
    run = ArrayBench(HalfToFixed(), "half_to_fixed")
    got = added(after(HalfToFixed.latency, run, i=HALVES), HALF_FIXED)
    check([HALVES], got, fixed.as_numbers(values(HALVES), 24, HALF_FIXED))
    naive = [int(rational.value(int(p)) * 2**24) for p in HALVES]
    check([HALVES], got, to_limbs(naive, HALF_FIXED)[:, 0])


@pytest.mark.parametrize("places", [3, 23])
def test_every_half_shifted(places):
    """Every half times a power of two, up to the largest, is that of Fractions."""
    rng = np.random.default_rng(places)
    run = ArrayBench(HalfToFixed(places=places), f"half_to_fixed_{places}")
    for shifts in (np.full(len(HALVES), places), rng.integers(0, places + 1, len(HALVES))):
        shifts = shifts.astype(np.uint64)
        out = after(HalfToFixed.latency, run, i=HALVES, shift=shifts)
        got = added(out, HALF_FIXED + places)
        naive = [
            int(rational.value(int(half)) * 2**24 * 2 ** int(n))
            for half, n in zip(HALVES, shifts, strict=True)
        ]
        check([HALVES, shifts], got, to_limbs(naive, HALF_FIXED + places)[:, 0])


@pytest.mark.parametrize("places", [2, 16])
def test_shifted_products(places):
    """Products of halves with shifted factors are those of Fractions."""
    rng = np.random.default_rng(places)
    run = ArrayBench(ShiftedProduct(places), f"half_product_{places}")
    corners = np.concatenate([CORNERS, CORNERS[1:] | np.uint64(0x8000)])
    pairs = np.meshgrid(corners, corners)
    a, b = (np.append(x.ravel(), rng.choice(HALVES, 20_000)) for x in pairs)
    shifts = rng.integers(0, places + 1, len(a)).astype(np.uint64)
    shifts[: corners.size**2 // 2] = places
    got = added(after(HalfProduct.latency, run, a=a, b=b, shift=shifts), PRODUCT_FIXED + places)
    naive = [
        int(rational.value(int(x)) * rational.value(int(y)) * 2**48 * 2 ** int(n))
        for x, y, n in zip(a, b, shifts, strict=True)
    ]
    check([a, b, shifts], got, to_limbs(naive, PRODUCT_FIXED + places))


class ShiftedProduct(wiring.Component):
    """A product whose factor is made of a half and a shift, a cycle after the other."""

    def __init__(self, places: int):
        self.places = places
        self.product = HalfProduct(places=places)
        o = self.product.o.shape()
        super().__init__(
            {
                "a": In(16),
                "b": In(16),
                "shift": In(range(places + 1)),
                "o": Out(o),
                "carry": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.product = product = self.product
        factor = Signal(shifted_factor(self.places))
        m.d.sync += factor.as_value().eq(shift_factor(Half(self.b), self.shift, self.places))
        m.d.comb += [
            product.i_half.as_value().eq(self.a),
            product.i_factor.eq(factor),
            self.o.eq(product.o),
            self.carry.eq(product.carry),
        ]
        return m


@pytest.fixture(scope="module")
def product():
    """Halves to products."""
    run = ArrayBench(HalfProduct(), "half_product")

    def multiply(a, b):
        late = np.roll(factors(b), 1)
        a, late = np.append(a, a[:1]), np.append(late, late[:1])
        out = after(HalfProduct.latency, run, i_half=a, i_factor=late)
        return added(out, PRODUCT_FIXED)[:-1]

    return multiply


def test_a_million_products(product):
    """A million products of halves equal golden's, by either multiplier."""
    rng = np.random.default_rng(1)
    a, b = rng.choice(HALVES, (2, MILLION))
    got = product(a, b)
    check([a, b], got, fixed.as_numbers(values(a) * values(b), 48, PRODUCT_FIXED))


def test_products_of_corners(product):
    """Products of all pairs of corner values equal those of Fractions."""
    signed = np.concatenate([CORNERS, CORNERS[1:] | np.uint64(0x8000)])
    a, b = (x.ravel() for x in np.meshgrid(signed, signed))
    got = product(a, b)
    naive = [
        int(rational.value(int(x)) * rational.value(int(y)) * 2**48)
        for x, y in zip(a, b, strict=True)
    ]
    check([a, b], got, to_limbs(naive, PRODUCT_FIXED))


def test_a_half_stays_until_another_is_loaded():
    """A half that has been taken is multiplied by every factor until the next one is taken."""
    rng = np.random.default_rng(2)
    load = rng.integers(0, 2, 10_000).astype(np.uint64)
    load[0] = 1
    a, b = rng.choice(HALVES, (2, len(load)))
    late = np.roll(factors(b), 1)  # a factor is a cycle later
    run = ArrayBench(HalfProduct(), "half_product")
    got = added(after(HalfProduct.latency, run, load=load, i_half=a, i_factor=late), PRODUCT_FIXED)
    taken = a[np.maximum.accumulate(np.where(load, np.arange(len(a)), 0))]
    want = fixed.as_numbers(values(taken) * values(b), 48, PRODUCT_FIXED)
    check([taken[:-1], b[:-1]], got[:-1], want[:-1])
