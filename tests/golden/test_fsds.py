"""FSDS against the definition a second time, by sums of exponentials and loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.golden.fsds import cumulative, fsds, halves, normalise
from backspike.ir.errors import UserError

SIZES = [(1, 3), (1, 4), (4, 1), (2, 2), (3, 3), (3, 5), (4, 6), (5, 4), (6, 5), (7, 2), (8, 8)]
BOUND = 1e-9
"""dB. Up to 200 pixels, both ways lose at most some 1e-13 of a cumulative spectrum; at F dB the
difference is 10^(-F/20) of it, so F moves by 8.7e-13 * 10^(F/20): 1e-9 up to 60 dB."""


def naive_normalised(image: list) -> list:
    """(C, H, W) in nested lists less its mean, over its unbiased deviation; with an even H."""
    pixels = [x for channel in image for row in channel for x in row]
    mean = math.fsum(pixels) / len(pixels)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in pixels) / (len(pixels) - 1))
    normalised = [[[(x - mean) / deviation for x in row] for row in channel] for channel in image]
    for channel in normalised:
        if len(channel) % 2:
            channel.append([0.0] * len(channel[0]))
    return normalised


def naive_cumulated(channel: list) -> list:
    """The two cumulated halves of the spectrum of (H, W), H even, flattened to one list."""
    x = np.array(channel)
    h, w = x.shape
    s = np.empty((h, w), complex)  # s[m, n] = Σ x e^(-2πi (m y / H + n x / W)), all of it
    for m in range(h):
        for n in range(w):
            turns = np.add.outer(np.arange(h) * m / h, np.arange(w) * n / w)
            terms = x * np.exp(-2j * np.pi * turns)
            s[m, n] = complex(math.fsum(terms.real.flat), math.fsum(terms.imag.flat))
    sums = []
    for rows in (range(h // 2), range(h - 1, h // 2 - 1, -1)):
        for i in range(h // 2):
            for j in range(w // 2 + 1):
                sums.append(sum(s[m, n] for m in list(rows)[: i + 1] for n in range(j + 1)))
    return sums


def naive_fsds(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Of one pair (C, H, W)."""
    a, b = (
        [c for channel in naive_normalised(x.tolist()) for c in naive_cumulated(channel)]
        for x in (image, reference)
    )
    difference = math.fsum(abs(p - q) ** 2 for p, q in zip(a, b, strict=True))
    return -10 * math.log10(difference / math.fsum(abs(q) ** 2 for q in b))


