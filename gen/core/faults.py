"""Why the core refuses to run."""

from amaranth.lib.enum import Enum


class Fault(Enum, shape=4):
    """Why the core refused to run."""

    NONE = 0
    BATCH = 1
    QUEUE = 2
    LAYER = 3
    TILE = 4
    UNITS = 5
    WEIGHTS = 6
    DEADLOCK = 7


FAULT_TEXT = {
    Fault.NONE: "no fault",
    Fault.BATCH: "steps x samples of a block is not within 1 to 16, the last span is empty or "
    "longer than the others, or the blocks are not 1 to 8191",
    Fault.QUEUE: "a queue's range of tasks is empty backwards or beyond the task memory",
    Fault.LAYER: "a task names a layer that the machine does not have",
    Fault.TILE: "a task names a tile beyond its layer",
    Fault.UNITS: "a layer has no tiles to read, or its tiles do not fit the spike, gradient or "
    "read-out memory",
    Fault.WEIGHTS: "a layer's weights do not fit the weight memory, or have fewer source tiles "
    "than the layer below",
    Fault.DEADLOCK: "tasks wait for each other without end",
}
"""A sentence for each fault: what a run is refused for."""
