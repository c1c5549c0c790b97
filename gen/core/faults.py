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
    TERMS = 8
    PLACE = 9
    LOOP = 10


FAULT_TEXT = {
    Fault.NONE: "no fault",
    Fault.BATCH: "steps x samples is not within 1 to 16, the last span is empty or longer "
    "than another, or there are no blocks or too many",
    Fault.QUEUE: "a queue's range of tasks is empty backwards or beyond the task memory",
    Fault.LAYER: "a task names a layer that the machine does not have",
    Fault.TILE: "a task names a tile beyond its layer",
    Fault.UNITS: "a layer has no connections or too many, or no tiles to read, or its tiles do not "
    "fit the spike, gradient or read-out memory",
    Fault.WEIGHTS: "a layer's weights do not fit the weight memory, or have fewer source tiles "
    "than the layer below",
    Fault.DEADLOCK: "tasks wait for each other without end",
    Fault.TERMS: "the connections of a layer bring more sources than a sum has room for",
    Fault.LOOP: "a loop of tasks begins within another, ends without a beginning, or does not end",
    Fault.PLACE: "what a task's neurons keep lies beyond the places that there are",
}
"""A sentence for each fault: what a run is refused for."""
