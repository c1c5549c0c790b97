"""What a walk goes through: the one point of a dense layer, or all pixels of a plane."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data

from backspike.gen.core.layout import CONNECTION_BITS, PLACE_BITS
from backspike.gen.core.shared.block_order import BlockOrder
from backspike.gen.core.shared.window import COUNT_BITS, PLANE, Spots, Strides, Window


class Point:
    """Neurons without a plane, and their sources: a step for each of a connection's tiles.

    walk, r: the walk with its ports, and its registers. Methods are called where an FSM is in a
    state, and say what happens then.
    """

    last_pixel: Any = Const(1)
    """The pixel in hand is the last."""
    places: Any = Const(0)
    """Places that the pixels before it have taken, of what their neurons keep."""

    def __init__(self, walk, m: Module, r):
        self.walk, self.m, self.r = walk, m, r
        self.first = Signal(data.StructLayout({"source": walk.widths[0], "other": walk.widths[2]}))
        """Where the first tile lies of the connection that is asked for, in block 0 (with a delay,
        of the block before), and its weights."""
        self.asked: Any = walk.index
        """Which connection is asked for."""

    @property
    def units(self) -> Any:
        """Of a tile of neurons."""
        return Mux(self.walk.by_set, self.walk.batch.sets, self.walk.batch.blocks)

    @property
    def tile_units(self) -> Any:
        """Of a tile of the connection's sources."""
        return self.walk.batch.blocks

    @property
    def tile_rows(self) -> Any:
        """Blocks of weights of a tile of neurons."""
        return self.walk.connection.tile_rows

    @property
    def source_rows(self) -> Any:
        """From a tile of sources to the next, blocks of weights."""
        return self.walk.connection.source_rows

    @property
    def last_source(self) -> Any:
        """The connection's last step is in hand."""
        return self.r.source == self.r.source_end

    def connect(self) -> None:
        """The states in which a connection is prepared for its products."""
        with self.m.State("SELECT"):
            self.m.next = "MULTIPLY"

    def first_connection(self) -> None:
        """Goes to the products of a task's first connection, which is asked for already."""
        self.m.next = "MULTIPLY"

    def next_connection(self) -> None:
        """Goes to a connection's products."""
        self.m.next = "SELECT"

    def first_pixel(self) -> None:
        """Goes on after a task's products."""
        self.m.next = "HEADER"

    def next_pixel(self, order: BlockOrder) -> None:
        """Goes on after a pixel's last block."""
        self.m.next = "IDLE"

    def find(self) -> None:
        """The states in which windows are found."""

    def enter(self, block) -> None:
        """Goes to a connection's first tile; block: the one in hand."""
        first, r = self.first, self.r
        self.m.d.sync += [r.source_base.eq(first.source + block), r.row.eq(first.other)]

    def next_source(self) -> None:
        """Goes to a connection's next tile."""
        r = self.r
        self.m.d.sync += [
            r.source.eq(r.source + 1),
            r.source_base.eq(r.source_base + self.tile_units),
            r.row.eq(r.row + r.row_step),
        ]


class Plane(Point):
    """Neurons in a plane: pixel by pixel, each with windows of its own.

    What the table has of each connection is read before its products are formed.
    """

    def __init__(self, walk, m: Module, r):
        super().__init__(walk, m, r)
        sources, _, rows = walk.widths
        self.asked = Signal(CONNECTION_BITS, name="asked")
        self.window = Window(sources, rows)
        self.x, self.y = (Signal(COUNT_BITS, name=f"pixel_{axis}") for axis in "xy")
        self.places = Signal(PLACE_BITS)
        m.submodules.strides = self.strides = strides = Strides(entries=walk.entries)
        m.submodules.spots = self.spots = spots = Spots(
            sources=sources, others=rows, entries=walk.entries
        )
        self.plane = Signal(PLANE)  # that of the first connection: it is the neurons'
        self.last_column = self.x + 1 == self.plane.columns
        self.last_pixel = self.last_column & (self.y + 1 == self.plane.lines)
        m.d.comb += [
            walk.index.eq(Mux(spots.busy, spots.index, self.asked)),
            walk.table.addr.eq(Mux(strides.busy, strides.table.addr, spots.table.addr)),
            strides.table.data.eq(walk.table.data),
            strides.index.eq(walk.index),
            strides.place.eq(walk.connection.windows),
            spots.table.data.eq(walk.table.data),
            spots.connections.eq(walk.connections),
            spots.x.eq(self.x),
            spots.y.eq(self.y),
            spots.first.eq(self.first),
            spots.others.eq(strides.o.others),
            spots.asked.eq(self.asked),
        ]

    @property
    def units(self) -> Any:
        return self.plane.units

    @property
    def tile_units(self) -> Any:
        return self.strides.o.sources.tile_units

    @property
    def tile_rows(self) -> Any:
        return super().tile_rows if self.walk.reverse else self.strides.o.plane.tile_rows

    @property
    def source_rows(self) -> Any:
        return self.strides.o.plane.tile_rows if self.walk.reverse else super().source_rows

    @property
    def last_source(self) -> Any:
        return (self.r.source == self.r.source_end) & self.window.last

    @property
    def shift(self) -> Any:
        """Places by which the weights of the pixel in hand are shifted."""
        return self.strides.o.cells.places + self.window.bit

    def connect(self) -> None:
        with self.m.State("READ"):
            with self.m.If(self.strides.done):
                self.m.next = "PLANE"
        with self.m.State("PLANE"):
            with self.m.If(self.asked == 0):
                self.m.d.sync += self.plane.eq(self.strides.o.plane)
            self.m.next = "MULTIPLY"

    def first_connection(self) -> None:
        self.next_connection()

    def next_connection(self) -> None:
        self.m.d.comb += self.strides.start.eq(1)
        self.m.next = "READ"

    def first_pixel(self) -> None:
        m = self.m
        m.d.comb += self.spots.start.eq(1)
        m.d.sync += [self.x.eq(0), self.y.eq(0), self.places.eq(0)]
        m.next = "FIND"

    def next_pixel(self, order: BlockOrder) -> None:
        m, batch, r = self.m, self.walk.batch, self.r
        with m.If(self.last_pixel):
            m.next = "IDLE"
        with m.Else():
            m.d.comb += [order.start.eq(1), self.spots.start.eq(1)]
            m.d.sync += [
                r.base.eq(r.base + Mux(self.walk.by_set, batch.sets, batch.blocks)),
                self.places.eq(self.places + batch.sets),
                self.x.eq(Mux(self.last_column, 0, self.x + 1)),
                self.y.eq(self.y + self.last_column),
            ]
            m.next = "FIND"

    def find(self) -> None:
        with self.m.State("FIND"):
            with self.m.If(self.spots.done):
                self.m.next = "HEADER"

    def enter(self, block) -> None:
        m, r, spot = self.m, self.r, self.spots.o
        source = spot.source + block
        m.d.sync += [
            r.source_base.eq(source),
            r.row.eq(spot.other),
            *self.window.begin(spot.as_value(), source, spot.other),
        ]
        with m.If((spot.height == 0) | (spot.width == 0)):
            m.d.sync += [r.source_end.eq(self._begin), r.void.eq(1)]

    @property
    def _begin(self) -> Any:
        """A pixel's first source tile."""
        return Mux(self.walk.connection.diagonal, self.r.work.tile, 0)

    def next_source(self) -> None:
        super().next_source()
        m, r = self.m, self.r
        with m.If(r.source == r.source_end):
            source, row = self.window.next(m, self.strides.o)
            m.d.sync += [r.source.eq(self._begin), r.source_base.eq(source), r.row.eq(row)]
