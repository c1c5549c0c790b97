"""The walk through a task: which tiles are read, in which order, and where they lie."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import BATCH, BLOCK_BITS, TILE_BITS, TILES_BITS


def walk_header(bases: int, rows: int) -> data.StructLayout:
    """What is known of a sum: the tile of neurons and its base in the block; the block's set, and
    whether its span is the first and the last; the first source tile and its block of weights;
    whether the task ends with it."""
    return data.StructLayout(
        {
            "base": bases,
            "row": rows,
            "set": BLOCK_BITS,
            "head": 1,
            "tail": 1,
            "source": TILES_BITS,
            "tile": TILE_BITS,
            "last": 1,
        }
    )


def step_layout(sources: int, bases: int, rows: int) -> data.StructLayout:
    """One tile of sources in one block of the batch."""
    return data.StructLayout(
        {
            "source_base": sources,  # where the tile of sources lies
            "base": bases,  # where the tile of neurons lies
            "row": rows,  # the block of weights between both
            "set": BLOCK_BITS,  # the block's
            "tail": 1,  # its span is the last
            "source": TILES_BITS,  # the source tile's number
            "group_last": 1,  # the last of a group of source tiles
            "last": 1,  # a sum ends with it
        }
    )


class BlockOrder(wiring.Component):
    """Counts blocks, set by set and span by span, or in `reverse` from the last to the first.

    Latency: the first block is there in the cycle after `start`, which also comes before `next`.
    """

    def __init__(self, *, bits: int, reverse: bool):
        self._bits, self._reverse = bits, reverse
        super().__init__(
            {
                "batch": In(BATCH),  # constant from a cycle before start
                "start": In(1),
                "next": In(1),
                "block": Out(bits),
                "set": Out(bits),
                "head": Out(1),  # of the first span
                "tail": Out(1),  # of the last
                "last": Out(1),  # no block follows
            }
        )

    def elaborate(self, platform):
        m = Module()
        span = Signal(self._bits)
        limits = {}
        for name in ("blocks", "sets", "spans"):
            limits[name] = Signal(self._bits, name=f"{name}_limit")
            m.d.sync += limits[name].eq(self.batch[name] - 1)
        m.d.comb += [self.head.eq(span == 0), self.tail.eq(span == limits["spans"])]
        if self._reverse:
            first = (limits["blocks"], limits["sets"], limits["spans"])
            by, wraps = -1, self.head
            m.d.comb += self.last.eq(self.block == 0)
        else:
            first = (0, 0, 0)
            by, wraps = 1, self.tail
            m.d.comb += self.last.eq(self.block == limits["blocks"])
        with m.If(self.next):
            m.d.sync += [self.block.eq(self.block + by), span.eq(span + by)]
            with m.If(wraps):
                m.d.sync += [self.set.eq(self.set + by), span.eq(first[2])]
        with m.If(self.start):
            m.d.sync += [
                counter.eq(value)
                for counter, value in zip((self.block, self.set, span), first, strict=True)
            ]
        return m


class TileWalk(wiring.Component):
    """For each sum of a task: its header, then a step for each tile that it reads.

    Without `group` a sum is one block's: its steps are all source tiles. With `group` a sum is that
    of so many source tiles: its steps are those tiles in the first block, in the next one, and so
    on. Blocks follow each other set by set, in a set span by span; in `reverse` from the last to
    the first. Addresses are

        source_base = source_first + source * blocks + block
        base        = base_first + tile * blocks + block  (by_set: tile * sets + set)
        row         = weights + tile * tile_rows + source * source_rows

    The products by `tile` are formed once a task, all others are sums kept up to date.

    Throughput: a step a cycle, and one cycle for a header. Latency: 3 cycles from a task to its
    first header.

    Parameters: bits of blocks, of source bases, of bases and of rows; group; reverse.
    """

    def __init__(
        self,
        *,
        blocks: int,
        sources: int,
        bases: int,
        rows: int,
        group: int = 0,
        reverse: bool = False,
    ):
        self._blocks, self._sources, self._bases, self._rows = blocks, sources, bases, rows
        self._group, self._reverse = group, reverse
        super().__init__(
            {
                "i": In(stream.Signature(TILE_BITS)),  # the tile of neurons
                "batch": In(BATCH),  # constant from a cycle before a task
                "base_first": In(bases),  # as all that follows, constant during a task
                "by_set": In(1),
                "source_first": In(sources),
                "source_tiles": In(TILES_BITS),
                "weights": In(rows),
                "tile_rows": In(rows),
                "source_rows": In(rows),
                "skip": In(1),  # headers only
                "o_headers": Out(stream.Signature(walk_header(bases, rows))),
                "o": Out(stream.Signature(step_layout(sources, bases, rows))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        group, blocks = self._group, self.batch.blocks
        header, step = self.o_headers.payload, self.o.payload
        tile = Signal(TILE_BITS)
        m.submodules.order = order = BlockOrder(bits=self._blocks, reverse=self._reverse)
        block, last_block = order.block, order.last
        source = Signal(TILES_BITS)  # with a group, its first
        part = Signal(range(group + 1))  # of the group
        tile_bases = Signal(self._bases, reset_less=True)  # of the layer, before the tile's
        tile_rows = Signal(self._rows, reset_less=True)
        base = Signal(self._bases, reset_less=True)  # in block 0
        source_first = Signal(self._sources, reset_less=True)  # of the sum
        source_base = Signal(self._sources, reset_less=True)
        row_first = Signal(self._rows, reset_less=True)
        row = Signal(self._rows, reset_less=True)
        last_source = Signal()
        # Constant during a task, as its layer and the batch are.
        source_limit = Signal(TILES_BITS)
        m.d.sync += source_limit.eq(self.source_tiles - 1)
        m.d.comb += [
            order.batch.eq(self.batch),
            last_source.eq(source + group > source_limit if group else source == source_limit),
            header.base.eq(step.base),
            header.row.eq(row_first),
            header.set.eq(order.set),
            header.head.eq(order.head),
            header.tail.eq(order.tail),
            header.source.eq(source),
            header.tile.eq(tile),
            header.last.eq(last_source if group else last_block),
            step.source_base.eq(source_base),
            step.base.eq(base + Mux(self.by_set, order.set, block)),
            step.row.eq(row),
            step.set.eq(order.set),
            step.tail.eq(order.tail),
            step.source.eq(source + part),
            step.group_last.eq(part == group - 1 if group else 1),
            step.last.eq(last_block if group else last_source),
        ]

        def next_sum(last):
            m.next = "HEADER"
            with m.If(last):
                m.next = "IDLE"

        def next_block():
            m.d.comb += order.next.eq(1)
            next_sum(last_block)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.comb += order.start.eq(1)
                m.d.sync += [tile.eq(self.i.payload), source.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    tile_bases.eq(tile * Mux(self.by_set, self.batch.sets, blocks)),
                    tile_rows.eq(tile * self.tile_rows),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    base.eq(self.base_first + tile_bases),
                    row_first.eq(self.weights + tile_rows),
                    source_first.eq(self.source_first),
                ]
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.o_headers.valid.eq(1)
                m.d.sync += [source_base.eq(source_first + block), row.eq(row_first), part.eq(0)]
                with m.If(self.o_headers.ready):
                    m.next = "STEPS"
                    if not group:
                        with m.If(self.skip):
                            next_block()
            with m.State("STEPS"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += source_base.eq(source_base + blocks)
                    if group:
                        m.d.sync += part.eq(part + 1)
                        with m.If(step.group_last):
                            m.d.comb += order.next.eq(1)
                            m.d.sync += part.eq(0)
                            m.d.sync += source_base.eq(source_first + block + 1)
                            with m.If(last_block):
                                m.d.comb += order.start.eq(1)
                                m.d.sync += source.eq(source + group)
                                m.d.sync += source_first.eq(source_first + blocks * group)
                                m.d.sync += row_first.eq(row_first + self.source_rows * group)
                                next_sum(last_source)
                    else:
                        m.d.sync += [source.eq(source + 1), row.eq(row + self.source_rows)]
                        with m.If(last_source):
                            m.d.sync += source.eq(0)
                            next_block()
        return m
