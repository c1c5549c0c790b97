"""The whole spectral unit behind its host port: golden's bits, at every size, in any order."""

import pytest
import torch

from backspike.drive.spectral_backend import SpectralRTL
from backspike.gen.spectral.analysis import Analysis
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.passes import run_cycles
from backspike.golden.spectral import Samples, samples, similarity, sums, transform
from backspike.spectral.photographs import grey, photograph
from tests.support.spectral_pairs import KINDS, pair
from tests.support.spectral_runs import (
    SIZES,
    SMALL,
    check_sums,
    check_transforms,
    random_pair,
    random_samples,
    same_samples,
    same_sums,
)

pytestmark = pytest.mark.verilator

START = 4
"""Cycles of a run beside those of its passes and its sums, at the most."""


@pytest.fixture(scope="module")
def unit():
    unit = SpectralRTL(SMALL)
    yield unit
    unit.close()


def crop(name: str, top: int, left: int, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(grey(photograph(name)))[0, top : top + height, left : left + width]


def logs(*sizes: int) -> list[int]:
    return [size.bit_length() - 1 for size in sizes]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_sums_of_a_pair(unit, height, width):
    """Sums of random and real pairs of every size are golden's, within the bound on cycles."""
    check_sums(unit, *random_pair(height * width, height, width))
    passes = run_cycles(SMALL, *logs(height, width))
    assert 0 < unit.cycles - passes <= 3 * height + Analysis.latency + START
    for name, top, left in (("camera", 100, 230), ("coins", 40, 60), ("brick", 200, 7)):
        image, reference = (
            crop(name, top, left, height, width),
            crop(name, top + 1, left, height, width),
        )
        check_sums(unit, image, reference)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 32), (16, 8)])
def test_sums_of_extreme_pairs(unit, kind, height, width):
    """Made of pixels, as the unit takes them: 0 to 255."""
    numbers = pair(kind, height, width)
    image, reference = ((part >> 10) + 128 for part in numbers[:2])
    assert all(map(torch.equal, samples(image, reference, 8), numbers))
    check_sums(unit, image, reference)


def test_similarity_of_photographs(unit):
    """From the unit's sums, over three channels: the figure that golden has."""
    reference = torch.from_numpy(photograph("chelsea"))[:, 100:132, 200:232]
    image = (reference.float() * 0.9 + 20 * torch.rand(3, 32, 32)).round().clamp(0, 255).byte()
    got = [unit.sums(one, other) for one, other in zip(image, reference, strict=True)]
    want = [sums(samples(*planes, 8)) for planes in zip(image, reference, strict=True)]
    assert similarity(got, 32, 32) == similarity(want, 32, 32)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_transforms(unit, height, width):
    """Transforms and their continuations at every size are golden's, within the bound on cycles."""
    numbers = random_samples(height + 37 * width, height, width)
    check_transforms(unit, numbers)
    assert 0 < unit.cycles - run_cycles(SMALL, *logs(height, width)) <= START
    check_transforms(unit, pair("smooth", height, width))


def test_a_small_image_in_the_store_of_a_large_one(unit):
    """What is left of other samples, and of other runs' exponents, is without effect."""
    large = random_samples(1, 32, 32)
    unit.transform(large)
    unit.onward()  # large exponents everywhere
    check_sums(unit, *random_pair(2, 8, 16))
    unit.transform(large)
    check_transforms(unit, random_samples(3, 16, 8))
    want = transform(large)
    same_samples(unit.transform(large), want)


def test_sums_stay_until_the_next_pair(unit):
    """A transform leaves the sums of the last pair as they are."""
    image, reference = random_pair(8, 16, 32)
    want = unit.sums(image, reference)
    unit.transform(random_samples(9, 32, 8))
    same_sums(unit.driver.sums(), want)
    check_sums(unit, *random_pair(10, 32, 16))


@pytest.mark.parametrize("seed", range(40))
def test_runs_of_any_kind_after_each_other(unit, seed):
    """Random sizes, kinds and data; the host port stalls in half of them."""
    random = torch.Generator().manual_seed(seed)

    def draw(n: int) -> int:
        return int(torch.randint(n, (), generator=random))

    unit.simulator.stall((0, 0.4)[seed % 2], seed + 1)
    for _ in range(4):
        height, width = SIZES[draw(len(SIZES))]
        kind = draw(4)
        if kind == 0:
            check_sums(unit, *random_pair(draw(10**6), height, width))
        elif kind == 1:
            back = bool(draw(2))
            numbers = random_samples(draw(10**6), height, width)
            same_samples(unit.transform(numbers, back=back), transform(numbers, back=back))
        elif kind == 2:
            # Nearly all samples small: a line's exponents spread after a pass.
            small = torch.randint(-3, 4, (2, height, width), generator=random)
            small[:, draw(height), draw(width)] = (1 << 17) - 1
            numbers = Samples(*small, torch.zeros_like(small[0]))
            want = transform(numbers)
            same_samples(unit.transform(numbers), want)
            same_samples(unit.onward(back=True), transform(want, back=True))
        else:
            check_sums(unit, *((part >> 10) + 128 for part in pair("steps", height, width)[:2]))
    unit.simulator.stall(0)


def test_the_smallest_unit_with_pixels_of_16_bits():
    """A unit of 8 x 8 with 16-bit pixels gives golden's sums and transforms."""
    unit = SpectralRTL(SpectralMachine(name="spectral-8x16", size=8, pixel_bits=16))
    for seed in range(5):
        check_sums(unit, *random_pair(seed, 8, 8, bits=16))
    for kind in KINDS:
        numbers = pair(kind, 8, 8, bits=16)
        check_sums(unit, *((part >> 2) + (1 << 15) for part in numbers[:2]))
    check_transforms(unit, random_samples(1, 8, 8))
    unit.close()
