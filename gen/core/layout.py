"""Layouts shared by the generator, the compiler and the driver: tasks and layer descriptors.

A descriptor is a list of 32-bit words; each engine has one descriptor for each layer that it works
on, with just the fields it needs, so that no engine knows another's parameters.
"""

from dataclasses import dataclass

from amaranth.lib import data
from amaranth.utils import exact_log2

from backspike.gen.machine import DEPTH, Machine
from backspike.ir.constants import ENGINES

TASK = data.StructLayout(
    {"layer": 4, "tile": 8, "wait_first": 10, "wait_second": 10},
)
"""One task: work on one tile of one layer, once the two other engines (in ENGINES' order) have
completed `wait_first` and `wait_second` tasks of this run."""

DESCRIPTOR_WORDS = 32
"""Words reserved for a descriptor."""
NEVER = 0x7C00
"""A surrogate edge that no finite half reaches (the pattern of infinity, compared as bits)."""


@dataclass(frozen=True)
class Field:
    """A field of a descriptor: its word, width and meaning."""

    name: str
    word: int
    width: int
    doc: str


def _fields(*rows: tuple[str, int, str]) -> dict[str, Field]:
    return {name: Field(name, word, width, doc) for word, (name, width, doc) in enumerate(rows)}


def descriptor_fields(engine: str) -> dict[str, Field]:
    """Fields of the engine's descriptor, in word order."""
    edges = [
        (f"edge{i}", 16, f"surrogate edge {i}: the least u of code {i + 1} (half); none falls")
        for i in range(15)
    ]
    table = [(f"h{i}", 16, f"surrogate derivative of code {i} (half)") for i in range(16)]
    if engine == "fp":
        return _fields(
            ("tiles", 9, "output tiles: ceil(size / P)"),
            ("size", 13, "output neurons"),
            ("source_tiles", 9, "source tiles, bias included"),
            ("sources", 13, "source neurons, without bias"),
            ("bias", 1, "a further source that spikes in every step"),
            ("source_unit", 13, "first spike tile of the sources"),
            ("output_unit", 13, "first tile of spikes and codes of the outputs"),
            ("weights", 16, "first row tile of the weights"),
            ("leak", 16, "λ (half)"),
            ("threshold", 16, "θ (half)"),
            ("soft", 1, "soft reset"),
            ("readout", 1, "integrate only and store the last u"),
            ("spikes_only", 1, "errors pass at spikes only (mpd-ed)"),
            ("nonzero", 16, "bit c: h(c) is not zero"),
            *edges,
        )
    if engine == "bp":
        return _fields(
            ("tiles", 9, "tiles of this layer: ceil(size / P)"),
            ("size", 13, "neurons of this layer"),
            ("output_unit", 13, "first tile of this layer's codes and gradients"),
            ("loss", 1, "the read-out: errors come from the read-out memory"),
            ("squared", 1, "loss: e = round(α o - onehot) instead of a host-supplied error"),
            ("next_tiles", 9, "tiles of the next layer"),
            ("next_unit", 13, "first gradient tile of the next layer"),
            ("next_weights", 16, "first row tile of the next layer's weights"),
            ("leak", 16, "λ (half); loss: α (half)"),
            ("soft", 1, "soft reset: κ = λ at spikes too"),
            ("temporal", 1, "κ is not zero"),
            ("spikes_only", 1, "errors pass at spikes only (mpd-ed)"),
            *table,
        )
    if engine == "wg":
        return _fields(
            ("tiles", 9, "output tiles: ceil(size / P)"),
            ("source_tiles", 9, "source tiles, bias included"),
            ("sources", 13, "source neurons, without bias"),
            ("bias", 1, "a further source that spikes in every step"),
            ("source_unit", 13, "first spike tile of the sources"),
            ("gradient_unit", 13, "first gradient tile of the outputs"),
            ("weights", 16, "first row tile of the weights"),
            ("rate", 16, "η (half)"),
            ("stochastic", 1, "round the updated weight stochastically"),
            ("key", 32, "key of the stochastic rounding's hash"),
        )
    raise ValueError(f"engine is {engine!r}, must be one of {', '.join(ENGINES)}")


TABLES = {"fp": [f"edge{n}" for n in range(15)], "bp": [f"h{n}" for n in range(16)]}
"""Fields of a descriptor that make a table of halves, which an engine keeps in memories."""
TABLE = data.StructLayout({"write": 1, "index": 4, "half": 16})
"""A row of the table is written, while the engine is empty."""


def config_layout(engine: str) -> data.StructLayout:
    """The engine's descriptor as registers, without its table."""
    table = TABLES.get(engine, ())
    return data.StructLayout(
        {f.name: f.width for f in descriptor_fields(engine).values() if f.name not in table}
    )


BATCH = data.StructLayout(
    {"steps": 5, "samples": 5, "blocks": 10},
)
"""T, samples a block (T * samples <= DEPTH) and blocks of a batch."""

EXTENT = data.StructLayout({"full": 10, "partial": DEPTH})
"""Samples present: number of full blocks, and the mask of entries in the block after these."""


def row_width(machine: Machine) -> int:
    """Bits of a row of P halves."""
    return machine.lanes * 16


def unit_bits(machine: Machine) -> int:
    """Address bits of a tile of spikes."""
    return exact_log2(machine.spike_units)


def weight_bits(machine: Machine) -> int:
    """Address bits of a row tile of weights."""
    return exact_log2(machine.weight_rows)