def noisy_pair(shape, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    reference = torch.rand(shape, generator=g, dtype=torch.float64)
    return reference + 0.2 * torch.randn(shape, generator=g, dtype=torch.float64), reference


def smooth_pair(shape=(3, 32, 48)) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of a few waves, and its bytes."""
    y, x = torch.meshgrid(torch.arange(shape[1]) / 9, torch.arange(shape[2]) / 7, indexing="ij")
    picture = torch.stack([torch.sin(x * c + y) * torch.cos(y * y / c) for c in range(1, 4)])
    return (picture * 100 + 128).round().to(torch.uint8), picture


# ---------------------------------------------------------------------------------- the definition


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_definition(channels, height, width):
    """Against naive loops in NumPy, for one and more channels, odd and even sizes."""
    image, reference = noisy_pair((channels, height, width), height * 10 + width)
    got = fsds(image, reference)
    assert got.dtype == torch.float64
    assert got.shape == ()
    assert abs(got.item() - naive_fsds(image, reference)) < BOUND


def test_a_batch_is_its_images():
    """Leading dimensions are images apart."""
    image, reference = noisy_pair((2, 4, 3, 5, 6), 1)
    got = fsds(image, reference)
    assert got.shape == (2, 4)
    for i, j in np.ndindex(2, 4):
        assert abs(got[i, j].item() - naive_fsds(image[i, j], reference[i, j])) < BOUND


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.uint16, torch.int64, torch.half, torch.bool]
)
def test_any_real_dtype(dtype):
    """Integers and floats of any width give the float64 figure."""
    image, reference = noisy_pair((2, 5, 7), 3)
    image, reference = ((x * 4).round().clamp(0, 5).to(dtype) for x in (image, reference))
    want = naive_fsds(image.double(), reference.double())
    assert abs(fsds(image, reference).item() - want) < BOUND


def test_mean_and_deviation_are_of_all_channels():
    """Not of each: against numbers by hand."""
    x = normalise(torch.tensor([[[1, 3]], [[5, 7]]]))
    # mean 4; deviation² = (9 + 1 + 1 + 9) / 3
    want = torch.tensor([[[-3.0, -1]], [[1, 3]]]).double() / math.sqrt(20 / 3)
    assert (x - want).abs().max() < 2.0**-51
    assert x.dtype == torch.float64


def test_halves_run_from_low_to_high_frequency():
    """Waves of one row frequency: +f lies in row f of the lower half, -f in row f - 1 of the
    upper; a column frequency where it is."""
    y, x = np.mgrid[:8, :6]
    for f, half, row in ((0, 0, 0), (3, 0, 3), (-1, 1, 0), (-4, 1, 3)):
        wave = torch.from_numpy(np.cos(2 * np.pi * (f * y / 8 + 2 * x / 6)))
        s = halves(wave.unsqueeze(0))
        assert s.shape == (1, 2, 4, 4)
        assert s.abs().argmax() == (half * 4 + row) * 4 + 2
        assert (s.abs() > 1e-12).sum() == 1


def test_an_odd_height_gets_a_row_of_zeros():
    """Its halves are those of the picture with one zero row more."""
    x, _ = noisy_pair((1, 5, 4), 8)
    padded = torch.cat([x, torch.zeros(1, 1, 4)], 1)
    assert torch.equal(halves(x), halves(padded))
    assert halves(x).shape == (1, 2, 3, 3)


def test_cumulative_sums():
    """Against numbers by hand."""
    assert cumulative(torch.tensor([[1, 2, 3], [10, 20, 30]])).tolist() == [[1, 3, 6], [11, 33, 66]]


# -------------------------------------------------------------------------------- known properties


def test_identical_images_are_infinitely_alike():
    """+inf, of other dtypes and orders in memory, and beside others in a batch."""
    image, _ = smooth_pair()
    assert fsds(image, image) == math.inf
    assert fsds(image.double(), image) == math.inf
    shuffled = image.permute(2, 0, 1).contiguous().permute(1, 2, 0)  # another order in memory
    assert fsds(shuffled, image) == math.inf
    both = fsds(torch.stack([image, image.flip(1)]), torch.stack([image, image]))
    assert both[0] == math.inf
    assert both[1] < 30


@settings(max_examples=20, deadline=None)
@given(
    gain=st.floats(0.01, 100), offset=st.floats(-1000, 1000), other=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_brightness_and_contrast_do_not_matter(gain, offset, other, seed):
    """Of either picture."""
    image, reference = noisy_pair((1, 7, 8), seed)
    got = fsds(gain * image + offset, other * reference - offset)
    # An offset 1e5 times the contrast leaves 1e-11 of the contrast: 1e-8 dB at some 10 dB.
    assert abs(got - fsds(image, reference)) < 1e-8


def test_a_negative_is_twice_its_reference_away():
    """The figure is -10 log10 4 dB."""
    image, _ = smooth_pair()
    assert abs(fsds(-image.double(), image) + 10 * math.log10(4)) < BOUND


def test_it_is_not_symmetric():
    """Swapping the two changes it by the ratio of their energies."""
    image, reference = noisy_pair((1, 8, 8), 5)
    a, b = (cumulative(halves(normalise(x))).abs().pow(2).sum() for x in (image, reference))
    change = fsds(image, reference) - fsds(reference, image)
    assert abs(change) > 0.01
    assert abs(change - 10 * torch.log10(b / a)) < BOUND


def test_more_blur_is_less_alike():
    """Six blurs one upon the other give falling figures."""
    picture = torch.from_numpy(np.random.default_rng(1).random((1, 40, 41)))
    blurred, figures = picture, []
    for _ in range(6):
        wide = torch.nn.functional.pad(blurred, (1, 1, 1, 1), mode="replicate")
        blurred = torch.nn.functional.avg_pool2d(wide, 3, stride=1)
        figures.append(fsds(blurred, picture).item())
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > figures[-1] + 1


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.full((1, 4, 4), 0.1).double(), "is 0.1 everywhere: contrast is needed"),
        (torch.zeros(1, 1, 1), "is 0 everywhere"),
        (torch.tensor([[[1, math.nan]]]), r"at \[0, 0, 1\] is nan, must be finite"),
        (torch.tensor([[[1], [-math.inf]]]), r"at \[0, 1, 0\] is -inf"),
        (
            torch.zeros(1, 2, 2, dtype=torch.complex64),
            "is torch.complex64, must be of real numbers",
        ),
        (torch.zeros(4, 4), r"has the shape \(4, 4\), must have \(\.\.\., C, H, W\)"),
        (torch.zeros(0, 4, 4), r"has the shape \(0, 4, 4\)"),
        (torch.zeros(0, 1, 4, 4), r"has the shape \(0, 1, 4, 4\)"),
        (torch.zeros(2, 1, 0, 4), r"has the shape \(2, 1, 0, 4\)"),
        (torch.tensor([[[1e300, -1e300]]], dtype=torch.float64), "has the deviation inf"),
        (torch.tensor([[[1e-320, 0]]], dtype=torch.float64), "has the deviation 0"),
    ],
)
def test_images_without_a_figure(pixels, message):
    """The error says what is wrong with the pixels."""
    with pytest.raises(UserError, match=f"^the image {message}"):
        fsds(pixels, pixels)


def test_a_reference_without_a_figure():
    """The error says that it is the reference."""
    image, _ = smooth_pair()
    with pytest.raises(UserError, match=r"^the reference is 3 everywhere"):
        fsds(image, torch.full_like(image, 3))


def test_an_error_names_the_image_of_a_batch():
    """By its indices."""
    image, reference = noisy_pair((2, 3, 1, 4, 4), 1)
    image[1, 2] = 7
    with pytest.raises(UserError, match=r"^the image \[1, 2\] is 7 everywhere"):
        fsds(image, reference)
    reference[0, 1] *= 1e200
    with pytest.raises(UserError, match=r"^the reference \[0, 1\] has the deviation inf"):
        fsds(torch.rand_like(reference), reference)


def test_shapes_that_differ():
    """The error says both shapes."""
    image, _ = smooth_pair()
    with pytest.raises(
        UserError,
        match=r"the image is \(3, 32, 47\) and the reference \(3, 32, 48\), must have equal",
    ):
        fsds(image[..., :-1], image)
