"""Sources and neurons of a layer: which bits of a tile count."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

from backspike.gen.core.layout import BASE_BITS, BLOCK_BITS, STEPS_BITS, TILE_BITS
from backspike.gen.machine import DEPTH

HEADER = data.StructLayout(
    {
        "base": BASE_BITS,  # of the tile's memory, in this block
        "block": BLOCK_BITS,
        "tile": TILE_BITS,  # of neurons
        "last": 1,  # the task ends with it
    },
)
"""What a drain needs to know of a block."""


def entries(full_mask, extent, block):
    """Mask of the entries (t * samples + s) of `block` that hold a sample.

    full_mask: see `full_block_mask`.
    """
    return _entries(block < extent.full, block == extent.full, full_mask, extent)


def _entries(full, partial, full_mask, extent):
    return Mux(full, full_mask, Mux(partial, extent.partial, 0))


def _lanes(lanes: int, inner, last, size):
    """Lanes of a tile below `size`: all if it is an inner one, some if it is the last."""
    return Cat(inner | (last & (size[: exact_log2(lanes)] > n)) for n in range(lanes))


def full_block_mask(m: Module, batch):
    """Mask of the entries of a full block, the lowest T * samples: out of registers, since a batch
    does not change while anything runs."""
    count = Signal(STEPS_BITS, name="full_block_entries")  # DEPTH or less
    mask = Signal(DEPTH, name="full_block_mask")
    m.d.sync += [
        count.eq(batch.steps * batch.samples),
        mask.eq(Cat(count > n for n in range(DEPTH))),
    ]
    return mask


EDGE_FLAGS = data.StructLayout(
    {
        "inner": 1,  # all lanes of the tile are sources
        "last": 1,  # it is the tile with the last sources and the bias
        "full": 1,  # its block is full
        "partial": 1,  # its block is full in part
    }
)
"""Travels beside a spike tile, to tell which of its bits count."""


def edge_flags(lanes: int, tile, sources, block, extent) -> Value:
    """The EDGE_FLAGS of a tile in a block."""
    bits = exact_log2(lanes)
    return Cat(
        tile < sources[bits:], tile == sources[bits:], block < extent.full, block == extent.full
    )


def masks_of(lanes: int, flags, sources, bias, full_mask, extent):
    """(sources, bias, entries) of a tile's flags: lanes that are sources, the lane that is the
    bias, and the entries that hold a sample."""
    bits = exact_log2(lanes)
    return (
        _lanes(lanes, flags.inner, flags.last, sources),
        Cat(bias & flags.last & (sources[:bits] == n) for n in range(lanes)),
        _entries(flags.full, flags.partial, full_mask, extent),
    )


def lane_mask(lanes: int, tile, size):
    """Lanes of `tile` that hold one of `size` neurons."""
    bits = exact_log2(lanes)
    return _lanes(lanes, tile < size[bits:], tile == size[bits:], size)


def masked_tile(m: Module, row, masks, name: str) -> list:
    """The tile's lines over entries, one a lane: padding zero, bias one, absent samples zero.

    masks: (sources, bias, entries), see `masks_of`.
    """
    lanes = len(masks[0])
    sources, bias, entries = (
        Signal(len(mask), name=f"{name}_{part}")
        for mask, part in zip(masks, ("sources", "bias", "entries"), strict=True)
    )
    m.d.comb += [
        signal.eq(mask) for signal, mask in zip((sources, bias, entries), masks, strict=True)
    ]
    lines = [Signal(DEPTH, name=f"{name}_line{n}") for n in range(lanes)]
    for n, line in enumerate(lines):
        present = sources[n].replicate(DEPTH) & row.word_select(n, DEPTH)
        m.d.comb += line.eq((present | bias[n].replicate(DEPTH)) & entries)
    return lines
