"""HyRA: hybrid response analysis of a super-resolution network (arXiv 2405.07919).

A network N, any callable that takes pictures (N, C, h, w) to (N, O, s·h, s·w), is seen as a linear
filter and a non-linear rest side by side: N(x) = linear(x) + nonlinear(x). The filter is what N
makes of a single bright pixel. Pictures are in 0..1: the bright pixel is 1 among 0 unless the
caller wants another.

Positions. Pixel i of a picture becomes the block of pixels s·i .. s·i + s - 1 of the output. A
response of radius r is what an impulse at pixel r of 2r + 1 makes of them all: s·(2r + 1) pixels
wide, in which the impulse's own block begins at s·r and lies in the very middle. So a response
holds all that a pixel can do to pixels up to r pixels away, whatever a network's own idea of where
in its block a pixel lies.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from backspike.ir.errors import UserError

RADIUS = 32
"""Pixels of the low-resolution picture that a response reaches to every side."""

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A network's output taken apart; float64.

    response: (O, C, s·(2r + 1), s·(2r + 1)); output, linear, nonlinear: (N, O, s·h, s·w), and
    output is the sum of the other two, to a
    rounding.
    """

    scale: int
    response: torch.Tensor
    output: torch.Tensor
    linear: torch.Tensor
    nonlinear: torch.Tensor


def split(network: Network, image: torch.Tensor, radius: int = RADIUS) -> Parts:
    """Take the output of `network` for the pictures `image`, (N, C, h, w), apart.

    Raises UserError if the network's output is not `scale` times as high and as wide.
    """
    _check_pictures("image", image)
    with torch.no_grad():
        output = network(image)
    scale = _scale(image, output)
    response = impulse_response(network, radius, image.shape[1], dtype=image.dtype)
    linear = linear_part(image, response, scale)
    return Parts(
        scale=scale,
        response=response,
        output=output.double(),
        linear=linear,
        nonlinear=nonlinear_part(output, linear),
    )


