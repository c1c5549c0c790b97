"""Reading the sources of a layer: spike tiles, cleaned of padding, with the bias."""

from amaranth.hdl import Cat, Module, Mux, Signal
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
    part = Mux(block == extent.full, extent.partial, 0)
    return Mux(block < extent.full, whole, part)


def whole_block(m: Module, batch):
    """Mask of the entries of a full block, the lowest T * samples: out of registers, since a batch
    does not change while anything runs."""
    count, mask = Signal(5, name="whole_count"), Signal(DEPTH, name="whole_mask")
    m.d.sync += [
        count.eq(batch.steps * batch.samples),
        mask.eq(Cat(count > n for n in range(DEPTH))),
    ]
    return mask


def source_tag(lanes: int) -> data.StructLayout:
    """Travels beside a spike tile: which lanes are sources, which is the bias, which entries."""
    return data.StructLayout({"sources": lanes, "bias": lanes, "entries": DEPTH})


def lane_masks(lanes: int, tile, sources, bias):
    """(sources, bias): lanes of `tile` that are sources, and the lane that is the bias."""
    bits = exact_log2(lanes)
    whole = tile < sources[bits:]
    partial = tile == sources[bits:]
    return (
        Cat(whole | (partial & (sources[:bits] > n)) for n in range(lanes)),
        Cat(bias & partial & (sources[:bits] == n) for n in range(lanes)),
    )


def cleaned(m: Module, row, tag, lanes: int, name: str) -> list:
    """The tile's lines over entries, one a lane: padding zero, bias one, absent samples zero."""
    lines = [Signal(DEPTH, name=f"{name}_line{n}") for n in range(lanes)]
    for n, line in enumerate(lines):
        present = tag.sources[n].replicate(DEPTH) & row.word_select(n, DEPTH)
        m.d.comb += line.eq((present | tag.bias[n].replicate(DEPTH)) & tag.entries)
    return lines
