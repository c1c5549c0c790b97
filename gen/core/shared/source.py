"""Sources and neurons of a layer: which bits of a tile count."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

from backspike.gen.core.layout import BASE_BITS, BLOCK_BITS, PLACE_BITS, STEPS_BITS, TILE_BITS
from backspike.gen.machine import DEPTH

HEADER = data.StructLayout(
    {
        "base": BASE_BITS,  # of the tile's memory, in this block
        "set": BLOCK_BITS,
        "head": 1,  # the block is of the first span
        "tail": 1,  # of the last
        "place": PLACE_BITS,  # of what its neurons keep
        "tile": TILE_BITS,  # of neurons
        "last": 1,  # the task ends with it
    },
)
"""What a drain needs to know of a block."""


def entries(masks, extent, header):
    """Mask of the entries (t * samples + s) of a header's block that hold a sample.

    masks: see `span_masks`.
    """
    full, partial = header.set < extent.full, header.set == extent.full
    return _entries(full, partial, header.tail, masks, extent)


def _entries(full, partial, tail, masks, extent):
    return Mux(tail, masks[1], masks[0]) & Mux(
        full, Const((1 << DEPTH) - 1, DEPTH), Mux(partial, extent.partial, 0)
    )


def _lanes(lanes: int, inner, last, size):
    """Lanes of a tile below `size`: all if it is an inner one, some if it is the last."""
    return Cat(inner | (last & (size[: exact_log2(lanes)] > n)) for n in range(lanes))


def span_masks(m: Module, batch) -> list[Signal]:
    """Masks of the entries of a span, the lowest steps * samples, and of the last one: out of
    registers, since a batch does not change while anything runs."""
    masks = []
    for name, steps in (("span", batch.steps), ("last_span", batch.last_steps)):
        count = Signal(STEPS_BITS, name=f"{name}_entries")  # DEPTH or less
        mask = Signal(DEPTH, name=f"{name}_mask")
        m.d.sync += [
            count.eq(steps * batch.samples),
            mask.eq(Cat(count > n for n in range(DEPTH))),
        ]
        masks.append(mask)
    return masks


def edges_layout(lanes: int) -> data.StructLayout:
    """Travels beside a spike tile, to tell which of its bits count."""
    return data.StructLayout(
        {
            "void": 1,  # no lane is a source
            "inner": 1,  # all lanes of the tile are
            "last": 1,  # it is the tile with the last sources and the bias
            "rest": exact_log2(lanes),  # sources of that tile
            "bias": 1,  # a further source that spikes in every step
            "full": 1,  # its set is full
            "partial": 1,  # its set is full in part
            "tail": 1,  # its span is the last
        }
    )


def edges_of(lanes: int, step, connection, extent) -> Value:
    """The edges of a step of the walk. connection: its descriptor's `sources` and `bias`."""
    bits, sources = exact_log2(lanes), connection.sources
    return Cat(
        step.void,
        ~step.void & (step.source < sources[bits:]),
        step.source == sources[bits:],
        sources[:bits],
        connection.bias,
        step.set < extent.full,
        step.set == extent.full,
        step.tail,
    )


def masks_of(lanes: int, flags, span_masks, extent):
    """(sources, bias, entries) of a tile's edges: lanes that are sources, the lane that is the
    bias, and the entries that hold a sample."""
    return (
        _lanes(lanes, flags.inner, flags.last & ~flags.void, flags.rest),
        Cat(flags.bias & flags.last & (flags.rest == n) for n in range(lanes)),
        _entries(flags.full, flags.partial, flags.tail, span_masks, extent),
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
