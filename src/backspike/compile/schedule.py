"""Schedules: the order of each engine's tasks, and the tokens that they wait for.

Three programs: `forward` runs a batch forward; `update` runs its backward pass and updates the
weights; `both` does `update` of one batch and `forward` of the next at the same time. In `both`,
tile by tile: back-propagation makes a tile of gradients, then the weight-gradient engine updates
the weights of these neurons, then the feed-forward engine runs them on the next batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from backspike.ir.constants import ENGINES

PROGRAMS = ("forward", "update", "both")


class Range(NamedTuple):
    """Tasks begin .. end - 1 of a queue."""

    begin: int
    end: int


@dataclass(frozen=True)
class Task:
    """Work on a tile of a layer after `waits` tasks of each named engine are complete."""

    layer: int
    tile: int
    waits: Mapping[str, int]


@dataclass(frozen=True)
class Queue:
    """All programs' tasks of one engine."""

    tasks: tuple[Task, ...]


def gradient_order(layers: int) -> list[int]:
    """Layers in the order of their weight update.

    Layer n's weights are free once errors have passed them, so layers go from the last to the
    first; but layer 1's must wait for all of layer 0's gradients, and layer 0's follow them tile
    by tile, so these two change places.
    """
    order = list(reversed(range(layers)))
    return order[:-2] + order[:-3:-1] if layers >= 2 else order


def schedule(tiles: list[int]) -> tuple[dict[str, Queue], dict[str, dict[str, Range]]]:
    """Queues and programs' ranges for layers of so many tiles."""
    layers = range(len(tiles))
    backward = [(n, tile) for n in reversed(layers) for tile in range(tiles[n])]
    gradient = [(n, tile) for n in gradient_order(len(tiles)) for tile in range(tiles[n])]
    forward = [(n, tile) for n in layers for tile in range(tiles[n])]
    bp_done = {at: count + 1 for count, at in enumerate(backward)}
    wg_done = {at: count + 1 for count, at in enumerate(gradient)}

    def gradient_waits(n: int, tile: int) -> dict[str, int]:
        """Its gradients are there, and no error needs the old weights any more."""
        needs = bp_done[n, tile]
        return {"bp": needs if n == 0 else max(needs, bp_done[n - 1, tiles[n - 1] - 1])}

    bp_tasks = [Task(n, tile, {}) for n, tile in backward]
    wg_tasks = [Task(n, tile, gradient_waits(n, tile)) for n, tile in gradient]
    free = [Task(n, tile, {}) for n, tile in forward]
    # Codes and logits of a tile are overwritten when errors have passed it.
    following = [
        Task(n, tile, {"bp": bp_done[n, tile], "wg": wg_done[n, tile]}) for n, tile in forward
    ]
    nothing = Range(0, 0)
    backward_range, gradient_range = Range(0, len(bp_tasks)), Range(0, len(wg_tasks))
    queues = {
        "fp": Queue((*free, *following)),
        "bp": Queue(tuple(bp_tasks)),
        "wg": Queue(tuple(wg_tasks)),
    }
    programs = {
        "forward": dict(zip(ENGINES, (Range(0, len(free)), nothing, nothing), strict=True)),
        "update": dict(zip(ENGINES, (nothing, backward_range, gradient_range), strict=True)),
        "both": dict(
            zip(
                ENGINES,
                (Range(len(free), 2 * len(free)), backward_range, gradient_range),
                strict=True,
            )
        ),
    }
    return queues, programs
