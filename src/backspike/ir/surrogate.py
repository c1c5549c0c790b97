"""Surrogate derivatives of the spike, as tables."""

import math
from dataclasses import dataclass

from backspike.ir.checks import is_finite, nearest_half, positive
from backspike.ir.constants import LARGEST
from backspike.ir.errors import UserError

CODES = 16
"""Codes of the surrogate derivative at the most: 4 bits."""


@dataclass(frozen=True)
class Surrogate:
    """The surrogate derivative h as a table: the table is the definition.

    Code c of x = u - θ is the number of `edges` (ascending) that are ≤ x; h(c) = values[c].
    `values` are FP16, one more than edges.
    """

    name: str
    edges: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.edges) < CODES or len(self.values) != len(self.edges) + 1:
            raise UserError(
                f"surrogate {self.name!r} has {len(self.edges)} edges and {len(self.values)} "
                f"values, must have 1 to {CODES - 1} edges and one value more"
            )
        if not all(is_finite(e) for e in self.edges) or any(
            a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)
        ):
            raise UserError(
                f"surrogate {self.name!r} has the edges {self.edges}, must have finite ascending "
                "numbers"
            )
        for value in self.values:
            # Also refuses what is not finite; -0 is stored as +0.
            if nearest_half(f"a value of surrogate {self.name!r}", value) != value:
                raise UserError(f"surrogate {self.name!r} has the value {value}, must have FP16")
        object.__setattr__(self, "values", tuple(value + 0.0 for value in self.values))


def _wide_enough(name: str, width: float) -> None:
    """UserError unless 1 / width, the height, is a number of FP16."""
    positive(f"{name}'s width", width)
    if 1 / width > LARGEST:
        raise UserError(f"{name}'s width is {width!r}, must be 1/65504 or more, as h is 1/width")


def rectangle(width: float = 1.0, height: float | None = None) -> Surrogate:
    """h = height where -width/2 <= x < width/2 (Wu et al. 2018, eq. 24), 1 / width unless given; a
    one-bit code. Rule mpd-ed halves the errors that pass, or so: a height makes up for it."""
    if height is None:
        _wide_enough("rectangle", width)
        height = 1 / width
    positive("rectangle's width", width)
    positive("rectangle's height", height)
    h = nearest_half("rectangle's height", height)
    return Surrogate("rectangle", (-width / 2, width / 2), (0.0, h, 0.0))


def _sampled(name, h, reach: float, bins: int = CODES - 1) -> Surrogate:
    """`h` sampled in the middle of `bins` equal bins over ±reach, 0 outside.

    One code serves both outer sides only if the table is cut once more, so bins ≤ 14.
    """
    bins = min(bins, CODES - 2)
    step = 2 * reach / bins
    edges = tuple(-reach + i * step for i in range(bins + 1))
    inner = tuple(nearest_half(name, h(-reach + (i + 0.5) * step)) for i in range(bins))
    return Surrogate(name, edges, (0.0, *inner, 0.0))


def triangle(width: float = 1.0) -> Surrogate:
    """h = max(0, 1 - |x| / width) / width (Bellec et al. 2018), in 14 bins."""
    _wide_enough("triangle", width)
    return _sampled("triangle", lambda x: max(0.0, 1 - abs(x) / width) / width, width)


def arctan(alpha: float = 2.0) -> Surrogate:
    """h = α/2 / (1 + (π/2 α x)²) (Fang et al. 2021), in 14 bins over |x| < 2."""
    positive("arctan's alpha", alpha)
    if alpha / 2 > LARGEST:
        raise UserError(f"arctan's alpha is {alpha!r}, must be up to {2 * LARGEST:g}")
    return _sampled("arctan", lambda x: alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2), 2.0)


def fast_sigmoid(slope: float = 5.0) -> Surrogate:
    """h = 1 / (1 + slope |x|)² (Zenke and Ganguli 2018), in 14 bins over |x| < 2."""
    positive("fast-sigmoid's slope", slope)
    return _sampled("fast-sigmoid", lambda x: 1 / (1 + slope * abs(x)) ** 2, 2.0)


SURROGATES = {
    "rectangle": rectangle,
    "triangle": triangle,
    "arctan": arctan,
    "fast-sigmoid": fast_sigmoid,
}
