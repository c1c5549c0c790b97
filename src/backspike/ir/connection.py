"""Kinds of connections: how a source's spikes become a current of its target."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from backspike.ir.checks import nearest_half, switch, whole
from backspike.ir.errors import UserError

Pair = tuple[int, int]
"""Rows and columns."""
MAX_KERNEL, MAX_STRIDE = 11, 4


@dataclass(frozen=True)
class Dense:
    """A weight from each source to each target. bias: one more source, spiking in every step.

    size: of the target, in a chain; in a graph the target has it, and this is None.
    """

    size: int | None = None
    bias: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("a Dense's size", self.size)
        switch("bias", self.bias)


@dataclass(frozen=True)
class Identity:
    """Each source to the target of its index, times `scale`: a skip connection, no weights.

    scale is rounded to FP16 on construction, and not 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        scale = nearest_half("an identity's scale", self.scale)
        if not scale:
            raise UserError(f"an identity's scale is {self.scale}, must not be 0 as FP16")
        object.__setattr__(self, "scale", scale)


@dataclass(frozen=True)
class Conv2d:
    """A convolution: each pixel of the target sums a window of the source's planes, all pixels with
    the same weights; what lies outside the planes is 0. As PyTorch's, which correlates.

    channels: of the target, in a chain; in a graph the target has them, and this is None.
    kernel (1 to 11), stride (1 to 4) and padding (less than the kernel) are numbers, or pairs of
    rows and columns; a signal in time has planes of one row. bias: as a Dense's, one for a channel.

    pool: the source is summed over so many rows and columns first, pixel groups side by side, what
    is left over at the lower and right edge left out; "all" is a whole plane. With `average` it is
    their mean: their number must be a power of two, so that it is exact.
    """

    channels: int | None = None
    kernel: int | Pair = 3
    stride: int | Pair = field(default=1, kw_only=True)
    padding: int | Pair = field(default=0, kw_only=True)
    pool: int | Pair | Literal["all"] = field(default=1, kw_only=True)
    average: bool = field(default=False, kw_only=True)
    bias: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.channels is not None:
            whole("a Conv2d's channels", self.channels)
        kernel = _pair("kernel", self.kernel, (1, 1), both(MAX_KERNEL))
        found = {
            "kernel": kernel,
            "stride": _pair("stride", self.stride, (1, 1), both(MAX_STRIDE)),
            "padding": _pair("padding", self.padding, (0, 0), (kernel[0] - 1, kernel[1] - 1)),
        }
        if self.pool == "max":
            raise UserError(
                "a Conv2d's pool is \"max\", must be a sum or an average, as a neuron's current is "
                "one sum: a number of pixels, with average or without it, or a stride"
            )
        if self.pool != "all":
            found["pool"] = _pair("pool", self.pool, (1, 1), None)
        for name, value in found.items():
            object.__setattr__(self, name, value)
        switch("average", self.average)
        switch("bias", self.bias)
        if self.average and self.pool == (1, 1):
            raise UserError("a Conv2d averages over a pool of 1 pixel, must have a larger pool")
        if self.average and self.pool != "all":
            check_average("a Conv2d", both(self.pool))


def GlobalAverage(channels: int | None = None, *, bias: bool = False) -> Conv2d:
    """A weight from the average of each of the source's planes to each target."""
    return Conv2d(channels, 1, pool="all", average=True, bias=bias)


def check_average(what: str, pool: Pair) -> None:
    """UserError unless the pixels of a pool are a power of two."""
    count = math.prod(pool)
    if count & (count - 1):
        raise UserError(
            f"{what} averages over {pool[0]}x{pool[1]} pixels, must be over a power of two: "
            "without average it sums them, and the weights learn the factor"
        )


def both(value: int | Pair) -> Pair:
    """Rows and columns of a number for both, or of a pair."""
    return (value, value) if isinstance(value, int) else value


def _pair(name: str, value: Any, least: Pair, most: Pair | None) -> Pair:
    """`both`, of whole numbers within a range."""
    pair = (value, value) if isinstance(value, int) else value
    good = isinstance(pair, tuple | list) and len(pair) == 2
    good = good and all(isinstance(x, int) and not isinstance(x, bool) for x in pair)
    good = good and all(a <= x for a, x in zip(least, pair, strict=True))
    if good and (most is None or all(x <= b for x, b in zip(pair, most, strict=True))):
        return pair[0], pair[1]
    must = f"{least[0]} up"
    if most is not None:
        must = f"{least[0]} to {most[0]}" + (f" and {most[1]}" if most[0] != most[1] else "")
    raise UserError(
        f"a Conv2d's {name} is {value!r}, must be a whole number from {must}, or a pair of them"
    )


Kind = Dense | Identity | Conv2d
