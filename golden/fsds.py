"""Frequency spectrum distribution similarity (FSDS) in float64: the definition itself.

Source: Deng et al., "Exploring the Low-Pass Filtering Behavior in Image Super-Resolution",
arXiv 2405.07919. Images are tensors (..., C, H, W) of any real dtype, with H and W from 1 and any
number of channels C; leading dimensions are a batch.
"""

import torch

from backspike.ir.errors import UserError

_IMAGE = (-3, -2, -1)
"""The dimensions C, H, W that belong to one image."""


def fsds(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """-10 log10( Σ|cA - cB|² / Σ|cB|² ) in dB: two tensors (..., C, H, W) -> float64 (...).

    cA and cB are the cumulative spectra of the normalised image and reference; both sums run over
    all channels, both halves and all frequencies. A higher figure is more alike, identical images
    give +inf. It is not symmetric: what counts is the energy of the reference, so swapping the two
    changes it by 10 log10( Σ|cA|² / Σ|cB|² ).

    UserError if the shapes differ, or if one of the two cannot be normalised.
    """
    if image.shape != reference.shape:
        raise UserError(
            f"the image is {tuple(image.shape)} and the reference {tuple(reference.shape)}, "
            "must have equal shapes"
        )
    cA = cumulative(halves(normalise(image, "image")))
    cB = cumulative(halves(normalise(reference, "reference")))
    return -10 * torch.log10(_energy(cA - cB) / _energy(cB))


def normalise(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """(image - mean) / deviation: (..., C, H, W) of real numbers -> the same shape in float64.

    Mean and deviation (unbiased: divided by the number of pixels less 1) are those of one image
    over all its channels. UserError, which calls it `name` and says which of a batch, if there
    are no pixels, an image is not finite, or has no contrast.
    """
    if image.is_complex():
        raise UserError(f"the {name} is {image.dtype}, must be of real numbers")
    if image.ndim < 3 or 0 in image.shape:
        raise UserError(
            f"the {name} has the shape {tuple(image.shape)}, must have (..., C, H, W) without a 0"
        )
    # One layout in memory: equal images must be added up in one order, to give +inf.
    x = image.to(torch.float64).contiguous()
    _check_contrast(name, x)
    centred = x - x.mean(_IMAGE, keepdim=True)
    deviation = x.std(_IMAGE, keepdim=True)
    unfit = ~((deviation > 0) & deviation.isfinite()).flatten(-3).all(-1)
    if unfit.any():
        raise UserError(
            f"{_which(name, unfit)} has the deviation {deviation[unfit].flatten()[0]:g}, "
            "must have one above 0 that float64 can hold"
        )
    return centred / deviation


def halves(image: torch.Tensor) -> torch.Tensor:
    """The rows of rfft2 in two halves from low to high frequency: real (..., C, H, W) ->
    complex (..., C, 2, ⌈H/2⌉, ⌊W/2⌋+1).

    Half 0 holds the rows of frequencies 0, 1, .. and half 1 those of -1, -2, ..: the upper rows in
    reversed order. If H is odd, a row of zeros makes it even first, so normalise before.
    """
    even = torch.nn.functional.pad(image, (0, 0, 0, image.shape[-2] % 2))
    lower, upper = torch.fft.rfft2(even).chunk(2, dim=-2)
    return torch.stack((lower, upper.flip(-2)), dim=-3)


def cumulative(spectrum: torch.Tensor) -> torch.Tensor:
    """The sum of all frequencies up to (i, j): c_ij = Σ_{m ≤ i, n ≤ j} s_mn, in the last two
    dimensions; shape and dtype stay."""
    return spectrum.cumsum(-2).cumsum(-1)


def _energy(spectra: torch.Tensor) -> torch.Tensor:
    """Σ|c|² of an image: complex (..., C, 2, h, w) -> float64 (...)."""
    return (spectra.real**2 + spectra.imag**2).sum((-4, -3, -2, -1))


def _check_contrast(name: str, x: torch.Tensor) -> None:
    infinite = ~x.isfinite()
    if infinite.any():
        index = infinite.nonzero()[0].tolist()
        raise UserError(f"the {name} at {index} is {x[infinite][0]:g}, must be finite")
    # Asked of the pixels, since the deviation of a constant may miss 0 by a rounding.
    pixels = x.flatten(-3)  # (..., C H W)
    flat = (pixels == pixels[..., :1]).all(-1)
    if flat.any():
        raise UserError(
            f"{_which(name, flat)} is {pixels[flat][0, 0]:g} everywhere: contrast is needed"
        )


def _which(name: str, wrong: torch.Tensor) -> str:
    """The first image of a batch that is wrong: a bool for each, () if there is no batch."""
    index = wrong.nonzero()[0].tolist()
    return f"the {name} {index}" if index else f"the {name}"
