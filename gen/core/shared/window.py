"""Windows: which part of a plane of sources the sums of one pixel come from.

What a kernel, its stride, its padding and the plane's edges make of a window falls apart by axis:
an entry for each row, and one for each column, made by the compiler. So nothing is divided,
clipped or compared with an edge here. A dense layer is a plane of one pixel, in a window of one.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import CONNECTION_BITS, CONNECTIONS
from backspike.gen.memory.rows import READ_LATENCY, read_signature

COUNT_BITS = 9
"""Bits of a number of rows or columns of a window, up to 256."""
PIXEL_BITS = 9
"""Bits of a row's or column's number in a plane, and of how many there are, up to 256."""

FIND_CYCLES = 2 + READ_LATENCY
"""Cycles to find a connection's window: two entries are asked for, and come."""


def entry_layout(sources: int, rows: int) -> data.StructLayout:
    """A window along an axis: its first source and its first block of weights, counted from those
    of the connection; how many rows or columns it has, none if it lies outside the plane."""
    return data.StructLayout({"source": sources, "weights": rows, "count": COUNT_BITS})


def strides_layout(sources: int, rows: int, entries: int) -> data.StructLayout:
    """What a walk needs to know of a connection's windows, beside the connection."""
    return data.StructLayout(
        {
            "rows": entries,  # the entry of the plane's first row
            "columns": entries,  # that of its first column
            "tile_units": sources,  # from a source tile to the next
            "x_source": sources,  # from a window's column to the next
            "x_weights": rows,
            "y_source": sources,  # from a row to the next
            "y_weights": rows,
        }
    )


def spot_layout(sources: int, rows: int) -> data.StructLayout:
    """A pixel's window: where it begins, in block 0, and its size."""
    return data.StructLayout(
        {
            "source": sources,
            "row": rows,
            "height": COUNT_BITS,
            "width": COUNT_BITS,
        }
    )


class Window:
    """Where a walk through a window's pixels is: the one in hand, and where it lies.

    Of a window that is empty there is one, that counts as its last.
    """

    def __init__(self, sources: int, rows: int):
        self.spot = Signal(spot_layout(sources, rows), name="spot", reset_less=True)
        self.x, self.y = (Signal(COUNT_BITS, name=f"window_{axis}") for axis in "xy")
        # Of its row's first pixel, and of the pixel, their first tile: block, weights.
        self.line_source = Signal(sources, name="line_source", reset_less=True)
        self.line_row = Signal(rows, name="line_row", reset_less=True)
        self.pixel_source = Signal(sources, name="pixel_source", reset_less=True)
        self.pixel_row = Signal(rows, name="pixel_row", reset_less=True)

    @property
    def empty(self) -> Value:
        """No source of it is in the plane."""
        return (self.spot.height == 0) | (self.spot.width == 0)

    @property
    def last_column(self) -> Value:
        """The pixel is its row's last."""
        return self.empty | (self.x + 1 == self.spot.width)

    @property
    def last(self) -> Value:
        """It is the window's last."""
        return self.last_column & (self.empty | (self.y + 1 == self.spot.height))

    def begin(self, spot, source, row) -> list:
        """Statements that go to a window's first pixel, whose first tile lies there."""
        return [
            Value.cast(self.spot).eq(spot),
            *(counter.eq(0) for counter in (self.x, self.y)),
            *(register.eq(source) for register in (self.line_source, self.pixel_source)),
            *(register.eq(row) for register in (self.line_row, self.pixel_row)),
        ]

    def next(self, m: Module, strides) -> tuple[Value, Value]:
        """Goes to the next pixel, within an `m.If`; returns where its first tile lies."""
        source = Mux(
            self.last_column,
            self.line_source + strides.y_source,
            self.pixel_source + strides.x_source,
        )
        row = Mux(
            self.last_column,
            self.line_row + strides.y_weights,
            self.pixel_row + strides.x_weights,
        )
        m.d.sync += [self.pixel_source.eq(source), self.pixel_row.eq(row), self.x.eq(self.x + 1)]
        with m.If(self.last_column):
            m.d.sync += [
                self.line_source.eq(source),
                self.line_row.eq(row),
                self.x.eq(0),
                self.y.eq(self.y + 1),
            ]
        return source, row


class Spots(wiring.Component):
    """Finds the windows of a pixel: one of each connection that enters it.

    Latency: FIND_CYCLES cycles a connection, from the one after `start` to `done`. Then, until the
    next start, `o` is the window of the connection that is asked for.

    Parameters: bits of source bases, of rows of weights, and of entries' addresses.
    """

    def __init__(self, *, sources: int, rows: int, entries: int):
        self._sources, self._rows, self._entries = sources, rows, entries
        self.entry = entry_layout(sources, rows)
        super().__init__(
            {
                "start": In(1),
                "connections": In(CONNECTION_BITS + 1),
                "x": In(PIXEL_BITS),  # the pixel; stays until `done`
                "y": In(PIXEL_BITS),
                "first": In(data.StructLayout({"source": sources, "row": rows})),
                "strides": In(strides_layout(sources, rows, entries)),
                "index": Out(CONNECTION_BITS),  # of which both are asked for, while busy
                "busy": Out(1),
                "done": Out(1),  # the last cycle
                "table": Out(read_signature(self.entry.size, 1 << entries)),
                "asked": In(CONNECTION_BITS),
                "o": Out(spot_layout(sources, rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.spots = spots = memory.Memory(
            shape=spot_layout(self._sources, self._rows), depth=CONNECTIONS, init=[]
        )
        write, read = spots.write_port(), spots.read_port(domain="comb")
        phase = Signal(range(FIND_CYCLES))
        entry, row = (Signal(self.entry, name=name) for name in ("entry", "row_entry"))
        last = Signal()
        m.d.comb += [
            entry.as_value().eq(self.table.data),
            self.table.addr.eq(
                Mux(phase == 0, self.strides.rows + self.y, self.strides.columns + self.x)
            ),
            last.eq(self.index + 1 == self.connections),
            write.en.eq(self.busy & (phase == FIND_CYCLES - 1)),
            write.addr.eq(self.index),
            write.data.source.eq(self.first.source + row.source + entry.source),
            write.data.row.eq(self.first.row + row.weights + entry.weights),
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
