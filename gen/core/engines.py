"""The table of engines: what differs between the three, as data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from amaranth.hdl import Mux, Value
from amaranth.lib import data

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    BASE_BITS,
    CODES,
    CONNECTION_BITS,
    CONNECTIONS,
    HALF_BITS,
    NEURONS_BITS,
    RECORDS_BITS,
    TILES_BITS,
    WEIGHTS_BITS,
    WINDOW_BITS,
    WORD_BITS,
)
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.numerics.half import HALF_FIXED, PRODUCT_FIXED
from backspike.ir.constants import ENGINES


@dataclass(frozen=True)
class Field:
    """A field of a descriptor: its word, width and meaning."""

    name: str
    word: int
    width: int
    doc: str


@dataclass(frozen=True)
class Memory:
    """A memory that a layer must fit: why it is refused else, and its size."""

    fault: Fault
    size: Callable[[Machine], int]


WEIGHTS = Memory(Fault.WEIGHTS, lambda machine: machine.weight_rows // machine.lanes)
SPIKES = Memory(Fault.UNITS, lambda machine: machine.spike_units)
CODES_OF = Memory(Fault.UNITS, lambda machine: machine.units)
GRADIENTS = Memory(Fault.UNITS, lambda machine: machine.gradients)
READOUT = Memory(Fault.UNITS, lambda machine: machine.readout_units)


@dataclass(frozen=True)
class Extent:
    """What a layer takes of a memory: base + count * times is at most the memory's size, a power of
    two.

    Operands are numbers, or values of the hardware. applies: the layer uses the memory; valid: what
    must hold else.
    """

    memory: Memory
    base: Any
    count: Any
    times: Any
    applies: Any = True
    valid: Any = True


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """One engine. A run is refused unless all its `extents` fit, and the tiles of all connections
    together: so no sum has more than `terms` terms."""

    name: str  # in registers and JSON
    product: bool  # a value is multiplied by each element
    lines: Callable[[Machine], int]  # of a scanned tile
    terms: Callable[[Machine], int]  # of a sum, at the most
    extents: Callable[[Any, Any], list[Extent]]  # of (descriptor, batch)
    shapes: Sequence[tuple[str, int, str]]  # of a descriptor's fields: name, bits, meaning
    table: tuple[str, ...] = ()  # fields after these, a table of halves that has its own memory
    bare: tuple[str, ...] = ()  # layers with one of these flags use no table
    record_shapes: Sequence[tuple[str, int, str]] = ()  # of a connection's record, likewise
    record_extents: Callable[[Any, Any, Any], list[Extent]] = lambda *_: []  # with the record
    fields: dict[str, Field] = field(init=False)  # in word order
    record_fields: dict[str, Field] = field(init=False)  # in word order

    def __post_init__(self) -> None:
        for into, shapes in (("fields", self.shapes), ("record_fields", self.record_shapes)):
            fields = {name: Field(name, n, *rest) for n, (name, *rest) in enumerate(shapes)}
            object.__setattr__(self, into, fields)

    def on(self, machine: Machine) -> "EngineKind":
        """As it is on a machine: without windows, nobody is told of them."""
        if machine.windows:
            return self
        shapes, records = (
            [shape for shape in each if shape != WINDOWS]
            for each in (self.shapes, self.record_shapes)
        )
        return replace(self, shapes=shapes, record_shapes=records)

    @property
    def config(self) -> data.StructLayout:
        """The descriptor as registers, without its table."""
        return data.StructLayout(
            {f.name: f.width for f in self.fields.values() if f.name not in self.table}
        )

    @property
    def record(self) -> data.StructLayout:
        """A connection's record."""
        return data.StructLayout({f.name: f.width for f in self.record_fields.values()})

    def sum_width(self, machine: Machine) -> int:
        """Bits of an exact sum: of halves in units of 2^-24, or of products in 2^-48, and on a
        machine with scales of so many places less.

        A term's magnitude is less than 2^40 (2^80), so that of n terms is less than n * 2^40, and
        the sign is counted in HALF_FIXED (PRODUCT_FIXED).
        """
        guard = (self.terms(machine) - 1).bit_length()
        term = PRODUCT_FIXED if self.product else HALF_FIXED
        return term + self.places(machine) + guard

    def places(self, machine: Machine) -> int:
        """Places by which a term may be shifted; errors are of spikes, not of numbers."""
        return machine.scale_down + (0 if self.product else machine.scale_up)


