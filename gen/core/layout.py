"""Widths and layouts shared by the generator, the compiler and the driver."""

from amaranth.lib import data
from amaranth.utils import ceil_log2, exact_log2

from backspike.gen.machine import DEPTH, Machine
from backspike.ir.constants import PART_BITS

HALF_BITS = 16
"""Bits of a half, and of a half's place in a descriptor."""
LAYER_BITS = 4
"""Bits of a layer's number: a machine has up to 16 layers."""
CONNECTIONS = 16
"""Connections of a population in one direction, at the most."""
CONNECTION_BITS = exact_log2(CONNECTIONS)
RECORDS_BITS = 8
"""Bits of the place of a connection's record: a machine has up to 256."""
TILE_BITS = 8
"""Bits of a tile's number: a layer has up to 256 tiles, as many as a task's word has room for."""
TILES_BITS = TILE_BITS + 1
"""Bits of a number of tiles, up to 256."""
NEURONS_BITS = TILE_BITS + 5
"""Bits of a number of neurons, up to 256 tiles of 16 lanes."""
BASE_BITS = 13
"""Bits of the place of a tile in the spike memory, the deepest: 8192 tiles of P x DEPTH bits."""
WEIGHTS_BITS = 16
"""Bits of the place of a block of weights: 65536 blocks of P x P halves."""
BLOCK_BITS = 13
"""Bits of a number of blocks, and of sets and spans: a batch has up to 8191."""
STEPS_BITS = DEPTH.bit_length()
"""Bits of a number of entries, up to DEPTH: of steps, and of samples."""
COUNT_BITS = 10
"""Bits of a count of tasks that is waited for; a queue holds up to 2^COUNT_BITS."""
POSITION_BITS = COUNT_BITS + 1
"""Bits of a position in a queue, the one after its last task included."""
WORD_BITS = 32
"""Bits of a word of descriptors."""
WINDOW_BITS = 12
"""Bits of a row's place in the table of windows, which has up to 4096."""
PLACE_BITS = 10
"""Bits of a place of what a tile's neurons keep."""

TASK = data.StructLayout(
    {
        "wait_fp": COUNT_BITS,
        "wait_bp": COUNT_BITS,
        "wait_wg": COUNT_BITS,
        "unused": 2,
        "layer": LAYER_BITS,
        "tile": TILE_BITS,
        "place": PLACE_BITS,  # of what its neurons keep, in the batch's first set
        "keep": 1,  # each set has a place of its own
        "step": 1,  # work on one span, that of the loop
        "loop": 1,  # the first task of a loop
        "again": 1,  # the last one: the next is the loop's first, one span on, up to the last span
        "fence": 1,  # wait until the engine has completed all that came before
    },
)
"""One task: work on one tile of one layer, once each engine has completed as many tasks of this run
as it waits for. Tasks of a loop are completed when its last span is."""
TASK_BITS = 64
"""Bits of a task in its queue."""

DESCRIPTOR_WORDS = 32
"""Words reserved for a descriptor."""
RECORD_WORDS = 8
"""Words reserved for a connection's record."""
CODES = 16
"""Surrogate codes; an edge lies between two of them."""
NEVER = 0x7C00
"""A surrogate edge that no finite half reaches (the pattern of infinity, compared as bits)."""
TABLE = data.StructLayout({"write": 1, "index": exact_log2(CODES), "half": HALF_BITS})
"""A row of an engine's table is written, while the engine is empty."""

RECORD = data.StructLayout(
    {
        "write": 1,
        "connection": CONNECTION_BITS,
        "field": exact_log2(RECORD_WORDS),
        "word": WORD_BITS,
    }
)
"""A field of a connection's record is written, while the engine is empty."""

BATCH = data.StructLayout(
    {
        "steps": STEPS_BITS,  # of a span
        "last_steps": STEPS_BITS,  # of the last one
        "samples": STEPS_BITS,  # of a set; steps * samples is at most DEPTH
        "spans": BLOCK_BITS,
        "sets": BLOCK_BITS,
        "blocks": BLOCK_BITS,  # sets * spans
    },
)
"""How a batch is cut: its samples into sets, its steps into spans. A block is a set in a span, and
lies at set * spans + span; what a neuron keeps goes from block to block of a set."""

EXTENT = data.StructLayout({"full": BLOCK_BITS, "partial": DEPTH})
"""Samples present: number of full sets, and the mask of entries in the blocks of the set after
these."""


def descriptor_words(machine: Machine) -> int:
    """Words of an engine's descriptors, and of as much for records: 4 connections a layer."""
    return 2 * machine.layers * DESCRIPTOR_WORDS


def row_width(machine: Machine) -> int:
    """Bits of a row of P halves."""
    return machine.lanes * HALF_BITS


def spike_bits(machine: Machine) -> int:
    """Address bits of a tile of spikes."""
    return exact_log2(machine.spike_units)


def code_bits(machine: Machine) -> int:
    """Address bits of a tile of codes."""
    return ceil_log2(machine.units)


def gradient_bits(machine: Machine) -> int:
    """Address bits of a tile of gradients."""
    return ceil_log2(machine.gradients)


def readout_bits(machine: Machine) -> int:
    """Address bits of a unit of logits."""
    return exact_log2(machine.readout_units)


def weight_bits(machine: Machine) -> int:
    """Address bits of a row of P weights."""
    return ceil_log2(machine.weight_rows)


def block_bits(machine: Machine) -> int:
    """Address bits of a block of P x P weights: P rows, so a row's address is {block, k mod P}."""
    return ceil_log2(machine.weight_rows // machine.lanes)


def places_bits(machine: Machine) -> int:
    """Bits of the places by which weights are shifted, from 2^-scale_down up; 0 if they are not."""
    return (machine.scale_down + machine.scale_up).bit_length()


def part_bits(machine: Machine) -> int:
    """Bits of a part of a weight gradient's sum."""
    return PART_BITS + machine.scale_down


def window_bits(machine: Machine) -> int:
    """Address bits of a row of the table of windows; 0 if there is none."""
    return exact_log2(machine.windows) if machine.windows else 0
