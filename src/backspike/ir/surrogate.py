"""Surrogate derivatives of the spike, as tables."""

import math
from dataclasses import dataclass

from backspike.ir.checks import is_finite, nearest_half, positive
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


def rectangle(width: float = 1.0) -> Surrogate:
    """h = 1 / width where -width/2 <= x < width/2 (Wu et al. 2018, eq. 24); a one-bit code."""
    positive("rectangle's width", width)
    h = nearest_half("rectangle's height", 1 / width)
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
    positive("triangle's width", width)
    return _sampled("triangle", lambda x: max(0.0, 1 - abs(x) / width) / width, width)


def arctan(alpha: float = 2.0) -> Surrogate:
    """h = α/2 / (1 + (π/2 α x)²) (Fang et al. 2021), in 14 bins over |x| < 2."""
    positive("arctan's alpha", alpha)
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


def spelling(surrogate: Surrogate) -> str:
    """`NAME:PARAMETER` of a preset that gives this table, with as few digits as do; of a table
    for which none is found, its name, edges and values."""
    for digits in range(1, 18):
        for guess in _parameters(surrogate):
            unit = 10.0 ** (math.floor(math.log10(guess)) + 1 - digits)
            for off in sorted(range(-_NEAR, _NEAR + 1), key=abs):
                parameter = float(f"{guess + off * unit:.{digits}g}")
                if parameter > 0 and _gives(surrogate, parameter):
                    return f"{surrogate.name}:{parameter!r}".removesuffix(".0")
    return f"{surrogate.name} with edges {surrogate.edges} and values {surrogate.values}"


_NEAR = 12
"""Units of the last digit that are tried on either side: tables hold rounded values."""


def _gives(surrogate: Surrogate, parameter: float) -> bool:
    try:
        return SURROGATES[surrogate.name](parameter) == surrogate
    except UserError:  # of a parameter so small that the rectangle is no FP16
        return False


def _parameters(surrogate: Surrogate) -> list[float]:
    """About what its preset was given, if it is one's."""
    reach = -surrogate.edges[0]
    middles = (1 / 7, 13 / 7)  # of the bins beside 0 and farthest from it
    values = surrogate.values[len(surrogate.values) // 2], surrogate.values[-2]
    guesses: list[float] = []
    if surrogate.name in ("rectangle", "triangle"):
        guesses = [2 * reach if surrogate.name == "rectangle" else reach]
    for x, h in zip(middles, values, strict=True):
        if h > 0 and surrogate.name == "fast-sigmoid":
            guesses.append((1 / math.sqrt(h) - 1) / x)
        elif h > 0 and surrogate.name == "arctan":
            # h (π/2 x)² α² - α/2 + h = 0; rounding may leave the peak without a root.
            square = h * (math.pi / 2 * x) ** 2
            root = math.sqrt(max(0.0, 0.25 - 4 * square * h))
            guesses += [(0.5 - root) / (2 * square), (0.5 + root) / (2 * square)]
    return [guess for guess in guesses if math.isfinite(guess) and guess > 0]
