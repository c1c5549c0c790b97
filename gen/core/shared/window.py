"""Windows: which part of a plane of sources the sums of one pixel come from.

What a kernel, its stride, its padding and the plane's edges make of a window falls apart by axis:
an entry for each row, and one for each column, made by the compiler. So nothing is divided,
clipped or compared with an edge here. A dense layer is a plane of one pixel, in a window of one.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import CONNECTION_BITS, CONNECTIONS, WEIGHTS_BITS, WINDOW_BITS
from backspike.gen.memory.rows import READ_LATENCY, read_signature

UNIT_BITS = 16
"""Bits of a unit's place, and of a distance between two, in the table."""
COUNT_BITS = 9
"""Bits of a number of rows or columns of a plane, up to 256."""
EXTENT_BITS = 12
"""Bits of a number of rows or columns of a window: a column of numbers of 8 bits counts as 8."""
TAP_BITS = 16
"""Bits of the number of a tap, row by row of the kernel."""
PLACES_BITS = 5
"""Bits of the places of a shift."""
TABLE_BITS = 64
"""Bits of a row of the table."""

PLANE = data.StructLayout(
    {
        "units": UNIT_BITS,  # of a tile of neurons: its pixels * blocks
        "lines": COUNT_BITS,  # of the neurons' plane; for wg of the kernel
        "columns": COUNT_BITS,
        "tile_rows": WEIGHTS_BITS,  # from a tile of targets to the next, blocks of weights
        "taps": 10,  # wg: source c at tap t is number c * taps + t, which random bits are made of
    }
)
"""The first row of what the table has of a connection."""
SOURCES = data.StructLayout(
    {
        "tile_units": UNIT_BITS,  # from a source tile to the next
        "x_source": UNIT_BITS,  # from a window's column to the next one of its cell
        "y_source": UNIT_BITS,  # from its row to the next one of its cell
        "tap": TAP_BITS,  # wg: the first one's number
    }
)
"""The second one."""
OTHERS = data.StructLayout(
    {
        "x_other": UNIT_BITS,  # from a cell to the next, of blocks of weights; for wg of units of
        "y_other": UNIT_BITS,  # gradients
        "y_entries": WINDOW_BITS,  # the entry of the plane's first row; for wg of the kernel's
        "x_entries": WINDOW_BITS,  # that of its first column
    }
)
"""The third one."""
CELLS = data.StructLayout(
    {
        "x_more": EXTENT_BITS,  # columns of a cell after its first
        "y_more": EXTENT_BITS,  # rows, likewise
        "x_next": UNIT_BITS,  # from a cell's last column to the next cell
        "y_next": UNIT_BITS,  # from its last row
        "places": PLACES_BITS,  # by which weights (for wg gradients) are shifted
        "bits": 3,  # columns that are one number's bits, after the first: each a place more
    }
)
"""The fourth one. A cell are pixels that meet the same weights: those that a pool sums, and the
bits of a graded input's number. Without either it is one pixel."""
ENTRY = data.StructLayout({"source": UNIT_BITS, "other": UNIT_BITS, "count": EXTENT_BITS})
"""A window along an axis: its first source and its first block of weights, counted from those of
the connection; how many rows or columns it has, none if it lies outside the plane. For wg: the
first pixel that a tap meets, its source and its unit of gradients."""
STRIDES = data.StructLayout({"plane": PLANE, "sources": SOURCES, "others": OTHERS, "cells": CELLS})
"""All rows of a connection."""
ROWS = len(STRIDES.members)

READ_CYCLES = ROWS + READ_LATENCY
"""Cycles to read a connection's rows."""
FIND_CYCLES = 2 + READ_LATENCY
"""Cycles to find a connection's window: two entries are asked for, and come."""


def table_signature(entries: int) -> wiring.Signature:
    """The table's read port. entries: bits of a row's place."""
    return read_signature(TABLE_BITS, 1 << entries)


