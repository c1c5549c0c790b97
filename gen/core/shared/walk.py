"""The walk through a task of a population: which tiles are read, in which order, where they lie."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import (
    BATCH,
    BLOCK_BITS,
    CONNECTION_BITS,
    CONNECTIONS,
    PLACE_BITS,
    TILE_BITS,
    TILES_BITS,
)
from backspike.gen.core.shared.block_order import BlockOrder
from backspike.gen.core.shared.plane import Plane, Point
from backspike.gen.core.shared.window import table_signature


def connection_layout(sources: int, rows: int, entries: int = 0) -> data.StructLayout:
    """What the walk needs to know of a connection; with a table of `entries` bits of addresses
    also where it tells of its windows."""
    windows = {"windows": entries} if entries else {}
    return data.StructLayout(
        {
            "first": sources,  # where its tiles lie, in block 0
            "tiles": TILES_BITS,  # how many they are
            "weights": rows,  # its first block of weights
            "tile_rows": rows,  # from a tile of neurons to the next
            "source_rows": rows,  # from a source tile to the next
            "diagonal": 1,  # the source tile is that of the neurons, and the weights are one block
            "delay": 1,  # the sources are those of the span before, in this order
            **windows,
        }
    )


def walk_header(bases: int, rows: int) -> data.StructLayout:
    """What is known of a sum: the tile of neurons and its base in the block; the block's set, and
    whether its span is the first and the last; the block of weights of the first connection's
    first tile; where neurons keep what goes on; whether the task ends with it."""
    return data.StructLayout(
        {
            "base": bases,
            "row": rows,
            "set": BLOCK_BITS,
            "head": 1,
            "tail": 1,
            "place": PLACE_BITS,
            "tile": TILE_BITS,
            "last": 1,
        }
    )


def step_layout(sources: int, bases: int, rows: int, places: int = 0) -> data.StructLayout:
    """One tile of sources in one block of the batch. places: bits of a shift's."""
    return data.StructLayout(
        {
            "source_base": sources,  # where the tile of sources lies
            "base": bases,  # where the tile of neurons lies
            "row": rows,  # the block of weights between both
            "set": BLOCK_BITS,  # the block's
            "tail": 1,  # its span is the last
            "void": 1,  # no span comes before it: no source of the tile spikes
            "other": 1,  # the tile is of the batch before
            "source": TILES_BITS,  # the source tile's number
            "last": 1,  # a sum ends with it
            **({"places": places} if places else {}),  # by which its weights are shifted
        }
    )


class Registers:
    """Where a walk is. Parameters: bits of source bases, of bases and of rows."""

    def __init__(self, sources: int, bases: int, rows: int):
        self.work = Signal(WORK, reset_less=True)
        # Products by the task's tile: of the layer's tiles, and of a connection's.
        self.tile_bases = Signal(bases, reset_less=True)
        self.times = Signal(max(BLOCK_BITS, rows), reset_less=True)  # of a connection's tiles
        self.product = Signal(max(sources, rows), reset_less=True)
        self.base = Signal(bases, reset_less=True)  # of the pixel in block 0
        # The source tile, the connection's last one, and what lies between them.
        self.source = Signal(TILES_BITS)
        self.source_end = Signal(TILES_BITS)
        self.source_base = Signal(sources, reset_less=True)
        self.row = Signal(rows, reset_less=True)
        self.row_step = Signal(rows, reset_less=True)
        self.outside = Signal()  # no span comes before it in this batch
        self.void = Signal()
        self.other = Signal()


