"""What a super-resolution network makes of photographs, in figures.

A photograph is made smaller and enlarged again by the network. It is judged by the square in its
middle, which is what the spectral unit takes: PSNR, FSDS and HyRA are of the same pixels. What lies
around the square is enlarged with it, as far as it matters.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import mean

import numpy as np
import torch

from backspike.golden import hyra
from backspike.ir.errors import UserError
from backspike.spectral.photographs import HELD_OUT, crop, grey, photograph
from backspike.spectral.superresolution.resize import from_bytes, middle, smaller, to_bytes, whole

Measure = Callable[[np.ndarray, np.ndarray], float]
"""FSDS in dB of (reference, image), uint8 (1, N, N)."""
CONTEXT = hyra.RADIUS + 8
"""Pixels of the small picture, to each side of the square, that count besides: so far reaches a
response, and a bit further what making smaller does at borders. A large picture costs no more."""
PARTS = ("output", "linear", "nonlinear")
NOTHING = 1e-10
"""A part with no more of the output's energy is rounding: float32's in a network and, above it,
in the places that PyTorch takes pixels from if the scale is 3. A 400th of a step of 8 bits."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A photograph seen through a network: the middle `size` pixels of all there is.

    reference, output: uint8 (1, N, N); parts: float64 (1, 1, N, N), before rounding to 8 bits;
    its response is whole.
    """

    photograph: str
    reference: np.ndarray
    output: np.ndarray
    parts: hyra.Parts


@dataclass(frozen=True, kw_only=True)
class Score:
    """Figures of one photograph.

    nonlinear_share: of the output's energy. high: of each part's energy, the share at frequencies
    that the small picture cannot hold (`hyra.high_share`); None of a part that is nothing.
    """

    photograph: str
    psnr_db: float
    fsds_db: float
    nonlinear_share: float
    high: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one network at one scale; those of photographs are means over them."""

    scale: int
    network: str
    sinc_correlation: float
    scores: tuple[Score, ...]

    def mean(self, figure: str) -> float:
        return mean(getattr(score, figure) for score in self.scores)

    def mean_high(self, part: str) -> float | None:
        shares = [share for each in self.scores if (share := each.high[part]) is not None]
        return mean(shares) if shares else None

    def to_json(self) -> dict:
        """JSON has no infinity: a figure of +inf, as equal pictures have, is "Infinity"."""
        figures = {name: self.mean(name) for name in ("psnr_db", "fsds_db", "nonlinear_share")}
        return _finite(
            {
                "scale": self.scale,
                "network": self.network,
                "sinc_correlation": self.sinc_correlation,
                **figures,
                "high": {part: self.mean_high(part) for part in PARTS},
                "photographs": [asdict(score) for score in self.scores],
            }
        )


def held_out() -> dict[str, np.ndarray]:
    """Luminance of the photographs that no network was trained with, uint8 (1, H, W)."""
    return {name: grey(photograph(name)) for name in HELD_OUT}


def check_pictures(pictures: Mapping[str, np.ndarray], scales: tuple[int, ...], size: int) -> None:
    """UserError unless every picture, uint8 (1, H, W), has `size` pixels a side at every scale, and
    contrast in them."""
    for name, pixels in pictures.items():
        for scale in scales:
            height, width = whole(pixels, scale).shape[-2:]
            if min(height, width) < size:
                raise UserError(
                    f"picture {name} is {width} x {height}, cut to multiples of the scale {scale}, "
                    f"must be {size} x {size} or more"
                )
            if np.ptp(crop(whole(pixels, scale), size)) == 0:
                raise UserError(
                    f"picture {name} has no contrast in its middle {size} x {size} pixels, "
                    "must have some"
                )


def view(network: hyra.Network, scale: int, name: str, pixels: np.ndarray, size: int) -> View:
    """The picture `name`, uint8 (1, H, W), made smaller and enlarged by the network."""
    large = whole(middle(pixels, size + 2 * scale * CONTEXT), scale)
    small = smaller(from_bytes(large), scale)
    parts = hyra.split(network, small)
    if parts.scale != scale:
        raise UserError(f"the network enlarges {parts.scale} times, must be {scale} times")
    cropped = {part: _crop(getattr(parts, part), size) for part in PARTS}
    return View(
        photograph=name,
        reference=crop(large, size),
        output=crop(to_bytes(parts.output), size),
        parts=hyra.Parts(scale=scale, response=parts.response, **cropped),
    )


def score(seen: View, measure: Measure) -> Score:
    """The figures of one photograph."""
    parts = seen.parts
    shares = {part: hyra.energy_share(getattr(parts, part), parts.output) for part in PARTS}
    return Score(
        photograph=seen.photograph,
        psnr_db=psnr(seen.reference, seen.output),
        fsds_db=measure(seen.reference, seen.output),
        nonlinear_share=shares["nonlinear"],
        high={
            part: hyra.high_share(getattr(parts, part), parts.scale) if share > NOTHING else None
            for part, share in shares.items()
        },
    )


def row(network: str, views: list[View], measure: Measure) -> Row:
    """The figures of the network of that name, seen in one or more photographs."""
    parts = views[0].parts
    return Row(
        scale=parts.scale,
        network=network,
        sinc_correlation=float(hyra.sinc_correlation(parts.response, parts.scale)),
        scores=tuple(score(seen, measure) for seen in views),
    )


def psnr(reference: np.ndarray, image: np.ndarray) -> float:
    """10 log10(255² / mean squared difference) in dB, of 8-bit pictures; inf if they are equal."""
    squared = float(np.square(reference.astype(np.float64) - image).mean())
    return 10 * math.log10(255**2 / squared) if squared else math.inf


def _crop(picture: torch.Tensor, size: int) -> torch.Tensor:
    return torch.from_numpy(crop(picture[0].numpy(), size))[None]


def _finite(figures: dict) -> dict:
    """The same with a string for +inf."""

    def kept(value):
        if isinstance(value, dict):
            return _finite(value)
        if isinstance(value, list):
            return [kept(each) for each in value]
        return "Infinity" if value == math.inf else value

    return {name: kept(value) for name, value in figures.items()}