def spot_layout(sources: int, others: int) -> data.StructLayout:
    """A pixel's window: where it begins, in block 0, and its size."""
    return data.StructLayout(
        {"source": sources, "other": others, "height": EXTENT_BITS, "width": EXTENT_BITS}
    )


class Strides(wiring.Component):
    """Reads what the table has of connections, and keeps it.

    Latency: READ_CYCLES cycles, from the one after `start` to `done`.

    Parameters: entries: bits of the table's addresses.
    """

    def __init__(self, *, entries: int):
        super().__init__(
            {
                "start": In(1),
                "index": In(CONNECTION_BITS),  # of the connection; which `o` is of, too
                "place": In(entries),  # of its first row; stays until `done`, as index
                "busy": Out(1),
                "done": Out(1),  # the last cycle: `o` is there in the next one
                "table": Out(table_signature(entries)),
                "o": Out(STRIDES),
            }
        )

    def elaborate(self, platform):
        m = Module()
        phase = Signal(range(READ_CYCLES))
        m.d.comb += [
            self.table.addr.eq(self.place + phase),
            self.done.eq(self.busy & (phase == READ_CYCLES - 1)),
        ]
        with m.If(self.busy):
            m.d.sync += [phase.eq(phase + 1), self.busy.eq(~self.done)]
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), phase.eq(0)]
        for n, (name, field) in enumerate(STRIDES):
            rows = memory.Memory(shape=field.width, depth=CONNECTIONS, init=[])
            m.submodules[str(name)] = rows
            write, read = rows.write_port(), rows.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.busy & (phase == n + READ_LATENCY)),
                write.addr.eq(self.index),
                write.data.eq(self.table.data),
                read.addr.eq(self.index),
                Value.cast(self.o[name]).eq(read.data),
            ]
        return m


class Side:
    """One side of a window: the pixel in hand along an axis, and within its cell."""

    def __init__(self, axis: str, extent: Value):
        self._extent = extent
        self._at = Signal(EXTENT_BITS, name=f"window_{axis}")
        self._part = Signal(EXTENT_BITS, name=f"part_{axis}")

    @property
    def last(self) -> Value:
        """The pixel is the side's last."""
        return self._at + 1 == self._extent

    def leaves(self, more: Value) -> Value:
        """The next pixel is of another cell. more: pixels of a cell after its first."""
        return self._part == more

    def begin(self) -> list:
        """Statements that go to the first pixel."""
        return [self._at.eq(0), self._part.eq(0)]

    def next(self, more: Value) -> list:
        """Statements that go to the next one."""
        return [
            self._at.eq(self._at + 1),
            self._part.eq(Mux(self.leaves(more), 0, self._part + 1)),
        ]