TILES = ("tiles", TILES_BITS, "output tiles: ceil(size / P)")
SIZE = ("size", NEURONS_BITS, "output neurons")
LEAK = ("leak", HALF_BITS, "λ (half)")
CURRENT = [
    ("current", 1, "the synaptic current is a state, too"),
    ("synapse", HALF_BITS, "α, the current's leak (half)"),
]
RECORDS = [
    ("record", RECORDS_BITS, "place of the record of its first connection"),
    ("connections", CONNECTION_BITS + 1, "connections, of which the records follow each other"),
]
FORM = [
    ("diagonal", 1, "tile to tile: the source tile is the task's own, the weights are one block"),
    ("delay", 1, "spikes of a step arrive in the next one"),
]
SPIKES_ONLY = ("spikes_only", 1, "errors pass at spikes only (mpd-ed)")
SOURCES = (
    ("source_tiles", TILES_BITS, "source tiles, bias included"),
    ("sources", NEURONS_BITS, "source neurons, without bias"),
    ("bias", 1, "a further source that spikes in every step"),
    ("source_base", BASE_BITS, "first spike tile of the sources"),
    ("weights", WEIGHTS_BITS, "first block of the weights"),
)
WINDOWS = ("windows", WINDOW_BITS, "where the table tells of its windows, if there is one")
EDGES = [
    (f"edge{i}", HALF_BITS, f"surrogate edge {i}: the least u of code {i + 1} (half); none falls")
    for i in range(CODES - 1)
]
DERIVATIVES = [
    (f"h{i}", HALF_BITS, f"surrogate derivative of code {i} (half)") for i in range(CODES)
]


def _source_extents(config, sources, batch) -> list[Extent]:
    some = sources.source_tiles != 0  # else the last would never come
    return [
        Extent(SPIKES, sources.source_base, sources.source_tiles, batch.blocks, valid=some),
        Extent(WEIGHTS, sources.weights, config.tiles, sources.source_tiles),
    ]


def _choose(condition, one, other):
    """One of two numbers, or values of the hardware."""
    if isinstance(condition, Value):
        return Mux(condition, one, other)
    return one if condition else other


def _few(config):
    """Whether there is room for the records of all connections."""
    return config.connections <= CONNECTIONS


def _forward_extents(config, batch) -> list[Extent]:
    hidden = config.readout == 0
    logits = _choose(config.every, batch.blocks, batch.sets)
    some = (config.connections != 0) & _few(config)
    return [
        Extent(CODES_OF, config.output_base, config.tiles, batch.blocks, hidden, some),
        Extent(READOUT, config.output_base, config.tiles, logits, config.readout, some),
    ]


def _forward_record_extents(config, record, batch) -> list[Extent]:
    source_tiles = _choose(record.diagonal, config.tiles, record.source_tiles)
    tiles = _choose(record.diagonal, 1, config.tiles)
    weights = _choose(record.diagonal, 1, record.source_tiles)
    return [
        Extent(SPIKES, record.source_base, source_tiles, batch.blocks, valid=source_tiles != 0),
        Extent(WEIGHTS, record.weights, tiles, weights),
    ]


def _backward_extents(config, batch) -> list[Extent]:
    some = ((config.connections != 0) | (config.loss != 0)) & _few(config)
    return [
        Extent(
            CODES_OF,
            config.output_base,
            config.tiles,
            batch.blocks,
            applies=(config.loss | config.integrate) == 0,
        ),
        Extent(GRADIENTS, config.gradient_base, config.tiles, batch.blocks, valid=some),
        Extent(READOUT, config.logits, config.tiles, batch.sets, applies=config.loss),
    ]


def _backward_record_extents(config, record, batch) -> list[Extent]:
    hidden = config.loss == 0
    next_tiles = _choose(record.diagonal, config.tiles, record.next_tiles)
    tiles = _choose(record.diagonal, 1, record.next_tiles)
    rows = _choose(record.diagonal, 1, record.next_source_tiles)
    enough = (record.diagonal != 0) | (config.tiles <= record.next_source_tiles)
    return [
        Extent(GRADIENTS, record.next_base, next_tiles, batch.blocks, hidden, next_tiles != 0),
        Extent(WEIGHTS, record.next_weights, tiles, rows, hidden, enough),
    ]


