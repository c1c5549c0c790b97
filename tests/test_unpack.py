"""gen.numerics.unpack: halves and products as exact integers, in simulation against golden."""

import fixed
import numpy as np
import pytest
import rational

from backspike.gen.numerics.unpack import Product, Unpack
from backspike.golden import half
from backspike.sim.bulk import Bulk, after, to_limbs

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


def test_every_half():
    run = Bulk(Unpack(), "unpack")
    got = after(Unpack.latency, run, i=HALVES)["o"]
    check([HALVES], got, fixed.as_numbers(values(HALVES), 24, HALF_FIXED))
    naive = [int(rational.value(int(p)) * 2**24) for p in HALVES]
    check([HALVES], got, to_limbs(naive, HALF_FIXED)[:, 0])


@pytest.fixture(scope="module")
def product():
    return Bulk(Product(), "product")


def test_a_million_products(product):
    rng = np.random.default_rng(1)
    a, b = rng.choice(HALVES, (2, MILLION))
    got = after(Product.latency, product, i_a=a, i_b=b)["o"]
    check([a, b], got, fixed.as_numbers(values(a) * values(b), 48, PRODUCT_FIXED))


def test_products_of_corners(product):
    signed = np.concatenate([CORNERS, CORNERS[1:] | np.uint64(0x8000)])
    a, b = (x.ravel() for x in np.meshgrid(signed, signed))
    got = after(Product.latency, product, i_a=a, i_b=b)["o"]
    naive = [
        int(rational.value(int(x)) * rational.value(int(y)) * 2**48)
        for x, y in zip(a, b, strict=True)
    ]
    check([a, b], got, to_limbs(naive, PRODUCT_FIXED))


def test_nothing_moves_without_enable(product):
    rng = np.random.default_rng(2)
    enable = rng.integers(0, 2, 10_000).astype(np.uint64)
    a, b = rng.choice(HALVES, (2, len(enable)))
    got = product(en=enable, i_a=a, i_b=b)["o"]
    steps = np.cumsum(enable) - enable  # enabled cycles before this one
    taken = np.flatnonzero(enable)
    want = fixed.as_numbers(values(a) * values(b), 48, PRODUCT_FIXED)
    known = steps >= Product.latency
    source = taken[(steps - Product.latency)[known].astype(int)]
    check([a[source], b[source]], got[known], want[source])
