"""A spiking network: what users describe, and what golden and compiler read."""

import math
import struct
from dataclasses import dataclass, field
from typing import Literal

from backspike.ir.errors import UserError

Reset = Literal["hard", "soft"]
Rule = Literal["bptt", "mpd-ed"]
CODES = 16
"""Codes of the surrogate derivative at the most: 4 bits."""


def nearest_half(name: str, value: float) -> float:
    """The FP16 number nearest to `value` (ties to even); an error names `name` if there is none."""
    try:
        if not math.isfinite(value):
            raise OverflowError
        return struct.unpack("<e", struct.pack("<e", value))[0] + 0.0
    except (OverflowError, struct.error, TypeError):
        raise UserError(f"{name} is {value!r}, must be a finite number within ±65504") from None


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
        if not all(_is_finite(e) for e in self.edges) or any(
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


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _positive(name: str, value: float) -> None:
    if not (_is_finite(value) and value > 0):
        raise UserError(f"{name} is {value!r}, must be a positive number")


def _whole(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name} is {value!r}, must be a whole number from 1 up")


def _switch(name: str, value: bool) -> None:
    if not isinstance(value, bool):
        raise UserError(f"{name} is {value!r}, must be True or False")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{name} is {value!r}, must be {' or '.join(choices)}")


def rectangle(width: float = 1.0) -> Surrogate:
    """h = 1 / width where -width/2 <= x < width/2 (Wu et al. 2018, eq. 24); a one-bit code."""
    _positive("rectangle's width", width)
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
    _positive("triangle's width", width)
    return _sampled("triangle", lambda x: max(0.0, 1 - abs(x) / width) / width, width)


def arctan(alpha: float = 2.0) -> Surrogate:
    """h = α/2 / (1 + (π/2 α x)²) (Fang et al. 2021), in 14 bins over |x| < 2."""
    _positive("arctan's alpha", alpha)
    return _sampled("arctan", lambda x: alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2), 2.0)


def fast_sigmoid(slope: float = 5.0) -> Surrogate:
    """h = 1 / (1 + slope |x|)² (Zenke and Ganguli 2018), in 14 bins over |x| < 2."""
    _positive("fast-sigmoid's slope", slope)
    return _sampled("fast-sigmoid", lambda x: 1 / (1 + slope * abs(x)) ** 2, 2.0)


SURROGATES = {
    "rectangle": rectangle,
    "triangle": triangle,
    "arctan": arctan,
    "fast-sigmoid": fast_sigmoid,
}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One dense layer of leaky integrate-and-fire neurons.

    leak (λ) and threshold (θ) are rounded to FP16 on construction.
    In a read-out layer (the last) only size and bias matter: it integrates without leak or spikes.
    """

    size: int
    leak: float = 0.75
    threshold: float = 1.0
    reset: Reset = "hard"
    bias: bool = False
    surrogate: Surrogate = field(default_factory=rectangle)
    rule: Rule = "bptt"
    temporal: bool = True

    def __post_init__(self) -> None:
        _whole("a layer's size", self.size)
        leak = nearest_half("leak", self.leak)
        if not 0 <= leak <= 1:
            raise UserError(f"leak is {self.leak}, must be from 0 to 1")
        object.__setattr__(self, "leak", leak)
        object.__setattr__(self, "threshold", nearest_half("threshold", self.threshold))
        _one_of("reset", self.reset, ("hard", "soft"))
        _one_of("rule", self.rule, ("bptt", "mpd-ed"))
        _switch("bias", self.bias)
        _switch("temporal", self.temporal)
        if not isinstance(self.surrogate, Surrogate):
            raise UserError(f"surrogate is {self.surrogate!r}, must be a Surrogate")


@dataclass(frozen=True, kw_only=True)
class Network:
    """`inputs` spiking inputs, then dense layers; the last layer is the read-out."""

    inputs: int
    layers: tuple[Layer, ...]
    steps: int

    def __post_init__(self) -> None:
        _whole("inputs", self.inputs)
        if not self.layers:
            raise UserError("a network has no layers, must have 1 or more")
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise UserError(f"a layer is {layer!r}, must be a Layer")
        _whole("steps", self.steps)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of the input and of every layer."""
        return (self.inputs, *(layer.size for layer in self.layers))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(K, N) of every layer's weights; a bias is the last row."""
        return tuple(
            (k + layer.bias, layer.size)
            for k, layer in zip(self.sizes[:-1], self.layers, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How weights are updated: everything beside the network that a batch's bits depend on.

    loss `mse` is computed on chip as e = round(alpha * o - onehot); for `ce` the host computes
    e = round(softmax(o) - onehot) from the logits and supplies it.
    rate (η) and alpha (α) are rounded to FP16 on construction.
    """

    batch: int = 16
    loss: Literal["ce", "mse"] = "ce"
    rate: float = 2.0**-6
    alpha: float = 0.25
    rounding: Literal["nearest", "stochastic"] = "nearest"
    seed: int = 0

    def __post_init__(self) -> None:
        _whole("batch", self.batch)
        _one_of("loss", self.loss, ("ce", "mse"))
        _one_of("rounding", self.rounding, ("nearest", "stochastic"))
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed!r}, must be a whole number from 0 to 2^32 - 1")
        rate = nearest_half("rate", self.rate)
        if rate <= 0:
            raise UserError(f"rate is {self.rate}, must be 2^-24 (the least FP16) or more")
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "alpha", nearest_half("alpha", self.alpha))
