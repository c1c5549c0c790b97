"""What a network needs of a machine, and how much there is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from backspike.compile.cut import Cut
from backspike.compile.descriptors import Descriptors
from backspike.compile.placement import Placement
from backspike.compile.schedule import Queue
from backspike.compile.windows import Table
from backspike.gen.core.engines import (
    CODES_OF,
    GRADIENTS,
    KINDS,
    READOUT,
    SPIKES,
    WEIGHTS,
    EngineKind,
    Extent,
    Memory,
)
from backspike.gen.core.layout import (
    BLOCK_BITS,
    DESCRIPTOR_WORDS,
    RECORD_WORDS,
    TILE_BITS,
    descriptor_words,
)
from backspike.gen.machine import Machine
from backspike.ir.constants import ENGINES

MAX_TILES = 1 << TILE_BITS
"""Tiles of a layer, as many as a task can name."""
MAX_BLOCKS = (1 << BLOCK_BITS) - 1
"""Blocks of a batch, as many as can be counted."""


@dataclass(frozen=True)
class Use:
    """How much of a memory a network needs."""

    memory: str
    unit: str
    needs: int
    has: int
    parameter: str | None = None  # of the machine, which gives it

    @property
    def fits(self) -> bool:
        """Whether there is enough."""
        return self.needs <= self.has


def uses_of(
    machine: Machine,
    places: Placement,
    descriptors: Mapping[str, Descriptors],
    queues: Mapping[str, Queue],
    kept: int,
    cut: Cut,
    every: bool,
    table: Table | None,
) -> Iterator[Use]:
    """What a network needs of everything that a machine has a limited amount of. kept: tiles of
    states."""
    extents = [
        extent
        for name, kind in KINDS.items()
        for extent in _extents(kind, descriptors[name], cut)
        if extent.applies
    ]

    def memory(
        name: str, unit: str, kind: Memory, parameter: str, needs: int, each: int = 1
    ) -> Use:
        """What the hardware checks, the end of the extent that reaches furthest; or, with planes
        of which it does not know, what is there."""
        ends = (e.base + e.count * e.times for e in extents if e.memory is kind)
        needs = max(needs, *ends, 0)
        return Use(name, unit, needs * each, kind.size(machine) * each, parameter)

    layers = max(len(found.layers) for found in descriptors.values())
    records = max(len(found.records) for found in descriptors.values())
    room = (descriptor_words(machine) - machine.layers * DESCRIPTOR_WORDS) // RECORD_WORDS
    widest = max(
        *(at.tiles for at in places.populations.values()),
        *(at.source_tiles for at in places.connections.values()),
    )
    blocks = max(
        [
            0 if places.identity is None else places.identity + 1,
            *(at.weights + at.weight_blocks for at in places.connections.values()),
        ]
    )
    units = {name: at.tiles * at.pixels * cut.blocks for name, at in places.populations.items()}
    yield Use("layers", "descriptors", layers, machine.layers, "layers")
    yield Use("connections", "records", records, room)
    yield Use("widest layer", "tiles", widest, MAX_TILES)
    yield Use("batch", "blocks", cut.blocks, MAX_BLOCKS)
    gradients = "gradient_units" if machine.gradient_units else "units"
    there = places.populations.items()
    spiking = [at.base + units[name] for name, at in there if at.logits is None]
    coded = [at.base + units[name] for name, at in there if at.logits is None and at.coded]
    back = [at.gradients + units[name] for name, at in there if at.learns]
    back += [at.errors + units[name] for name, at in there if at.errors is not None]
    logits = [
        at.logits + at.tiles * at.pixels * (cut.blocks if every else cut.sets)
        for _, at in there
        if at.logits is not None
    ]
    yield memory("weight memory", "row tiles", WEIGHTS, "weight_rows", blocks, machine.lanes)
    yield memory("spike memory", "tiles", SPIKES, "spike_units", max(spiking))
    yield memory("code memory", "tiles", CODES_OF, "units", max(coded, default=0))
    yield memory("gradient memory", "tiles", GRADIENTS, gradients, max(back, default=0))
    yield memory("read-out memory", "tiles", READOUT, "readout_units", max(logits, default=0))
    if table is not None:
        yield Use("table of windows", "rows", len(table.words), machine.windows, "windows")
    yield Use("state memory", "tiles", kept, machine.states, "states")
    for name in ENGINES:
        yield Use(f"{name} task memory", "tasks", len(queues[name].tasks), machine.tasks, "tasks")


def _extents(kind: EngineKind, found: Descriptors, cut: Cut) -> Iterator[Extent]:
    for values in found.layers.values():
        config = SimpleNamespace(**values)
        yield from kind.extents(config, cut)
        if "record" not in values:
            continue
        records = found.records[values["record"] : values["record"] + values["connections"]]
        for record in records:
            yield from kind.record_extents(config, SimpleNamespace(**record), cut)
