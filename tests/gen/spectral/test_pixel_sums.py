"""gen.spectral.pixel_sums against sums of Python's integers, in every cycle."""

import itertools

import numpy as np
import pytest

from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.pixel_sums import PixelSums, pixel_product_width, pixel_total_width
from backspike.ir.spectral_constants import MANTISSA
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.flows import as_numbers

MACHINE = SpectralMachine(name="bench", size=32)
LOW, HIGH = -(1 << MANTISSA - 1), (1 << MANTISSA - 1) - 1

pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module")
def run():
    return ArrayBench(PixelSums(MACHINE), "pixel_sums_bench")


def check(run, x, y, valid, clear) -> None:
    """Each sum in every cycle: of what came since the last `clear` and `latency` cycles ago.

    x, y: samples, int64; valid, clear: bool. The first cycle clears.
    """
    pixels, both = pixel_total_width(MACHINE), pixel_product_width(MACHINE)
    out = run(taps__re=x & (1 << MANTISSA) - 1, taps__im=y & (1 << MANTISSA) - 1,
              taps__valid=valid, clear=clear)  # fmt: skip
    # Totals are there a cycle before the products' are.
    for name, width, latency, terms in (
        ("x", pixels, PixelSums.latency - 1, x),
        ("y", pixels, PixelSums.latency - 1, y),
        ("xx", both, PixelSums.latency, x * x),
        ("yy", both, PixelSums.latency, y * y),
        ("xy", both, PixelSums.latency, x * y),
    ):
        got = as_numbers(out[name], width, signed=True)
        before = list(itertools.accumulate(map(int, terms * valid), initial=0))
        cleared = 0
        for n in range(1, len(x)):
            cleared = n - 1 if clear[n - 1] else cleared
            want = before[max(n - latency, cleared) + 1] - before[cleared + 1]
            assert got[n] == want, f"{name}, cycle {n}: got {got[n]}, want {want}"


def test_random(run):
    """Gaps; clearing whenever it happens."""
    rng = np.random.default_rng(1)
    x, y = rng.integers(LOW, HIGH + 1, (2, 4000))
    for number in (x, y):
        extreme = rng.random(len(x)) < 0.2
        number[extreme] = rng.choice([LOW, HIGH, 0, -1], extreme.sum())
    clear = rng.random(len(x)) < 0.01
    clear[0] = True
    check(run, x, y, rng.random(len(x)) < 0.7, clear)


@pytest.mark.parametrize(("left", "right"), [(LOW, LOW), (HIGH, HIGH), (LOW, HIGH)])
def test_most(run, left, right):
    """As many samples as there can be, at full scale: no sum overflows."""
    count = MACHINE.points
    valid = np.arange(count + 10) <= count
    valid[0] = False
    check(run, np.full(count + 10, left), np.full(count + 10, right), valid,
          np.arange(count + 10) == 0)  # fmt: skip