class Window:
    """Where a walk through a window's pixels is: the one in hand, and where it lies.

    Of a window that is empty there is one, that counts as its last.
    """

    def __init__(self, sources: int, others: int):
        self.spot = Signal(spot_layout(sources, others), name="spot", reset_less=True)
        self._x, self._y = Side("x", self.spot.width), Side("y", self.spot.height)
        # Of its row's first pixel, and of the pixel: its first tile of sources, and beside it.
        self.line_source = Signal(sources, name="line_source", reset_less=True)
        self.line_other = Signal(others, name="line_other", reset_less=True)
        self.pixel_source = Signal(sources, name="pixel_source", reset_less=True)
        self.pixel_other = Signal(others, name="pixel_other", reset_less=True)
        self.bit = Signal(CELLS["bits"].width)
        """Of a graded input's number, that the pixel is."""

    @property
    def empty(self) -> Value:
        """No source of it is in the plane."""
        return (self.spot.height == 0) | (self.spot.width == 0)

    @property
    def last_column(self) -> Value:
        """The pixel is its row's last."""
        return self.empty | self._x.last

    @property
    def last(self) -> Value:
        """It is the window's last."""
        return self.last_column & (self.empty | self._y.last)

    def begin(self, spot, source, other) -> list:
        """Statements that go to a window's first pixel, whose first tile lies there."""
        return [
            Value.cast(self.spot).eq(spot),
            *self._x.begin(),
            *self._y.begin(),
            self.bit.eq(0),
            *(register.eq(source) for register in (self.line_source, self.pixel_source)),
            *(register.eq(other) for register in (self.line_other, self.pixel_other)),
        ]

    def next(self, m: Module, strides) -> tuple[Value, Value]:
        """Goes to the next pixel, within an `m.If`; returns where its first tile lies."""
        sources, others, cells = strides.sources, strides.others, strides.cells
        x_leaves, y_leaves = self._x.leaves(cells.x_more), self._y.leaves(cells.y_more)
        source = Mux(
            self.last_column,
            self.line_source + Mux(y_leaves, cells.y_next, sources.y_source),
            self.pixel_source + Mux(x_leaves, cells.x_next, sources.x_source),
        )
        other = Mux(
            self.last_column,
            self.line_other + Mux(y_leaves, others.y_other, 0),
            self.pixel_other + Mux(x_leaves, others.x_other, 0),
        )
        m.d.sync += [
            self.pixel_source.eq(source),
            self.pixel_other.eq(other),
            *self._x.next(cells.x_more),
            self.bit.eq(Mux(self.bit == cells.bits, 0, self.bit + 1)),
        ]
        with m.If(self.last_column):
            m.d.sync += [
                self.line_source.eq(source),
                self.line_other.eq(other),
                *self._x.begin(),
                *self._y.next(cells.y_more),
                self.bit.eq(0),
            ]
        return source, other


class Spots(wiring.Component):
    """Finds the windows of a pixel: one of each connection that enters it.

    Latency: FIND_CYCLES cycles a connection, from the one after `start` to `done`. Then, until the
    next start, `o` is the window of the connection that is asked for.

    Parameters: bits of source bases, of rows of weights (or bases of gradients), and of entries'
    addresses.
    """

    def __init__(self, *, sources: int, others: int, entries: int):
        self._sources, self._others = sources, others
        super().__init__(
            {
                "start": In(1),
                "connections": In(CONNECTION_BITS + 1),
                "x": In(COUNT_BITS),  # the pixel; stays until `done`
                "y": In(COUNT_BITS),
                "first": In(data.StructLayout({"source": sources, "other": others})),
                "others": In(OTHERS),
                "index": Out(CONNECTION_BITS),  # of which both are asked for, while busy
                "busy": Out(1),
                "done": Out(1),  # the last cycle
                "table": Out(table_signature(entries)),
                "asked": In(CONNECTION_BITS),
                "o": Out(spot_layout(sources, others)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.kept = spots = memory.Memory(
            shape=spot_layout(self._sources, self._others), depth=CONNECTIONS, init=[]
        )
        write, read = spots.write_port(), spots.read_port(domain="comb")
        phase = Signal(range(FIND_CYCLES))
        entry, row = (Signal(ENTRY, name=name) for name in ("entry", "row_entry"))
        last = Signal()
        m.d.comb += [
            entry.as_value().eq(self.table.data),
            self.table.addr.eq(
                Mux(phase == 0, self.others.y_entries + self.y, self.others.x_entries + self.x)
            ),
            last.eq(self.index + 1 == self.connections),
            write.en.eq(self.busy & (phase == FIND_CYCLES - 1)),
            write.addr.eq(self.index),
            write.data.source.eq(self.first.source + row.source + entry.source),
            write.data.other.eq(self.first.other + row.other + entry.other),
            write.data.height.eq(row.count),
            write.data.width.eq(entry.count),
            self.done.eq(write.en & last),
            read.addr.eq(self.asked),
            self.o.eq(read.data),
        ]
        with m.If(self.busy):
            m.d.sync += phase.eq(phase + 1)
            with m.If(phase == READ_LATENCY):
                m.d.sync += row.eq(entry)
            with m.If(phase == FIND_CYCLES - 1):
                m.d.sync += [phase.eq(0), self.index.eq(self.index + 1), self.busy.eq(~last)]
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), self.index.eq(0), phase.eq(0)]
        return m