def _update_extents(config, batch) -> list[Extent]:
    return [
        *_source_extents(config, config, batch),
        Extent(GRADIENTS, config.gradient_base, config.tiles, batch.blocks),
    ]


FORWARD = EngineKind(
    name=ENGINES[0],
    product=False,
    lines=lambda machine: machine.lanes,
    # A row for each source and the bias: the source tiles of all connections are at most `tiles`.
    terms=lambda machine: min(machine.weight_rows, machine.spike_units * machine.lanes),
    extents=_forward_extents,
    shapes=[
        TILES,
        SIZE,
        *RECORDS,
        ("output_base", BASE_BITS, "first tile of spikes and codes of the outputs"),
        LEAK,
        *CURRENT,
        ("threshold", HALF_BITS, "θ (half)"),
        ("soft", 1, "soft reset"),
        ("readout", 1, "integrate only and store the last u"),
        ("every", 1, "read-out: store u of every step"),
        SPIKES_ONLY,
        ("nonzero", CODES, "bit c: h(c) is not zero"),
        *EDGES,
    ],
    table=tuple(name for name, *_ in EDGES),
    bare=("readout",),
    record_shapes=[*SOURCES, *FORM, WINDOWS],
    record_extents=_forward_record_extents,
)
"""U = S W: rows of weights, a value of one."""

BACKWARD = EngineKind(
    name=ENGINES[1],
    product=True,
    lines=lambda machine: machine.lanes,
    # An element for each neuron of the next layers, of which the tiles are at most `tiles`.
    terms=lambda machine: machine.gradients * machine.lanes,
    extents=_backward_extents,
    shapes=[
        ("tiles", TILES_BITS, "tiles of this layer: ceil(size / P)"),
        ("size", NEURONS_BITS, "neurons of this layer"),
        *RECORDS,
        ("output_base", BASE_BITS, "first tile of this layer's codes"),
        ("gradient_base", BASE_BITS, "first tile of this layer's gradients"),
        ("loss", 1, "the read-out: errors come from the read-out memory"),
        ("squared", 1, "loss: e = round(α o - onehot) instead of a host-supplied error"),
        ("logits", BASE_BITS, "loss: first unit of the logits"),
        ("integrate", 1, "a read-out with errors of every step: h and κ are 1"),
        ("leak", HALF_BITS, "λ (half); loss: α (half)"),
        *CURRENT,
        ("soft", 1, "soft reset: κ = λ at spikes too"),
        ("temporal", 1, "κ is not zero"),
        SPIKES_ONLY,
        *DERIVATIVES,
    ],
    table=tuple(name for name, *_ in DERIVATIVES),
    bare=("loss", "integrate"),
    record_shapes=[
        ("next_tiles", TILES_BITS, "tiles of the next layer"),
        ("next_base", BASE_BITS, "first gradient tile of the next layer"),
        ("next_source_tiles", TILES_BITS, "source tiles of the next layer, bias included"),
        ("next_weights", WEIGHTS_BITS, "first block of the next layer's weights"),
        *FORM,
        WINDOWS,
    ],
    record_extents=_backward_record_extents,
)
"""E = G W': columns of weights, a gradient as value."""

UPDATE = EngineKind(
    name=ENGINES[2],
    product=False,
    lines=lambda machine: DEPTH,
    # A row for each of DEPTH entries of a block: tiles (one or more) * blocks is at most
    # gradient_units.
    terms=lambda machine: machine.gradients * DEPTH,
    extents=_update_extents,
    shapes=[
        TILES,
        *SOURCES,
        ("gradient_base", BASE_BITS, "first gradient tile of the outputs"),
        ("delay", 1, "spikes of a step arrive in the next one"),
        ("rate", HALF_BITS, "η (half)"),
        ("stochastic", 1, "round the updated weight stochastically"),
        ("all", 1, "update rows without a gradient, too"),
        ("hand", 1, "write -η d in the place of w"),
        ("momentum", HALF_BITS, "μ (half), on a machine with moments"),
        WINDOWS,
        ("key", WORD_BITS, "key of the stochastic rounding's hash"),
    ],
)
"""D = S' G: rows of gradients, a value of one."""

KINDS = {kind.name: kind for kind in (FORWARD, BACKWARD, UPDATE)}
"""Engines by name, in queue order."""
