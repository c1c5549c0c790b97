"""gen.core.update.unit: updated weights on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch

from backspike.gen.core.update.unit import SUM_TO_W, W_AT, WORD_AT, UpdateUnit
from backspike.golden import rules
from backspike.golden.half import from_bits, nearest, random_halves, to_bits
from backspike.golden.hash import mix
from backspike.ir.constants import LARGEST, PART_BITS, PART_TERMS
from backspike.ir.half_bits import half_bits
from backspike.ir.learning import Learning
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.fixed import hard_numbers
from tests.support.units import Recording, check, constant

COUNT = 25_000
WIDTH = 55
KEY = 0x9ABC_DEF0

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> ArrayBench:
    return ArrayBench(UpdateUnit(width=WIDTH), "update_unit")


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


def updated(rate: float, rounding: str, sums, old, words, live=None):
    """(weights, saturated) of the unit, uint64 (COUNT,); sums, old weights, words in bits."""

    def beside(array: np.ndarray, cycles: int = 0) -> np.ndarray:
        return np.pad(array, [(cycles, SUM_TO_W - cycles)])

    out = unit()(
        rate=constant(scaled(half_bits(rate)), 17, COUNT + SUM_TO_W)[:, 0],
        key=constant(KEY, 32, COUNT + SUM_TO_W)[:, 0],
        stochastic=np.full(COUNT + SUM_TO_W, rounding == "stochastic"),
        live=beside(np.ones(COUNT, bool) if live is None else live),
        sum=beside(sums),
        old=beside(old, W_AT),
        word=beside(words, WORD_AT),
    )
    return out["weight"][SUM_TO_W:], out["saturated"][SUM_TO_W:]


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("rate", [2.0**-6, 1.0, 2.0**-24, 5 * 2.0**-24, 0.1, 300.0, 65504.0])
def test_updates(rounding, rate):
    """Updated weights and saturation of hard sums equal golden's, for every rate and rounding."""
    rng = np.random.default_rng(31)
    numbers, terms = hard_numbers(rng, COUNT, WIDTH)
    source, neuron = rng.integers(0, 2**13, (2, COUNT))
    live = rng.random(COUNT) < 0.9
    learning = Learning(rate=rate, rounding=rounding)  # pyright: ignore[reportArgumentType]

    sums = tuple(x / 2.0**24 for x in terms[:2])
    a = Recording()
    gradient = a.round(*sums)
    old = olds(rng, gradient * from_bits(np.array([half_bits(rate)], np.uint16)))
    words = torch.from_numpy(source << 16 | neuron)
    random = mix(KEY, words) >> 16 if rounding == "stochastic" else None
    want = rules.update(a, learning, old, gradient, random)

    got, saturated = updated(rate, rounding, numbers, to_bits(old), source << 16 | neuron, live)
    check("weights", got, to_bits(want).astype(np.uint64))
    flags = (a.flags[0] | a.flags[1]).numpy() & live
    check("saturated", saturated, flags.astype(np.uint64))
    assert flags.any()
    assert (want.abs() < old.abs() / 64).double().mean() > 0.05  # cancelled


def decisive(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """A rate, sums and weights of which η d is half a place of the smallest halves and next to
    nothing more, below 2^-40: that alone decides where the difference is rounded to."""
    left, right = np.arange(1, 1024)[:, None], np.arange(1024, 2048)
    product = left * right
    found = []
    for half_place in range(17, 21):  # its bit in the product
        rest = product & (1 << half_place) - 1
        odd = product >> half_place & 1
        some = np.argwhere((rest > 0) & (rest < 1 << half_place - 15) & (odd == 1))
        found += [(a + 1, (b + 1024) << 23 - half_place) for a, b in some]
    rates, counts = np.unique([rate for rate, _ in found], return_counts=True)
    rate = rates[np.argmax(counts)]
    sums = rng.choice([d for a, d in found if a == rate], COUNT) * rng.choice([-1, 1], COUNT)
    return float(rate) * 2.0**-24, sums, rng.integers(-900, 900, COUNT)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_what_lies_below_decides(rounding):
    """Where bits far below the result alone decide the rounding, weights equal golden's."""
    rng = np.random.default_rng(7)
    rate, sums, weights = decisive(rng)
    exact = (weights << 24) - round(rate * 2.0**24) * sums  # units of 2^-48
    cut = np.abs(exact) >> 8 & 0xFFFF
    # Words whose random number just makes the magnitude go up, or just not.
    words = np.arange(1 << 20)
    drawn = (mix(KEY, torch.from_numpy(words)) >> 16).numpy()
    word_of = np.zeros(1 << 16, np.int64)
    word_of[drawn] = words
    words = word_of[(rng.integers(0, 2, COUNT) + 0xFFFF - cut) & 0xFFFF]

    a = Recording()
    random = mix(KEY, torch.from_numpy(words)) >> 16 if rounding == "stochastic" else None
    learning = Learning(rate=rate, rounding=rounding)  # pyright: ignore[reportArgumentType]
    old, gradient = (torch.from_numpy(x * 2.0**-24) for x in (weights, sums))
    want = rules.update(a, learning, old, gradient, random)
    got, _ = updated(rate, rounding, sums.astype(np.uint64) & np.uint64((1 << WIDTH) - 1),
                     to_bits(old), words)  # fmt: skip
    check("weights", got, to_bits(want).astype(np.uint64))


def test_parts_lose_nothing():
    """Sums of as many of the largest terms as there may be, shared with other parts in any way, are
    exact, of either sign; and so are those of which nearly nothing is left."""
    rng = np.random.default_rng(3)
    term, guard = int(LARGEST * 2**24), (1 << WIDTH - 41) - 1
    own = rng.integers(0, guard + 1, COUNT)
    own[:2] = 0, guard
    others = PART_TERMS - own
    sums = own * term * rng.choice([-1, 1], COUNT)
    rest = np.where(
        rng.random(COUNT) < 0.5, others * term, np.abs(sums) + rng.integers(0, 4, COUNT)
    )
    rest *= rng.choice([-1, 1], COUNT)
    assert max(abs(int(s) + int(r)) for s, r in zip(sums, rest, strict=True)) == PART_TERMS * term
    bench = ArrayBench(UpdateUnit(width=WIDTH, parts=True), "update_unit_parts")
    out = bench(
        sum=np.append(sums, 0).astype(np.uint64) & np.uint64((1 << WIDTH) - 1),
        others=np.append(rest, 0).astype(np.uint64),
        **{
            name: np.zeros(COUNT + 1, np.uint64)
            for name in ("rate", "key", "stochastic", "live", "old", "word")
        },
    )
    mask = (1 << PART_BITS) - 1
    want = [(int(s) + int(r)) & mask for s, r in zip(sums, rest, strict=True)]
    check("parts", out["part"][1:], np.array(want, np.uint64))
