"""Reading the sources of a layer: spike tiles, cleaned of padding, with the bias."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

from backspike.gen.machine import DEPTH

HEADER = data.StructLayout(
    {"unit": 13, "block": 10, "tile": 8, "last": 1},
)
"""What a drain needs to know of a block: the tile of memory that it writes (or the weights' block
of sources), the block, the tile of neurons, and whether the task ends with it."""


def entries(whole, extent, block):
    """Mask of the entries (t * samples + s) of `block` that hold a sample; whole: of a full block,
    see `whole_block`."""
    return _entries(block < extent.full, block == extent.full, whole, extent)


def _entries(full, partial, whole, extent):
    return Mux(full, whole, Mux(partial, extent.partial, 0))


def _lanes(lanes: int, inner, last, size):
    """Lanes of a tile below `size`: all if it is an inner one, some if it is the last."""
    return Cat(inner | (last & (size[: exact_log2(lanes)] > n)) for n in range(lanes))


def whole_block(m: Module, batch):
    """Mask of the entries of a full block, the lowest T * samples: out of registers, since a batch
    does not change while anything runs."""
    count, mask = Signal(5, name="whole_count"), Signal(DEPTH, name="whole_mask")
    m.d.sync += [
        count.eq(batch.steps * batch.samples),
        mask.eq(Cat(count > n for n in range(DEPTH))),
    ]
    return mask


PLACE = data.StructLayout({"inner": 1, "last": 1, "full": 1, "partial": 1})
"""Travels beside a spike tile: all its lanes are sources, or it is the tile that has the last ones
and the bias; its block is full, or the one that is partly so."""


def place_of(lanes: int, tile, sources, block, extent) -> Value:
    """The PLACE of a tile in a block."""
    bits = exact_log2(lanes)
    return Cat(
        tile < sources[bits:], tile == sources[bits:], block < extent.full, block == extent.full
    )


def masks_of(lanes: int, place, sources, bias, whole, extent):
    """(sources, bias, entries) of a PLACE: lanes that are sources, the lane that is the bias, and
    the entries that hold a sample (whole: of a full block, see `whole_block`)."""
    bits = exact_log2(lanes)
    return (
        _lanes(lanes, place.inner, place.last, sources),
        Cat(bias & place.last & (sources[:bits] == n) for n in range(lanes)),
        _entries(place.full, place.partial, whole, extent),
    )


def lane_mask(lanes: int, tile, size):
    """Lanes of `tile` that hold one of `size` neurons."""
    bits = exact_log2(lanes)
    return _lanes(lanes, tile < size[bits:], tile == size[bits:], size)


def cleaned(m: Module, row, masks, name: str) -> list:
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