class TileWalk(wiring.Component):
    """For each block of a task: its header, then a step for each source tile of each connection.

    Addresses are

        source_base = first + source * blocks + block
                      (delay: that of the span before; if there is none, and `carry`, that of the
                      batch before)
        base        = base_first + tile * blocks + block  (by_set: tile * sets + set)
        row         = weights + tile * tile_rows + source * source_rows
        place       = task's + set  (unless keep: task's)

    With `entries` neurons and sources lie in planes: all this once for each pixel of the task's
    tile, row by row, with `blocks` * pixels (`tile_units`) units to a tile, and of each connection
    a step for each source tile of each pixel of the window that the table of entries tells of, see
    `window`; or a void one, if the window is empty. Each set of each pixel has a place of its own.
    The table also has tile_rows, in `reverse` source_rows, which a connection's are then not.

    The products by `tile` are formed once a task and connection, all others are sums kept up to
    date.

    Throughput: a step a cycle, and one cycle for a header and for each connection after the first;
    FIND_CYCLES a pixel and connection, and one.
    Latency: 3 cycles for each connection, from a task to its first header; with `entries` 1 cycle,
    and READ_CYCLES + 3 for each, to its first pixel.

    Parameters: bits of blocks, of source bases, of bases and of rows; reverse: blocks are walked
    from the last to the first, and `before` is after; entries: bits of their addresses, 0 for none;
    places: bits of a shift's, likewise.
    """

    def __init__(
        self,
        *,
        blocks: int,
        sources: int,
        bases: int,
        rows: int,
        reverse: bool = False,
        entries: int = 0,
        places: int = 0,
    ):
        self._blocks, self.reverse, self.entries = blocks, reverse, entries
        self._places = places
        self.widths = sources, bases, rows
        self._connection = connection_layout(sources, rows, entries)
        super().__init__(
            {
                "i": In(stream.Signature(WORK)),
                "batch": In(BATCH),  # as all that follows, constant during a task
                "base_first": In(bases),
                "by_set": In(1),
                "connections": In(CONNECTION_BITS + 1),
                "carry": In(1),  # the batch goes on with the samples of the one before
                "skip": In(1),  # headers only
                "index": Out(CONNECTION_BITS),  # which connection is asked for
                "connection": In(self._connection),  # this one
                **({"table": Out(table_signature(entries))} if entries else {}),
                "o_headers": Out(stream.Signature(walk_header(bases, rows))),
                "o": Out(stream.Signature(step_layout(sources, bases, rows, places))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        r = Registers(*self.widths)
        m.submodules.order = order = BlockOrder(bits=self._blocks, reverse=self.reverse)
        m.d.comb += [
            order.batch.eq(self.batch),
            order.step.eq(r.work.step),
            order.at.eq(r.work.span),
        ]
        plane = Plane(self, m, r) if self.entries else Point(self, m, r)
        keep_first = self._firsts(m, r, plane)
        last_connection = Signal()
        connection_end = Signal(CONNECTION_BITS)  # constant during a task, as its layer
        m.d.sync += connection_end.eq(self.connections - 1)
        m.d.comb += [
            last_connection.eq(plane.asked == connection_end),
            self.o.payload.last.eq(plane.last_source & last_connection),
        ]
        self._outputs(m, r, order, plane)
        connection, tile = self.connection, r.work.tile
        # A factor of its own register: a cycle after the connection is asked for.
        m.d.sync += r.times.eq(Mux(connection.diagonal, plane.tile_units, plane.tile_rows))

        def next_block():
            m.d.comb += order.next.eq(1)
            m.d.sync += plane.asked.eq(0)
            m.next = "HEADER"
            with m.If(order.last):
                plane.next_pixel(order)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [r.work.eq(self.i.payload), plane.asked.eq(0)]
                with m.If(self.i.valid):
                    plane.first_connection()
            plane.connect()
            with m.State("MULTIPLY"):
                m.d.comb += order.start.eq(1)
                m.d.sync += [
                    r.tile_bases.eq(tile * plane.units),
                    r.product.eq(tile * r.times),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.comb += keep_first.eq(1)
                m.d.sync += [
                    r.base.eq(self.base_first + r.tile_bases),
                    plane.asked.eq(plane.asked + 1),
                ]
                with m.If(last_connection):
                    m.d.sync += plane.asked.eq(0)
                    plane.first_pixel()
                with m.Else():
                    plane.next_connection()
            plane.find()
            with m.State("HEADER"):
                m.d.comb += self.o_headers.valid.eq(1)
                self._enter(m, r, order, plane)
                with m.If(self.o_headers.ready):
                    m.next = "STEPS"
                    with m.If(self.skip):
                        next_block()
            with m.State("CONNECT"):
                self._enter(m, r, order, plane)
                m.next = "STEPS"
            with m.State("STEPS"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    plane.next_source()
                    with m.If(plane.last_source & last_connection):
                        next_block()
                    with m.Elif(plane.last_source):
                        m.d.sync += plane.asked.eq(plane.asked + 1)
                        m.next = "CONNECT"
        return m

    def _firsts(self, m: Module, r: Registers, plane: Point) -> Signal:
        """Of each connection where its first tile lies in block 0, and the weights of it: the one
        that is asked for in `plane.first`; returns whether it is kept, out of the product."""
        connection, product = self.connection, r.product
        shape = plane.first.shape()
        m.submodules.firsts = rows = memory.Memory(shape=shape, depth=CONNECTIONS, init=[])
        write, read = rows.write_port(), rows.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(self.index),
            write.addr.eq(self.index),
            write.data.source.eq(
                connection.first
                + Mux(connection.diagonal, product, 0)
                + Mux(connection.delay, 1 if self.reverse else -1, 0)
            ),
            write.data.other.eq(connection.weights + Mux(connection.diagonal, 0, product)),
            plane.first.eq(read.data),
        ]
        return write.en

    def _outputs(self, m: Module, r: Registers, order: BlockOrder, plane: Point) -> None:
        """The header and the step in hand, but whether a sum ends with that."""
        header, step, work = self.o_headers.payload, self.o.payload, r.work
        m.d.comb += [
            header.base.eq(step.base),
            header.row.eq(plane.first.other),
            header.set.eq(order.set),
            header.head.eq(order.head),
            header.tail.eq(order.tail),
            header.place.eq(work.place + Mux(work.keep, plane.places + order.set, 0)),
            header.tile.eq(work.tile),
            header.last.eq(order.last & plane.last_pixel),
            # Outside of the batch are the last spans of the one before.
            step.source_base.eq(r.source_base + Mux(r.outside, self.batch.spans, 0)),
            step.base.eq(r.base + Mux(self.by_set, order.set, order.block)),
            step.row.eq(r.row),
            step.set.eq(order.set),
            step.tail.eq(order.tail),
            step.void.eq(r.void),
            step.other.eq(r.other),
            step.source.eq(r.source),
        ]
        if self._places:
            m.d.comb += step.places.eq(plane.shift)

    def _enter(self, m: Module, r: Registers, order: BlockOrder, plane: Point) -> None:
        """Goes to the first tile of the connection that is asked for."""
        connection, tile = self.connection, r.work.tile
        outside = connection.delay & (order.tail if self.reverse else order.head)
        if not self.reverse:
            m.d.sync += r.outside.eq(outside)
        m.d.sync += [
            r.source.eq(Mux(connection.diagonal, tile, 0)),
            r.source_end.eq(Mux(connection.diagonal, tile, connection.tiles - 1)),
            r.row_step.eq(plane.source_rows),
            r.void.eq(outside & ~self.carry),
            r.other.eq(outside & self.carry),
        ]
        plane.enter(order.block)
