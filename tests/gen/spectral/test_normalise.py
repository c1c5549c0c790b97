"""gen.spectral.normalise: mantissas and exponents as golden's."""

import functools
import gc

import numpy as np
import pytest
import torch

from backspike.gen.spectral.normalise import Normalise
from backspike.golden.fft import Words, normalise
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.pipelines import Together, check, fields, hard_integers, signed_field, stepped

SHAPES = {"packed": (28, 18, 1), "widest": (31, 18, 1), "rotated": (23, 18, 2), "one": (19, 18, 2)}
"""Width, mantissa, grain."""

pytestmark = pytest.mark.verilator


@functools.cache
def built():
    parts = {
        name: Normalise(width=width, mantissa=mantissa, grain=grain)
        for name, (width, mantissa, grain) in SHAPES.items()
    }
    return parts, ArrayBench(Together(dict(parts)), "normalise")


def compare(name: str, re: np.ndarray, im: np.ndarray) -> tuple[int, np.ndarray]:
    """The greatest exponent that is possible, and those that there were."""
    width, mantissa, grain = SHAPES[name]
    parts, run = built()
    inputs = {f"{name}_i": fields(re=(re, width), im=(im, width))}
    got = stepped(run, Normalise.latency, 0.3, np.random.default_rng(1), **inputs)
    want, exponent = normalise(Words(torch.from_numpy(re), torch.from_numpy(im)), mantissa, grain)
    check("exponents", got[f"{name}_exponent"].view(np.int64), exponent.numpy(), re, im)
    mantissas = got[f"{name}_o"]
    check("re", signed_field(mantissas, 0, mantissa), want.re.numpy(), re, im)
    check("im", signed_field(mantissas, mantissa, mantissa), want.im.numpy(), re, im)
    return parts[name].greatest, exponent.numpy()


@pytest.mark.parametrize("name", SHAPES)
def test_random_words(name):
    """Mantissas and exponents equal golden's `normalise`, and every exponent occurs."""
    rng = np.random.default_rng(2)
    width, _, grain = SHAPES[name]
    re, im = (hard_integers(rng, 60_000, width) for _ in range(2))
    greatest, exponents = compare(name, re, im)
    assert set(exponents.tolist()) == set(range(0, greatest + 1, grain))


@pytest.mark.parametrize("name", SHAPES)
def test_corners(name):
    """About powers of two, and about what rounds up to one, with any sign and either part."""
    width, mantissa, _ = SHAPES[name]
    lowest, highest = -(1 << width - 1), (1 << width - 1) - 1
    bounds = [1 << n for n in range(width)]
    bounds += [
        (1 << n) - (1 << k) for n in range(width) for k in range(max(0, n - mantissa - 1), n)
    ]
    near = {sign * (bound + d) for bound in bounds for sign in (1, -1) for d in (-1, 0, 1)}
    numbers = sorted(x for x in near if lowest <= x <= highest)
    others = [0, -1, 1, lowest, highest, 0x15555, -(1 << mantissa - 1)]
    re, im = (x.ravel() for x in np.meshgrid(numbers, others))
    compare(name, np.r_[re, im], np.r_[im, re])


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refused():
    """A mantissa or grain out of range is a ValueError."""
    with pytest.raises(ValueError, match="mantissa is 18, must be 2 to 17"):
        Normalise(width=18, mantissa=18)
    with pytest.raises(ValueError, match="grain is 3, must be a power of two"):
        Normalise(width=28, mantissa=18, grain=3)
    gc.collect()  # Amaranth warns of the unfinished object now, where it is expected
