"""The walk through a task of a connection: group by group of sources, through the whole batch."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import BATCH, BLOCK_BITS, TILE_BITS, TILES_BITS
from backspike.gen.core.shared.block_order import BlockOrder


def group_header(rows: int) -> data.StructLayout:
    """What is known of a sum: the tile of neurons, the first source tile and its block of weights;
    whether the task ends with it."""
    return data.StructLayout({"row": rows, "source": TILES_BITS, "tile": TILE_BITS, "last": 1})


def group_step(sources: int, bases: int) -> data.StructLayout:
    """One tile of sources in one block of the batch."""
    return data.StructLayout(
        {
            "source_base": sources,  # where the tile of sources lies
            "base": bases,  # where the tile of neurons lies
            "set": BLOCK_BITS,  # the block's
            "tail": 1,  # its span is the last
            "void": 1,  # no span comes before it: no source of the tile spikes
            "other": 1,  # the tile is of the batch before
            "source": TILES_BITS,  # the source tile's number
            "group_last": 1,  # the last of its group
            "last": 1,  # a sum ends with it
        }
    )


class GroupWalk(wiring.Component):
    """For each group of source tiles: its header, then a step for each of its tiles in the first
    block, in the next one, and so on.

    Addresses are

        source_base = source_first + source * blocks + block
                      (delay: see TileWalk)
        base        = base_first + tile * blocks + block
        row         = weights + tile * source_tiles + source

    The products by `tile` are formed once a task, all others are sums kept up to date.

    Throughput: a step a cycle, and one cycle for a header. Latency: 3 cycles from a task to its
    first header.

    Parameters: bits of blocks, of source bases, of bases and of rows; group: tiles of a group.
    """

    def __init__(self, *, blocks: int, sources: int, bases: int, rows: int, group: int):
        self._blocks, self._sources, self._bases, self._rows = blocks, sources, bases, rows
        self._group = group
        super().__init__(
            {
                "i": In(stream.Signature(WORK)),
                "batch": In(BATCH),  # as all that follows, constant during a task
                "base_first": In(bases),
                "source_first": In(sources),
                "source_tiles": In(TILES_BITS),
                "weights": In(rows),
                "delay": In(1),
                "carry": In(1),  # the batch goes on with the samples of the one before
                "o_headers": Out(stream.Signature(group_header(rows))),
                "o": Out(stream.Signature(group_step(sources, bases))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        group, blocks = self._group, self.batch.blocks
        header, step = self.o_headers.payload, self.o.payload
        tile = Signal(TILE_BITS)
        m.submodules.order = order = BlockOrder(bits=self._blocks, reverse=False)
        source = Signal(TILES_BITS)  # the first of the group
        part = Signal(range(group + 1))  # of the group
        tile_bases = Signal(self._bases, reset_less=True)  # of the layer, before the tile's
        tile_rows = Signal(self._rows, reset_less=True)
        base = Signal(self._bases, reset_less=True)  # in block 0
        source_first = Signal(self._sources, reset_less=True)  # of the group, in block 0
        source_base = Signal(self._sources, reset_less=True)
        row = Signal(self._rows, reset_less=True)
        last_source, outside = Signal(), Signal()
        source_end = Signal(TILES_BITS)  # constant during a task, as its layer
        m.d.sync += source_end.eq(self.source_tiles - 1)
        m.d.comb += [
            order.batch.eq(self.batch),
            last_source.eq(source + group > source_end),
            header.row.eq(row),
            header.source.eq(source),
            header.tile.eq(tile),
            header.last.eq(last_source),
            step.source_base.eq(source_base + Mux(outside, self.batch.spans, 0)),
            step.base.eq(base + order.block),
            step.set.eq(order.set),
            step.tail.eq(order.tail),
            outside.eq(self.delay & order.head),
            step.void.eq(outside & ~self.carry),
            step.other.eq(outside & self.carry),
            step.source.eq(source + part),
            step.group_last.eq(part == group - 1),
            step.last.eq(order.last),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), order.start.eq(1)]
                m.d.sync += [tile.eq(self.i.payload.tile), source.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    tile_bases.eq(tile * blocks),
                    tile_rows.eq(tile * self.source_tiles),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    base.eq(self.base_first + tile_bases),
                    row.eq(self.weights + tile_rows),
                    source_first.eq(self.source_first - self.delay),
                ]
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.o_headers.valid.eq(1)
                m.d.sync += [source_base.eq(source_first), part.eq(0)]
                with m.If(self.o_headers.ready):
                    m.next = "STEPS"
            with m.State("STEPS"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [source_base.eq(source_base + blocks), part.eq(part + 1)]
                    with m.If(step.group_last):
                        m.d.comb += order.next.eq(1)
                        m.d.sync += [source_base.eq(source_first + order.block + 1), part.eq(0)]
                        with m.If(order.last):
                            m.d.comb += order.start.eq(1)
                            m.d.sync += [
                                source.eq(source + group),
                                source_first.eq(source_first + blocks * group),
                                row.eq(row + group),
                            ]
                            m.next = "HEADER"
                            with m.If(last_source):
                                m.next = "IDLE"
        return m
