"""Which pixels of the other end a pixel's windows have, and which ones a tap meets."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.placement import connection_of
from backspike.compile.windows import Axis, bias_windows, windows_of
from backspike.gen.core.engines import FORWARD
from backspike.ir.graph import Connection

Share = float | np.ndarray
"""0..1 of what lies in all pixels, or in each: an array (rows, columns)."""


@dataclass(frozen=True)
class Spot:
    """A window: how many pixels it has in the plane, and the share in these."""

    pixels: int
    density: float


def mean(share: Share) -> float:
    """Over all pixels."""
    return float(np.mean(share)) if isinstance(share, np.ndarray) else share


def by_pixel(share: Share, pixels: int) -> list[float]:
    """Of each of so many pixels, row by row."""
    if isinstance(share, np.ndarray):
        return [float(x) for x in share.ravel()]
    return [share] * pixels


def spots(plan: Plan, engine: str, connection: Connection, share: Share) -> Iterator[Spot]:
    """The windows of each pixel that engine fp, or bp, walks. share: of the other end."""
    windows = windows_of(plan.graph, connection, plan.places, plan.cut)
    lines, columns = (_reach(axis, engine == FORWARD.name) for axis in windows.axes)
    for line, column in product(lines, columns):
        pixels = len(line) * len(column)
        if isinstance(share, np.ndarray) and pixels:
            yield Spot(pixels, mean(share[np.ix_(line, column)]))
        else:
            yield Spot(pixels, mean(share))


def _reach(axis: Axis, forward: bool) -> list[range]:
    """Of each target its sources, or backward of each source its targets."""
    if forward:
        windows = [axis.forward(target) for target in range(axis.targets)]
        return [range(first, first + count) for first, _, count in windows]
    windows = [axis.backward(source) for source in range(axis.sources)]
    return [range(last - count + 1, last + 1) for last, _, count in windows]


def met(plan: Plan, layer: str) -> list[int]:
    """Of each tap of a layer of wg: how many pixels it meets. layer: a connection, or its bias."""
    connection = next(c for c in plan.graph.connections if c.name == connection_of(layer))
    if layer == connection.name:
        windows = windows_of(plan.graph, connection, plan.places, plan.cut)
    else:
        windows = bias_windows(connection, plan.places, plan.cut)
    lines, columns = ([axis.met(tap)[2] for tap in range(axis.taps)] for axis in windows.axes)
    return [line * column for line, column in product(lines, columns)]
