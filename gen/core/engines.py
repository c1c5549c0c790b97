"""The table of engines: what differs between the three, as data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import data

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    BASE_BITS,
    CODES,
    HALF_BITS,
    NEURONS_BITS,
    TILES_BITS,
    WEIGHTS_BITS,
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
GRADIENTS = Memory(Fault.UNITS, lambda machine: machine.units)
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
    """One engine. A run is refused unless all its `extents` fit: so no sum has more than `terms`
    terms."""

    name: str  # in registers and JSON
    product: bool  # a value is multiplied by each element
    lines: Callable[[Machine], int]  # of a scanned tile
    terms: Callable[[Machine], int]  # of a sum, at the most
    extents: Callable[[Any, Any], list[Extent]]  # of (descriptor, batch)
    shapes: Sequence[tuple[str, int, str]]  # of a descriptor's fields: name, bits, meaning
    table: tuple[str, ...] = ()  # fields after these, a table of halves that has its own memory
    fields: dict[str, Field] = field(init=False)  # in word order

    def __post_init__(self) -> None:
        fields = {name: Field(name, n, *rest) for n, (name, *rest) in enumerate(self.shapes)}
        object.__setattr__(self, "fields", fields)

    @property
    def config(self) -> data.StructLayout:
        """The descriptor as registers, without its table."""
        return data.StructLayout(
            {f.name: f.width for f in self.fields.values() if f.name not in self.table}
        )

    def sum_width(self, machine: Machine) -> int:
        """Bits of an exact sum: of halves in units of 2^-24, or of products in 2^-48.

        A term's magnitude is less than 2^40 (2^80), so that of n terms is less than n * 2^40, and
        the sign is counted in HALF_FIXED (PRODUCT_FIXED).
        """
        guard = (self.terms(machine) - 1).bit_length()
        return (PRODUCT_FIXED if self.product else HALF_FIXED) + guard


TILES = ("tiles", TILES_BITS, "output tiles: ceil(size / P)")
SIZE = ("size", NEURONS_BITS, "output neurons")
LEAK = ("leak", HALF_BITS, "λ (half)")
SPIKES_ONLY = ("spikes_only", 1, "errors pass at spikes only (mpd-ed)")
SOURCES = (
    ("source_tiles", TILES_BITS, "source tiles, bias included"),
    ("sources", NEURONS_BITS, "source neurons, without bias"),
    ("bias", 1, "a further source that spikes in every step"),
    ("source_base", BASE_BITS, "first spike tile of the sources"),
    ("weights", WEIGHTS_BITS, "first block of the weights"),
)
EDGES = [
    (f"edge{i}", HALF_BITS, f"surrogate edge {i}: the least u of code {i + 1} (half); none falls")
    for i in range(CODES - 1)
]
DERIVATIVES = [
    (f"h{i}", HALF_BITS, f"surrogate derivative of code {i} (half)") for i in range(CODES)
]


def _source_extents(config, batch) -> list[Extent]:
    some = config.source_tiles != 0  # else the last would never come
    return [
        Extent(SPIKES, config.source_base, config.source_tiles, batch.blocks, valid=some),
        Extent(WEIGHTS, config.weights, config.tiles, config.source_tiles),
    ]


def _forward_extents(config, batch) -> list[Extent]:
    hidden = config.readout == 0
    return [
        *_source_extents(config, batch),
        Extent(GRADIENTS, config.output_base, config.tiles, batch.blocks, applies=hidden),
        Extent(READOUT, 0, config.tiles, batch.sets, applies=config.readout),
    ]


def _backward_extents(config, batch) -> list[Extent]:
    hidden = config.loss == 0
    return [
        Extent(GRADIENTS, config.output_base, config.tiles, batch.blocks),
        Extent(READOUT, 0, config.tiles, batch.sets, applies=config.loss),
        Extent(GRADIENTS, config.next_base, config.next_tiles, batch.blocks, applies=hidden,
               valid=config.next_tiles != 0),
        Extent(WEIGHTS, config.next_weights, config.next_tiles, config.next_source_tiles,
               applies=hidden, valid=config.tiles <= config.next_source_tiles),
    ]  # fmt: skip


def _update_extents(config, batch) -> list[Extent]:
    return [
        *_source_extents(config, batch),
        Extent(GRADIENTS, config.gradient_base, config.tiles, batch.blocks),
    ]


FORWARD = EngineKind(
    name=ENGINES[0],
    product=False,
    lines=lambda machine: machine.lanes,
    # A row for each source and the bias: tiles (one or more) * source_tiles is at most the blocks
    # of weights, and source_tiles * blocks (one or more) at most spike_units.
    terms=lambda machine: min(machine.weight_rows, machine.spike_units * machine.lanes),
    extents=_forward_extents,
    shapes=[
        TILES,
        SIZE,
        *SOURCES,
        ("output_base", BASE_BITS, "first tile of spikes and codes of the outputs"),
        LEAK,
        ("threshold", HALF_BITS, "θ (half)"),
        ("soft", 1, "soft reset"),
        ("readout", 1, "integrate only and store the last u"),
        SPIKES_ONLY,
        ("nonzero", CODES, "bit c: h(c) is not zero"),
        *EDGES,
    ],
    table=tuple(name for name, *_ in EDGES),
)
"""U = S W: rows of weights, a value of one."""

BACKWARD = EngineKind(
    name=ENGINES[1],
    product=True,
    lines=lambda machine: machine.lanes,
    # An element for each neuron of the next layer: next_tiles * blocks is at most units.
    terms=lambda machine: machine.units * machine.lanes,
    extents=_backward_extents,
    shapes=[
        ("tiles", TILES_BITS, "tiles of this layer: ceil(size / P)"),
        ("size", NEURONS_BITS, "neurons of this layer"),
        ("output_base", BASE_BITS, "first tile of this layer's codes and gradients"),
        ("loss", 1, "the read-out: errors come from the read-out memory"),
        ("squared", 1, "loss: e = round(α o - onehot) instead of a host-supplied error"),
        ("next_tiles", TILES_BITS, "tiles of the next layer"),
        ("next_base", BASE_BITS, "first gradient tile of the next layer"),
        ("next_source_tiles", TILES_BITS, "source tiles of the next layer, bias included"),
        ("next_weights", WEIGHTS_BITS, "first block of the next layer's weights"),
        ("leak", HALF_BITS, "λ (half); loss: α (half)"),
        ("soft", 1, "soft reset: κ = λ at spikes too"),
        ("temporal", 1, "κ is not zero"),
        SPIKES_ONLY,
        *DERIVATIVES,
    ],
    table=tuple(name for name, *_ in DERIVATIVES),
)
"""E = G W': columns of weights, a gradient as value."""

UPDATE = EngineKind(
    name=ENGINES[2],
    product=False,
    lines=lambda machine: DEPTH,
    # A row for each of DEPTH entries of a block: tiles (one or more) * blocks is at most units.
    terms=lambda machine: machine.units * DEPTH,
    extents=_update_extents,
    shapes=[
        TILES,
        *SOURCES,
        ("gradient_base", BASE_BITS, "first gradient tile of the outputs"),
        ("rate", HALF_BITS, "η (half)"),
        ("stochastic", 1, "round the updated weight stochastically"),
        ("key", WORD_BITS, "key of the stochastic rounding's hash"),
    ],
)
"""D = S' G: rows of gradients, a value of one."""

KINDS = {kind.name: kind for kind in (FORWARD, BACKWARD, UPDATE)}
"""Engines by name, in queue order."""