def impulse_response(
    network: Network,
    radius: int = RADIUS,
    channels: int = 1,
    *,
    bright: float = 1.0,
    dark: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """The output for one bright pixel less the output for none, for a pixel brighter by one.

    The picture is `dark` everywhere, of 2 radius + 1 pixels a side, and its middle pixel is
    `bright`, in one channel after the other. What a network adds to every picture, and what it
    does at its borders, is in both outputs and goes away.

    Returns float64 (O, C, s·(2r + 1), s·(2r + 1)): entry [o, c] is channel c's effect on o.
    dtype: what the network is given. Raises UserError.
    """
    if radius < 0 or channels < 1 or bright == dark:
        raise UserError(
            f"radius is {radius}, channels is {channels}, bright is {bright:g} on {dark:g}, "
            "must be 0 or more, 1 or more, and two different brightnesses"
        )
    side = 2 * radius + 1
    none = torch.full((1, channels, side, side), dark, dtype=dtype)
    impulses = none.repeat(channels, 1, 1, 1)
    each = torch.arange(channels)
    impulses[each, each, radius, radius] = bright
    with torch.no_grad():
        lit, unlit = network(impulses), network(none)
    _scale(impulses, lit)
    return ((lit.double() - unlit.double()) / (bright - dark)).transpose(0, 1)


def linear_part(image: torch.Tensor, response: torch.Tensor, scale: int) -> torch.Tensor:
    """The pictures, reflection-padded and zero-interpolated, convolved with the response:

    linear[s·i + p] = Σ_k image[k] response[s·r + s·(i - k) + p]    with 0 <= p < s

    in each direction, and summed over the channels c of response[o, c]. Padding comes first: it
    mirrors the picture at its outermost pixels, and zeros between them have no place in that.

    image: (N, C, h, w), any real dtype; response: (O, C, s·(2r + 1), s·(2r + 1)). Returns float64
    (N, O, s·h, s·w). The convolution is a product of DFTs, off by rounding alone: its error is
    within a small multiple of 2^-53 · log2(points) · ‖image‖ · ‖response‖. Raises UserError.
    """
    _check_pictures("image", image)
    _check_response(response, image.shape[1], scale)
    high, wide = image.shape[-2:]
    r = response.shape[-1] // scale // 2
    padded = image.double()[..., _mirrored(high, r), :][..., _mirrored(wide, r)]
    full = _convolve(zero_interpolated(padded, scale), response.double())
    start = 2 * r * scale  # r of padding, and r in which the response comes in
    return full[..., start : start + scale * high, start : start + scale * wide]


def nonlinear_part(output: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    """Output less linear part, float64. Raises UserError if they are not of one shape."""
    if output.shape != linear.shape:
        raise UserError(
            f"output has the shape {tuple(output.shape)}, must have that of its linear part, "
            f"{tuple(linear.shape)}"
        )
    return output.double() - linear


def zero_interpolated(image: torch.Tensor, scale: int) -> torch.Tensor:
    """(..., h, w) -> (..., s·h, s·w): pixel (i, j) goes to (s·i, s·j), zeros everywhere else."""
    high, wide = image.shape[-2:]
    spread = image.new_zeros((*image.shape[:-2], scale * high, scale * wide))
    spread[..., ::scale, ::scale] = image
    return spread


def spectrum(image: torch.Tensor) -> torch.Tensor:
    """log(1 + |DFT|) of (..., H, W), float64, frequency 0 at [H // 2, W // 2]."""
    return torch.fft.fftshift(torch.fft.fft2(image.double()), dim=(-2, -1)).abs().log1p()


def ideal_low_pass(scale: int, radius: int = RADIUS, centre: float | None = None) -> torch.Tensor:
    """The response that passes all that the small picture can hold, and nothing above:

    sinc(y / s) · sinc(x / s)    with sinc(t) = sin(πt) / πt

    for y and x from `centre`, cut off at the edge, float64 (s·(2r + 1), s·(2r + 1)). A pixel
    lies by default in the middle of its block, which is the middle of the response (between two
    pixels, if s is even): so it does for a picture that was made small by averaging or by any
    antialiased filter. For one that was made by taking every s-th pixel the centre is s·r.
    """
    if scale < 1 or radius < 0:
        raise UserError(f"scale is {scale}, radius is {radius}, must be 1 or more, and 0 or more")
    side = scale * (2 * radius + 1)
    at = torch.arange(side, dtype=torch.float64) - ((side - 1) / 2 if centre is None else centre)
    profile = torch.sinc(at / scale)
    return profile[:, None] * profile


def sinc_correlation(
    response: torch.Tensor, scale: int, centre: float | None = None
) -> torch.Tensor:
    """Pearson's correlation of responses (..., S, S) with the ideal low-pass kernel, -1..1.

    Returns float64 (...). The higher, the more the network's linear part is a sinc low-pass
    filter. centre: see `ideal_low_pass`. Raises UserError for a response without contrast.
    """
    _check_response(response, None, scale)
    kernel = ideal_low_pass(scale, response.shape[-1] // scale // 2, centre)
    a, b = (x - x.mean((-2, -1), keepdim=True) for x in (response.double(), kernel))
    length = a.norm(dim=(-2, -1))
    if not bool((length > 0).all()):
        raise UserError("a response is the same everywhere, must have contrast")
    return (a * b).sum((-2, -1)) / (length * b.norm())


def energy_share(part: torch.Tensor, whole: torch.Tensor) -> float:
    """Σ part² / Σ whole². The shares of two parts of one whole need not add up to 1."""
    return float(part.double().square().sum() / whole.double().square().sum())


def high_share(image: torch.Tensor, scale: int) -> float:
    """The share of a picture's energy, its mean apart, at frequencies that no picture `scale`
    times smaller can hold: above 1 / 2s in either direction. 0..1; 0 for a flat picture.

    The picture (..., H, W) is mirrored into one of twice the size before its DFT is taken, or its
    opposite borders would meet in an edge that is not in it.
    """
    x = image.double()
    x = x - x.mean((-2, -1), keepdim=True)
    x = torch.cat([x, x.flip(-2)], -2)
    x = torch.cat([x, x.flip(-1)], -1)
    energy = torch.fft.fft2(x).abs().square()
    low_y, low_x = (torch.fft.fftfreq(n).abs() <= 0.5 / scale for n in x.shape[-2:])
    total = float(energy.sum())
    low = float((energy * (low_y[:, None] & low_x)).sum())
    return 1 - low / total if total else 0.0


def _convolve(a: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Σ over c of a[n, c] * kernel[o, c], in full: the sizes add up, less one."""
    size = [n + m - 1 for n, m in zip(a.shape[-2:], kernel.shape[-2:], strict=True)]
    product = torch.einsum(
        "nchw,ochw->nohw", torch.fft.rfft2(a, s=size), torch.fft.rfft2(kernel, s=size)
    )
    return torch.fft.irfft2(product, s=size)


def _mirrored(size: int, pad: int) -> torch.Tensor:
    """Indices into 0..size - 1 that go on for `pad` to both sides, to and fro between the ends."""
    period = max(2 * (size - 1), 1)
    at = torch.arange(-pad, size + pad) % period
    return torch.minimum(at, period - at) if size > 1 else at * 0


def _scale(image: torch.Tensor, output: object) -> int:
    """How many times larger the network's output is than its input."""
    if not isinstance(output, torch.Tensor):
        raise UserError(f"the network returned a {type(output).__name__}, must be a tensor")
    shape, into = tuple(image.shape), tuple(output.shape)
    scale = into[-1] // shape[-1] if len(into) == 4 else 0
    if scale < 1 or into[0] != shape[0] or into[2:] != (scale * shape[2], scale * shape[3]):
        raise UserError(
            f"the network made {into} of {shape}, must be (N, O, s·h, s·w) of (N, C, h, w)"
        )
    return scale


def _check_pictures(name: str, image: torch.Tensor) -> None:
    if image.dim() != 4 or image.numel() == 0:
        raise UserError(f"{name} has the shape {tuple(image.shape)}, must have (N, C, h, w)")


def _check_response(response: torch.Tensor, channels: int | None, scale: int) -> None:
    shape = tuple(response.shape)
    if scale < 1 or len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] / scale % 2 != 1:
        raise UserError(
            f"response has the shape {shape} at scale {scale}, must have squares of an odd "
            "multiple of a scale of 1 or more"
        )
    if channels is not None and (len(shape) != 4 or shape[1] != channels):
        raise UserError(
            f"response has the shape {shape}, must have (O, {channels}, …) for pictures of "
            f"{channels} channels"
        )
