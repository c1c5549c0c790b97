"""Degradations against the same done another way, and the pairs that FSDS is measured over."""

from functools import cache

import numpy as np
import pytest
import torch

from backspike.golden.fsds import fsds
from backspike.ir.errors import UserError
from backspike.spectral import degrade
from backspike.spectral.photographs import crop, photograph

ALL = {
    "bicubic": lambda pixels: degrade.bicubic(pixels, 3),
    "blur": lambda pixels: degrade.blur(pixels, 1.5),
    "noise": lambda pixels: degrade.noise(pixels, 10, 1),
    "jpeg": lambda pixels: degrade.jpeg(pixels, 50),
}
SHAPES = [(1, 40, 50), (3, 31, 17), (1, 1, 1), (3, 2, 9)]


@cache
def pairs(size: int) -> list[degrade.Pair]:
    return degrade.pairs(size)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_and_dtype_stay(kind, shape):
    """A degradation keeps shape and dtype, and leaves its input alone."""
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    before = pixels.copy()
    degraded = ALL[kind](pixels)
    assert degraded.shape == shape
    assert degraded.dtype == np.uint8
    assert degraded.flags.writeable
    assert (pixels == before).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["camera", "chelsea"])
def test_bicubic_is_torchs(scale, name):
    """The bicubic degradation equals torch's antialiased interpolation but for roundings."""
    # 127 is continued by one pixel or, for 3, by two.
    pixels = crop(photograph(name), 127)
    room = -127 % scale
    x = torch.from_numpy(np.pad(pixels, ((0, 0), (0, room), (0, room)), mode="symmetric")).double()

    def resized(x, side):
        for size in ((x.shape[-2], side), (side, side)):  # as Pillow: across, rounded, then down
            x = torch.nn.functional.interpolate(x[None], size, mode="bicubic", antialias=True)[0]
            x = x.round().clamp(0, 255)
        return x

    side = 127 + room
    want = resized(resized(x, side // scale), side)[:, :127, :127].numpy()
    difference = abs(degrade.bicubic(pixels, scale) - want)
    # What lies half-way may be rounded the other way, in each of the four passes.
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.02
    assert abs(pixels - want).max() > 20


@pytest.mark.parametrize("sigma", [0.6, 1, 2.5])
def test_blur_is_a_sum_of_neighbours(sigma):
    """Blur equals a direct sum over a Gaussian window, rounded."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, 12, 15), np.uint8)
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    wide = np.pad(pixels.astype(float), ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    got = degrade.blur(pixels, sigma)
    for c, y, x in np.ndindex(got.shape):
        window = wide[c, y : y + 2 * reach + 1, x : x + 2 * reach + 1]
        assert abs(got[c, y, x] - kernel @ window @ kernel) < 0.5 + 1e-9


def test_noise():
    """Noise has mean 0, the given deviation, independent channels, and repeats with its seed."""
    grey = np.full((3, 200, 200), 128, np.uint8)
    noisy = degrade.noise(grey, 10, 1) - 128.0
    # 120,000 samples: mean and deviation are known to 0.03 and 0.02; rounding adds 1/12 to 100.
    assert abs(noisy.mean()) < 0.15
    assert abs(noisy.std() - 10) < 0.1
    assert abs(np.corrcoef(noisy.reshape(3, -1)) - np.eye(3)).max() < 0.03
    assert (degrade.noise(grey, 10, 1) == noisy + 128).all()
    assert (degrade.noise(grey, 10, 2) != noisy + 128).any()


def test_noise_is_cut_at_black_and_white():
    """Noise stops at black and white instead of wrapping around."""
    pixels = np.zeros((1, 60, 60), np.uint8)
    pixels[:, 30:] = 255
    noisy = degrade.noise(pixels, 30, 1)
    assert noisy[:, :30].max() < 200
    assert noisy[:, 30:].min() > 55
    assert 0.4 < (noisy == pixels).mean() < 0.6


def test_jpeg_gets_worse_with_less_quality():
    """JPEG's error grows as its quality falls."""
    for name in ("camera", "chelsea"):
        pixels = crop(photograph(name), 128)
        errors = [
            (degrade.jpeg(pixels, q).astype(float) - pixels).std() for q in (100, 95, 75, 20, 5)
        ]
        assert errors == sorted(errors)
        assert 0 < errors[0] < 4
        assert errors[-1] > 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: degrade.bicubic(p, 1), "scale is 1, must be 2 or more"),
        (lambda p: degrade.blur(p, 0), "sigma is 0, must be a number of pixels above 0"),
        (lambda p: degrade.blur(p, float("nan")), "sigma is nan"),
        (lambda p: degrade.noise(p, -1, 1), "deviation is -1, must be a number of grey"),
        (lambda p: degrade.noise(p, float("inf"), 1), "deviation is inf"),
        (lambda p: degrade.jpeg(p, 0), "quality is 0, must be 1 to 100"),
        (lambda p: degrade.jpeg(p, 101), "quality is 101"),
    ],
)
def test_bad_parameters(call, message):
    """Parameters out of range are UserErrors that name the parameter and its range."""
    with pytest.raises(UserError, match=message):
        call(np.zeros((1, 8, 8), np.uint8))


# ------------------------------------------------------------------------------------------- pairs


@pytest.mark.parametrize("size", [128, 256])
def test_pairs_span_10_to_50_db(size):
    """The pairs reach from 10 to 50 dB, at least four in each 10 dB."""
    figures = [
        fsds(torch.from_numpy(pair.degraded), torch.from_numpy(pair.reference)).item()
        for pair in pairs(size)
    ]
    assert len(figures) >= 24
    assert 10 < min(figures) < 11
    assert 49 < max(figures) < 50
    tens, _ = np.histogram(figures, [10, 20, 30, 40, 50])
    assert (tens >= 4).all()


def test_pairs_are_of_all_kinds():
    """Every degradation comes with grey and with colour pairs, and names differ."""
    some = pairs(128)
    names = [pair.name for pair in some]
    assert len(set(names)) == len(names)
    assert "astronaut RGB, bicubic x2" in names
    for kind in ("bicubic x2", "bicubic x3", "bicubic x4", "blur", "noise", "JPEG"):
        channels = {len(p.reference) for p in some if p.degradation.startswith(kind)}
        assert channels == {1, 3}, kind


def test_pairs_are_what_they_say():
    """Degrading a pair's reference as its name says gives its degraded picture again."""
    for pair in pairs(128):
        assert pair.reference.shape == pair.degraded.shape
        assert pair.reference.shape[1:] == (128, 128)
        assert pair.reference.dtype == pair.degraded.dtype == np.uint8
        kind, amount = pair.degradation.split()
        again = {
            "bicubic": lambda p, a: degrade.bicubic(p, int(a[1:])),
            "blur": lambda p, a: degrade.blur(p, float(a)),
            "noise": lambda p, a: degrade.noise(p, float(a), degrade.SEED),
            "JPEG": lambda p, a: degrade.jpeg(p, int(a)),
        }[kind](pair.reference, amount)
        assert (again == pair.degraded).all(), pair.name


def test_pairs_larger_than_a_photograph():
    """Pairs larger than the photographs are a UserError."""
    with pytest.raises(UserError, match="the crop is 512 pixels wide, must be 1 to"):
        degrade.pairs(512)
