"""HyRA: what is linear comes out as linear, to a rounding, and what is not does not."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv_transpose2d, interpolate, pad, relu

from backspike.golden import hyra
from backspike.ir.errors import UserError

ROUNDING = 1e-12
"""Of results near 1 from some thousand terms in float64: 2^-53 a term, and the DFTs' log2 of it."""


def pictures(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def transposed(kernel: torch.Tensor, scale: int, padding: int):
    """A network that is a filter: a transposed convolution. kernel (C, O, K, K)."""

    def network(x):
        full = conv_transpose2d(x, kernel.to(x), stride=scale)
        full = pad(full, (0, scale, 0, scale))
        return full[..., padding:, padding:][..., : scale * x.shape[2], : scale * x.shape[3]]

    return network


def naive(image: torch.Tensor, response: torch.Tensor, scale: int) -> torch.Tensor:
    """The sum that `linear_part` is defined by, term after term."""
    batch, channels, high, wide = image.shape
    r = response.shape[-1] // scale // 2

    def mirrored(k: int, size: int) -> int:
        while not 0 <= k < size:
            k = -k if k < 0 else 2 * (size - 1) - k
        return k

    out = torch.zeros(batch, response.shape[0], scale * high, scale * wide, dtype=torch.float64)
    for n in range(batch):
        for o in range(response.shape[0]):
            for y in range(scale * high):
                for x in range(scale * wide):
                    total = 0.0
                    for c in range(channels):
                        for k in range(y // scale - r, y // scale + r + 1):
                            for m in range(x // scale - r, x // scale + r + 1):
                                pixel = image[n, c, mirrored(k, high), mirrored(m, wide)]
                                a, b = y - scale * k + scale * r, x - scale * m + scale * r
                                total += float(pixel * response[o, c, a, b])
                    out[n, o, y, x] = total
    return out


@pytest.mark.parametrize(
    ("scale", "radius", "size"), [(1, 1, (4, 3)), (2, 2, (3, 2)), (3, 1, (2, 4))]
)
def test_linear_part_is_its_definition(scale, radius, size):
    """Against the sum in the docstring, pixel by pixel."""
    image = pictures(1, 1, 2, *size)
    side = scale * (2 * radius + 1)
    response = pictures(2, 2, 2, side, side) - 0.5
    got = hyra.linear_part(image, response, scale)
    assert (got - naive(image, response, scale)).abs().max() < ROUNDING


@given(
    scale=st.integers(1, 4),
    kernel=st.integers(1, 11),
    channels=st.integers(1, 3),
    outputs=st.integers(1, 3),
    batch=st.integers(1, 2),
    size=st.tuples(st.integers(6, 12), st.integers(6, 12)),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_filter_is_its_linear_part(scale, kernel, channels, outputs, batch, size, seed, data):
    """Away from the borders; and everywhere, if the network too mirrors what lies beyond them."""
    padding = data.draw(st.integers(0, kernel - 1))
    weights = pictures(seed, channels, outputs, kernel, kernel) - 0.5
    network = transposed(weights, scale, padding)
    reach = math.ceil(kernel / scale)  # pixels of the small picture
    image = pictures(seed + 1, batch, channels, *size)

    parts = hyra.split(network, image, radius=reach)
    inner = (..., slice(scale * reach, -scale * reach), slice(scale * reach, -scale * reach))
    if min(size) > 2 * reach:
        assert parts.nonlinear[inner].abs().max() < ROUNDING
    assert parts.scale == scale
    assert (parts.linear + parts.nonlinear - parts.output).abs().max() < ROUNDING

    def mirroring(x):
        wide = network(pad(x, (reach,) * 4, mode="reflect"))
        return wide[..., scale * reach :, scale * reach :][
            ..., : scale * x.shape[2], : scale * x.shape[3]
        ]

    if reach < min(size):
        parts = hyra.split(mirroring, image, radius=reach + 1)
        assert parts.nonlinear.abs().max() < ROUNDING


@given(
    bright=st.floats(-4, 4).filter(lambda x: abs(x - 0.25) > 0.1),
    bias=st.floats(-2, 2),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=20, deadline=None)
def test_response_of_a_filter_is_its_kernel(bright, bias, seed):
    """Whatever is added to every picture, and however bright the pixel and the rest are."""
    weights = pictures(seed, 2, 3, 6, 6) - 0.5
    network = transposed(weights, 2, 1)
    response = hyra.impulse_response(
        lambda x: network(x) + bias, 3, 2, bright=bright, dark=0.25, dtype=torch.float64
    )
    want = torch.zeros(3, 2, 14, 14, dtype=torch.float64)
    want[..., 5:11, 5:11] = weights.transpose(0, 1)  # 2 · radius, less the padding
    assert (response - want).abs().max() < ROUNDING


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_interpolation_is_linear(scale, mode):
    """PyTorch's interpolations have no non-linear part away from borders."""

    def network(x):
        return interpolate(x, scale_factor=scale, mode=mode)

    image = pictures(3, 1, 1, 14, 11)
    parts = hyra.split(network, image, radius=3)
    inner = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -3 * scale))
    assert parts.nonlinear[inner].abs().max() < ROUNDING
    # Float32, in which such networks are: 2^-24 for each of some ten operations on 0..1.
    parts = hyra.split(network, image.float(), radius=3)
    assert parts.nonlinear[inner].abs().max() < 1e-6


def test_what_is_not_linear_is_not():
    """A square, an added constant and a rectifier are in the non-linear part."""
    image = pictures(4, 1, 1, 12, 12)

    def nearest(x):
        return interpolate(x, scale_factor=2, mode="nearest")

    squared = hyra.split(lambda x: nearest(x) ** 2, image, radius=2)
    assert (squared.nonlinear - (squared.output - nearest(image))).abs().max() < ROUNDING
    assert hyra.energy_share(squared.nonlinear, squared.output) > 0.05
    # A constant that is added is no filter either: all of it is in the non-linear part.
    biased = hyra.split(lambda x: nearest(x) + 0.5, image, radius=2)
    assert (biased.nonlinear - 0.5).abs().max() < ROUNDING
    # A rectifier in mid-range does nothing to the impulse, and much to the picture.
    bent = hyra.split(lambda x: nearest(x) + relu(0.5 - nearest(x)) - 0.5, image, radius=2)
    assert bent.nonlinear.abs().max() > 0.1


def test_any_callable():
    """Modules, objects, functions and what goes through NumPy."""
    image = pictures(5, 1, 1, 9, 9, dtype=torch.float32)
    deconvolution = torch.nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False)

    class Twice:
        def __call__(self, x):
            return interpolate(x, scale_factor=2, mode="nearest") * 2

    def through_numpy(x):
        return torch.from_numpy(np.kron(x.numpy(), np.ones((3, 3), np.float32)))

    for network, scale in (
        (deconvolution, 2),
        (Twice(), 2),
        (partial(interpolate, scale_factor=4, mode="bilinear"), 4),
        (through_numpy, 3),
    ):
        parts = hyra.split(network, image, radius=2)
        assert parts.scale == scale
        assert parts.response.shape == (1, 1, 5 * scale, 5 * scale)
        assert not parts.output.requires_grad
        inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
        assert parts.nonlinear[inner].abs().max() < 1e-6


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_ideal_low_pass(scale):
    """It is 1 at its centre and 0 at every other pixel's, and passes nothing above its limit."""
    radius = 24
    kernel = hyra.ideal_low_pass(scale, radius, centre=scale * radius)
    taken = kernel[::scale, ::scale]
    want = torch.zeros_like(taken)
    want[radius, radius] = 1
    assert (taken - want).abs().max() < ROUNDING
    assert hyra.high_share(kernel, scale) < 0.03  # what a cut-off sinc has: 2 / (π² radius) of it
    kernel = hyra.ideal_low_pass(scale, radius)
    assert torch.equal(kernel, kernel.flip(0))
    assert torch.equal(kernel, kernel.T)
    if scale > 1:
        # A wave that the small picture can hold goes through unchanged, one for every phase: the
        # tail that is cut off is below 1 / (π radius) a direction.
        t = (torch.arange(80, dtype=torch.float64) + 0.5) * 2 * math.pi * 0.2
        wave = torch.cos(t)[:, None] * torch.cos(0.5 * t)
        fine = (torch.arange(80 * scale, dtype=torch.float64) + 0.5) / scale * 2 * math.pi * 0.2
        want = torch.cos(fine)[:, None] * torch.cos(0.5 * fine)
        got = hyra.linear_part(wave[None, None], kernel[None, None], scale)[0, 0]
        inner = (slice(30 * scale, -30 * scale), slice(30 * scale, -30 * scale))
        assert (got[inner] - want[inner]).abs().max() < 2 / (math.pi * radius)


def test_sinc_correlation():
    """1 for the kernel, -1 for its negative, NumPy's coefficient for others."""
    for scale in (2, 3, 4):
        kernel = hyra.ideal_low_pass(scale, 8)
        assert hyra.sinc_correlation(3 * kernel + 1, scale) == pytest.approx(1, abs=ROUNDING)
        assert hyra.sinc_correlation(-kernel, scale) == pytest.approx(-1, abs=ROUNDING)
        corner = hyra.ideal_low_pass(scale, 8, centre=8 * scale)
        assert hyra.sinc_correlation(corner, scale) < 0.95
        assert hyra.sinc_correlation(corner, scale, centre=8 * scale) == pytest.approx(1)
        want = [
            float(np.corrcoef(x.flatten(), kernel.flatten())[0, 1])
            for x in pictures(scale, 4, *kernel.shape)
        ]
        got = hyra.sinc_correlation(
            pictures(scale, 4, *kernel.shape).reshape(2, 2, *kernel.shape), scale
        )
        assert got.flatten().tolist() == pytest.approx(want, abs=ROUNDING)
        # Interpolation comes the nearer to the sinc, the smoother it is.
        near = [
            float(hyra.sinc_correlation(hyra.impulse_response(
                partial(interpolate, scale_factor=scale, mode=mode), 8), scale))
            for mode in ("nearest", "bilinear", "bicubic")
        ]  # fmt: skip
        assert near[0] < near[2] < 1
        assert near[1] < near[2]


def test_spectrum_has_its_middle_in_the_middle():
    """A wave's lines lie around frequency 0, for even and odd sizes."""
    for high, wide in ((8, 6), (7, 9)):
        y, x = torch.arange(high)[:, None], torch.arange(wide)
        wave = torch.cos(2 * math.pi * (y / high + 2 * x / wide)).double() + 3
        got = hyra.spectrum(wave[None])[0]
        want = torch.zeros(high, wide, dtype=torch.float64)
        want[high // 2, wide // 2] = 3 * high * wide
        for sign in (1, -1):
            want[high // 2 + sign, wide // 2 + 2 * sign] = high * wide / 2
        assert (got - want.log1p()).abs().max() < 1e-6 * high * wide


def test_high_share():
    """Of waves below and above the limit, of their sum, and of a flat picture."""
    at = torch.arange(32, dtype=torch.float64) + 0.5
    low = torch.cos(math.pi * 6 * at / 32).expand(32, 32)  # 6 / 64 a pixel
    high = torch.cos(math.pi * 20 * at / 32).expand(32, 32)
    for wave in (low, low.T):
        assert hyra.high_share(wave, 4) == pytest.approx(0, abs=ROUNDING)
        assert hyra.high_share(wave, 6) == pytest.approx(1, abs=ROUNDING)
    assert hyra.high_share(low + 0.5 * high.T + 9, 2) == pytest.approx(0.2, abs=ROUNDING)
    assert hyra.high_share(torch.ones(3, 5), 2) == 0


IMAGE = torch.ones(1, 1, 3, 4)


def same(x):
    return x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hyra.split(same, torch.ones(3, 4)), "image has the shape (3, 4), must"),
        (lambda: hyra.split(lambda x: x[..., 1:], IMAGE), "the network made (1, 1, 3, 3) of"),
        (lambda: hyra.split(lambda x: x[0], IMAGE), "the network made (1, 3, 4) of"),
        (lambda: hyra.split(lambda x: None, IMAGE), "returned a NoneType, must be a tensor"),
        (lambda: hyra.impulse_response(same, -1), "radius is -1"),
        (lambda: hyra.impulse_response(same, 1, 0), "channels is 0"),
        (lambda: hyra.impulse_response(same, 1, bright=0.5, dark=0.5), "0.5 on 0.5"),
        (
            lambda: hyra.linear_part(IMAGE, torch.ones(1, 1, 4, 4), 2),
            "response has the shape (1, 1, 4, 4) at scale 2, must have squares",
        ),
        (
            lambda: hyra.linear_part(torch.ones(1, 3, 3, 4), torch.ones(1, 1, 6, 6), 2),
            "response has the shape (1, 1, 6, 6), must have (O, 3, …) for pictures of 3 channels",
        ),
        (
            lambda: hyra.nonlinear_part(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 5)),
            "output has the shape (1, 1, 4, 4), must have that of its linear part, (1, 1, 4, 5)",
        ),
        (lambda: hyra.ideal_low_pass(0), "scale is 0"),
        (lambda: hyra.sinc_correlation(torch.ones(6, 6), 2), "is the same everywhere"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    """One line that says what is wrong and what is allowed."""
    with pytest.raises(UserError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
