"""Which sources the sum of a weight's targets runs over: the geometry of connections."""

import math
from dataclasses import dataclass

from backspike.ir.connection import Conv2d, Pair, both, check_average
from backspike.ir.constants import ceil_div
from backspike.ir.errors import UserError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Weights between planes: target pixel (y, x) sums pixels (y·stride - padding + dy, ...) of
    the source's planes, after these are summed or averaged over `pool`. Outside they are 0.

    source: (channels, rows, columns) before the pool; channels: of the target; pixels: its rows and
    columns. A dense connection is the case of one pixel: each source is a channel of its own.
    """

    source: tuple[int, int, int]
    channels: int
    pixels: Pair = (1, 1)
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    pool: Pair = (1, 1)
    average: bool = False
    bias: bool = False

    @property
    def pooled(self) -> Pair:
        """Rows and columns of the source after the pool; what is left over is left out."""
        return self.source[1] // self.pool[0], self.source[2] // self.pool[1]

    @property
    def taps(self) -> int:
        """Weights of a target, the bias left out: of each channel, row and column, in this order
        (PyTorch's)."""
        return self.source[0] * math.prod(self.kernel)

    @property
    def weights(self) -> Pair:
        """(K, N) of the weights: taps, a bias the last row, by the target's channels."""
        return self.taps + self.bias, self.channels

    @property
    def pool_size(self) -> int:
        """Pixels that are one after the pool."""
        return math.prod(self.pool)

    @property
    def sources(self) -> float:
        """Taps of a target that are of a source and not of the padding, on average."""
        inside = 1.0
        for size, kernel, stride, padding, pixels in zip(
            self.pooled, self.kernel, self.stride, self.padding, self.pixels, strict=True
        ):
            first = [y * stride - padding for y in range(pixels)]
            inside *= sum(min(y + kernel, size) - max(y, 0) for y in first) / pixels
        return self.source[0] * inside

    @property
    def overlap(self) -> int:
        """Target pixels that a pixel of the source reaches, at the most."""
        reach = zip(self.kernel, self.stride, self.pixels, strict=True)
        return math.prod(min(ceil_div(k, s), pixels) for k, s, pixels in reach)


def dense_window(sources: int, targets: int, bias: bool) -> Window:
    """Of a dense connection."""
    return Window((sources, 1, 1), targets, bias=bias)


def conv_window(what: str, kind: Conv2d, source: Shape, channels: int) -> Window:
    """Of a convolution from planes of that shape. `what` is the connection's name in errors."""
    if len(source) != 3:
        raise UserError(
            f"{what} leaves a population of shape {source}, must leave planes: "
            "(channels, rows, columns)"
        )
    planes = source[1], source[2]
    kernel, stride, padding = both(kind.kernel), both(kind.stride), both(kind.padding)
    pool = planes if kind.pool == "all" else both(kind.pool)
    if any(p > n for p, n in zip(pool, planes, strict=True)):
        raise UserError(
            f"{what} pools {_x(pool)} pixels, must pool up to {_x(planes)}: its source's planes"
        )
    if kind.average:
        check_average(what, pool)
    inner = tuple(n // p + 2 * pad for n, p, pad in zip(planes, pool, padding, strict=True))
    if any(k > n for k, n in zip(kernel, inner, strict=True)):
        raise UserError(
            f"{what} has a kernel of {_x(kernel)}, must have one up to {_x(inner)}: its "
            f"source's planes{' after the pool' if math.prod(pool) > 1 else ''} and their padding"
        )
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(inner, kernel, stride, strict=True))
    return Window(
        (source[0], *planes),
        channels,
        (rows, columns),
        kernel,
        stride,
        padding,
        pool,
        kind.average,
        kind.bias,
    )


def _x(pair: Shape) -> str:
    return "x".join(map(str, pair))
