"""Photographs made worse in ways that are known: what FSDS is measured over.

Every degradation takes uint8 (C, H, W), C 1 or 3, and gives a new uint8 array of the same shape.
Results are rounded to whole numbers and, as a camera would, cut at 0 and 255.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.filters import gaussian

from backspike.ir.errors import UserError
from backspike.spectral.photographs import crop, grey, photograph

SEED = 1
"""Of the noise in `pairs`."""


def bicubic(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Made smaller by the integer `scale` and larger again, both bicubic, antialiased on the way
    down. A side that `scale` does not divide is continued by its mirror image and cut again, so the
    scale is exact."""
    if scale < 2:
        raise UserError(f"scale is {scale}, must be 2 or more")
    _, height, width = pixels.shape
    whole = np.pad(pixels, ((0, 0), (0, -height % scale), (0, -width % scale)), mode="symmetric")
    image = _image(whole)
    size = image.size
    small = image.resize((size[0] // scale, size[1] // scale), Image.Resampling.BICUBIC)
    return _pixels(small.resize(size, Image.Resampling.BICUBIC))[:, :height, :width]


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Convolved with a Gaussian whose standard deviation is `sigma` pixels; beyond its sides the
    picture goes on as its mirror image."""
    if not 0 < sigma < np.inf:
        raise UserError(f"sigma is {sigma}, must be a number of pixels above 0")
    blurred = gaussian(
        pixels.astype(np.float64), sigma, mode="reflect", preserve_range=True, channel_axis=0
    )
    return _bytes(blurred)


def noise(pixels: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Normal noise added to every sample, independent between pixels and channels; `deviation` in
    grey levels. Same seed, same noise."""
    if not 0 < deviation < np.inf:
        raise UserError(f"deviation is {deviation}, must be a number of grey levels above 0")
    added = np.random.default_rng(seed).normal(0, deviation, pixels.shape)
    return _bytes(pixels + added)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Through a JPEG file of this quality (1 to 100), colour at half the resolution as is usual."""
    if not 1 <= quality <= 100:
        raise UserError(f"quality is {quality}, must be 1 to 100")
    file = io.BytesIO()
    _image(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return _pixels(Image.open(file))


@dataclass(frozen=True, eq=False)
class Pair:
    """A crop of a photograph and what a degradation makes of it, both uint8 (C, size, size)."""

    photograph: str
    degradation: str
    reference: np.ndarray
    degraded: np.ndarray

    @property
    def name(self) -> str:
        colour = "grey" if len(self.reference) == 1 else "RGB"
        return f"{self.photograph} {colour}, {self.degradation}"


_CHOSEN = {
    # Photographs, taken as grey after a colon, by what is done to them. Chosen after measuring all
    # on all, so that FSDS lies within 10 to 50 dB at 128 and at 256 pixels.
    ("bicubic", 2): "astronaut camera coins gravel chelsea:grey",
    ("bicubic", 3): "astronaut:grey coffee motorcycle",
    ("bicubic", 4): "cell chelsea motorcycle:grey",
    ("blur", 0.6): "astronaut:grey clock",
    ("blur", 1): "chelsea moon",
    ("blur", 2): "camera immunohistochemistry",
    ("blur", 4): "chelsea:grey",
    ("noise", 1.2): "coffee",
    ("noise", 1.8): "astronaut:grey",
    ("noise", 4): "grass retina",
    ("noise", 16): "coins rocket:grey",
    ("noise", 40): "camera immunohistochemistry",
    ("JPEG", 95): "gravel retina",
    ("JPEG", 75): "astronaut coffee:grey",
    ("JPEG", 50): "coins rocket",
    ("JPEG", 20): "camera",
    ("JPEG", 5): "chelsea",
}


def pairs(size: int) -> list[Pair]:
    """Thirty-four pairs of `size` x `size` pixels out of the middle of bundled photographs, grey
    and RGB, whose FSDS spans 10 to 50 dB if `size` is 128 or 256.

    Every kind of degradation is there: bicubic by 2, 3 and 4, blur, noise and JPEG. The noise comes
    from `SEED`. UserError if a photograph is smaller than `size`.
    """
    made = []
    for (kind, amount), chosen in _CHOSEN.items():
        for name in chosen.split():
            name, _, as_grey = name.partition(":")
            pixels = photograph(name)
            reference = crop(grey(pixels) if as_grey else pixels, size)
            degradation, degraded = _degrade(kind, amount, reference)
            made.append(Pair(name, degradation, reference, degraded))
    return made


def _degrade(kind: str, amount: float, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    match kind:
        case "bicubic":
            return f"bicubic x{amount}", bicubic(pixels, int(amount))
        case "blur":
            return f"blur {amount}", blur(pixels, amount)
        case "noise":
            return f"noise {amount}", noise(pixels, amount, SEED)
    return f"JPEG {amount}", jpeg(pixels, int(amount))


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _pixels(image: Image.Image) -> np.ndarray:
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1).copy()


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)
