"""Which populations lie in planes on a core: pixel by pixel, channels side by side."""

import math
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


def check_planes(graph: Graph) -> None:
    """UserError for what no core has windows for."""
    pixels = {p.name: math.prod(p.shape[1:]) for p in graph.populations}
    planes = {name for name in in_planes(graph) if pixels[name] > 1}
    for population in graph.populations:
        if population.role == "readout" and population.name in planes:
            raise UserError(
                f"read-out {population.name} has planes of {pixels[population.name]} pixels, must "
                "have planes of 1 on a core: as a Dense, a convolution as large as the plane or a "
                "GlobalAverage makes them"
            )
    for connection in graph.connections:
        if isinstance(connection.kind, Dense) and connection.target in planes:
            raise UserError(
                f"connection {connection.name} from {connection.source} to {connection.target} is "
                "dense and enters planes, must be a convolution on a core: "
                f"{connection.target} has convolutions, too"
            )


def options_for(graph: Graph, machine: Machine) -> dict[str, int]:
    """Parameters that a machine lacks for convolutions and graded inputs, and what they must be."""
    graded = any(population.graded for population in graph.populations)
    if not (graded or in_planes(graph)):
        return {}
    scales = [scale_of(graph, connection) for connection in graph.connections]
    bits = [graph.by_name[connection.source].bits for connection in graph.connections]
    wanted = {
        "windows": machine.windows or 256,
        "scale_down": max(0, *(-scale for scale in scales)),
        "scale_up": max(0, *(scale + n - 1 for scale, n in zip(scales, bits, strict=True))),
    }
    return {name: value for name, value in wanted.items() if getattr(machine, name) < value}


def check_options(graph: Graph, machine: Machine) -> None:
    """UserError if a machine lacks what a network's convolutions and graded inputs need."""
    lacks = options_for(graph, machine)
    if not lacks:
        return
    words = {
        "windows": "no table of windows, must have one for convolutions and graded inputs",
        "scale_down": f"a scale_down of {machine.scale_down}, must have more for averages and "
        "graded inputs",
        "scale_up": f"a scale_up of {machine.scale_up}, must have more for graded inputs",
    }
    changes = ",".join(f"{name}={value}" for name, value in lacks.items())
    raise UserError(
        f"machine {machine.name!r} has {words[next(iter(lacks))]}, as {machine.name},{changes}"
    )


def scale_of(graph: Graph, connection: Connection) -> int:
    """By how many places weights are shifted for a source's spike, or a number's lowest bit."""
    window = graph.windows.get(connection.name)
    pixels = window.pool_size if window is not None and window.average else 1
    return -(graph.by_name[connection.source].fraction or 0) - (pixels.bit_length() - 1)


def to_units(values: np.ndarray, channels: int, pixels: int, bits: int, lanes: int) -> np.ndarray:
    """`to_tiles` of numbers of so many bits, each of which is a pixel of its own."""
    if bits > 1:
        values = values[..., None] >> np.arange(bits, dtype=values.dtype) & 1
        values = values.reshape(*values.shape[:-2], -1)
    return values if pixels == 1 else to_tiles(values, channels, pixels, lanes)


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
