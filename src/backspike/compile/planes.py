"""Which populations lie in planes on a core: pixel by pixel, channels side by side."""

from collections.abc import Iterable

import numpy as np

from backspike.gen.machine import Machine
from backspike.ir.connection import Conv2d, Dense, Identity
from backspike.ir.constants import ceil_div
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph


def in_planes(graph: Graph) -> frozenset[str]:
    """The populations that a convolution enters or leaves, and those that are one to one with such.
    All others are rows of neurons, whatever their shape is."""
    found: set[str] = set()

    def ends(connections: Iterable[Connection]) -> set[str]:
        return {name for c in connections for name in (c.source, c.target)}

    more = ends(c for c in graph.connections if isinstance(c.kind, Conv2d))
    while more - found:
        found |= more
        identities = (c for c in graph.connections if isinstance(c.kind, Identity))
        more = ends(c for c in identities if {c.source, c.target} & found)
    return frozenset(found)


def check_planes(graph: Graph, machine: Machine) -> None:
    """UserError for what a core has no windows for."""
    planes = in_planes(graph)
    for population in graph.populations:
        if population.bits > 1 or population.fraction:
            raise UserError(
                f"input {population.name} has numbers of {population.bits} bits, must have spikes: "
                "the core has no graded inputs yet, and --backend golden trains it"
            )
        if population.role == "readout" and population.name in planes:
            raise UserError(
                f"read-out {population.name} lies in planes, must be a row of neurons on a core: "
                "as a Dense or a convolution as large as the plane makes it"
            )
    for connection in graph.connections:
        what = f"connection {connection.name} from {connection.source} to {connection.target}"
        kind = connection.kind
        if isinstance(kind, Dense) and connection.target in planes:
            raise UserError(
                f"{what} is dense and enters planes, must be a convolution on a core: "
                f"{connection.target} has convolutions, too"
            )
        window = graph.windows.get(connection.name)
        if isinstance(kind, Conv2d) and window is not None and window.pool_size > 1:
            raise UserError(
                f"{what} pools, must not on a core, which has no sums of pixels yet: take a "
                "stride, or --backend golden"
            )
    if planes and not machine.windows:
        raise UserError(
            f"machine {machine.name!r} has no table of windows, must have one for convolutions, as "
            f"{machine.name},windows=256"
        )


def to_tiles(values: np.ndarray, channels: int, pixels: int, lanes: int) -> np.ndarray:
    """(..., C * pixels), as PyTorch flattens planes, to (..., tiles * pixels * P): tile by tile of
    P channels, of these pixel by pixel; what is missing is 0."""
    tiles = ceil_div(channels, lanes)
    full = np.zeros((*values.shape[:-1], tiles * lanes, pixels), values.dtype)
    full[..., :channels, :] = values.reshape(*values.shape[:-1], channels, pixels)
    parts = full.reshape(*values.shape[:-1], tiles, lanes, pixels)
    return np.ascontiguousarray(parts.swapaxes(-1, -2)).reshape(*values.shape[:-1], -1)


def from_tiles(values: np.ndarray, channels: int, pixels: int, lanes: int) -> np.ndarray:
    """The inverse of `to_tiles`."""
    parts = values.reshape(*values.shape[:-1], -1, pixels, lanes).swapaxes(-1, -2)
    full = parts.reshape(*values.shape[:-1], -1, pixels)[..., :channels, :]
    return np.ascontiguousarray(full).reshape(*values.shape[:-1], -1)
