"""gen.core.update_unit: updated weights on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch
from fixed import hard_numbers
from units import GivenSums, check, constant

from backspike.gen.core.update_unit import SUM_TO_W, W_AT, WORD_AT, UpdateUnit
from backspike.golden import rules
from backspike.golden.half import from_bits, nearest, random_halves, to_bits
from backspike.golden.hash import mix
from backspike.network import Learning
from backspike.sim.bulk import Bulk
from backspike.tables import half_bits

COUNT = 25_000
WIDTH = 55
KEY = 0x9ABC_DEF0

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> Bulk:
    return Bulk(UpdateUnit(width=WIDTH), "update_unit")


def scaled(bits: int) -> int:
    """A half as the unit's `Scaled`, from its definition."""
    exponent = bits >> 10 & 31
    significand = bits & 1023 | (1024 if exponent else 0)
    return significand | max(1, exponent) << 11 | bits >> 15 << 16


def olds(rng: np.random.Generator, change: torch.Tensor) -> torch.Tensor:
    """Weights: any, and some that the change takes to near zero."""
    generator = torch.Generator().manual_seed(31)
    some = random_halves((COUNT,), generator)
    near = nearest(change.clamp(-65504.0, 65504.0))
    steps = torch.from_numpy(1 + rng.integers(-2, 3, COUNT) * 2.0**-10)
    kind = torch.from_numpy(rng.integers(0, 4, COUNT))
    close = nearest((near * steps).clamp(-65504.0, 65504.0))
    return torch.where(kind == 0, near, torch.where(kind == 1, close, some)) + 0.0


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("rate", [2.0**-6, 1.0, 2.0**-24, 5 * 2.0**-24, 0.1, 300.0, 65504.0])
def test_updates(rounding, rate):
    rng = np.random.default_rng(31)
    numbers, terms = hard_numbers(rng, COUNT, WIDTH)
    source, neuron = rng.integers(0, 2**13, (2, COUNT))
    live = rng.random(COUNT) < 0.9
    learning = Learning(rate=rate, rounding=rounding)

    sums = tuple(x / 2.0**24 for x in terms[:2])
    a = GivenSums(sums)
    gradient = a.round(*sums)
    old = olds(rng, gradient * from_bits(np.array([half_bits(rate)], np.uint16)))
    words = torch.from_numpy(source << 16 | neuron)
    random = mix(KEY, words) >> 16 if rounding == "stochastic" else None
    want = rules.update(a, learning, old, gradient, random)

    def beside(array: np.ndarray, cycles: int = 0) -> np.ndarray:
        return np.pad(array, [(cycles, SUM_TO_W - cycles)])

    out = unit()(
        rate=constant(scaled(half_bits(rate)), 17, COUNT + SUM_TO_W)[:, 0],
        key=constant(KEY, 32, COUNT + SUM_TO_W)[:, 0],
        stochastic=np.full(COUNT + SUM_TO_W, rounding == "stochastic"),
        live=beside(live),
        sum=beside(numbers),
        old=beside(to_bits(old), W_AT),
        word=beside(source << 16 | neuron, WORD_AT),
    )
    check("weights", out["weight"][SUM_TO_W:], to_bits(want).astype(np.uint64))
    flags = (a.flags[0] | a.flags[1]).numpy() & live
    check("saturated", out["saturated"][SUM_TO_W:], flags.astype(np.uint64))
    assert flags.any()
    assert (want.abs() < old.abs() / 64).double().mean() > 0.05  # cancelled
