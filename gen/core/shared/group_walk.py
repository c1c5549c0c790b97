"""The walk through a task of a connection: group by group of sources, through the whole batch."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import BATCH, BLOCK_BITS, TILE_BITS, TILES_BITS
from backspike.gen.core.shared.block_order import BlockOrder
from backspike.gen.core.shared.window import (
    COUNT_BITS,
    PLANE,
    TAP_BITS,
    Spots,
    Strides,
    Window,
    table_signature,
)


def group_header(rows: int, *, planes: bool = False) -> data.StructLayout:
    """What is known of a sum: the tile of neurons, the first source tile and its block of weights;
    whether the task ends with it; with `planes` the number of the tap, and `taps` of PLANE."""
    taps = {"tap": TAP_BITS, "taps": PLANE["taps"].width} if planes else {}
    return data.StructLayout(
        {"row": rows, "source": TILES_BITS, "tile": TILE_BITS, "last": 1, **taps}
    )


def group_step(sources: int, bases: int, places: int = 0) -> data.StructLayout:
    """One tile of sources in one block of the batch. places: bits of a shift's."""
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
            **({"places": places} if places else {}),  # by which its gradients are shifted
        }
    )


class OneTap:
    """Sources without a plane: what they bring is summed over the batch.

    walk: with its ports. Methods are called where an FSM is in a state, and say what happens then.
    """

    last_tap: Any = Const(1)
    last_pixel: Any = Const(1)
    """The tap's last pixel is in hand."""
    empty: Any = Const(0)
    """The tap meets no pixel."""

    def __init__(self, walk: "GroupWalk", m: Module):
        sources, bases, rows = walk.widths
        self.walk, self.m = walk, m
        # Of the group's first tile: where it lies for a tap's first pixel, in block 0, and for the
        # pixel in hand; its weights; and what belongs to that pixel of gradients.
        self.group_source = Signal(sources, name="group_source", reset_less=True)
        self.pixel_source = self.group_source
        self.row = Signal(rows, reset_less=True)
        self.base = Signal(bases, reset_less=True)

    @property
    def units(self) -> Any:
        """Of a tile of gradients."""
        return self.walk.batch.blocks

    @property
    def tile_units(self) -> Any:
        """Of a tile of sources."""
        return self.walk.batch.blocks

    @property
    def tile_rows(self) -> Any:
        """Blocks of weights of a tile of neurons."""
        return self.walk.source_tiles

    def begin(self) -> None:
        """Goes to a task's products."""
        self.m.next = "MULTIPLY"

    def first_tap(self, source, base, row) -> None:
        """Goes on after a task's products."""
        self.m.d.sync += [self.group_source.eq(source), self.base.eq(base), self.row.eq(row)]
        self.m.next = "HEADER"

    def find(self) -> None:
        """The states in which the kernel is read, and a tap's pixels are found."""

    def first_pixel(self) -> None:
        """Goes to a group's first pixel."""

    def next_pixel(self) -> Any:
        """Goes to its next pixel; returns where its first tile lies."""
        return self.group_source

    def next_group(self) -> None:
        """Goes to the next group of source tiles."""
        group = self.walk.group
        self.m.d.sync += [
            self.group_source.eq(self.group_source + self.tile_units * group),
            self.row.eq(self.row + group),
        ]
        self.m.next = "HEADER"

    def number(self, header) -> None:
        """Says in a header which tap it is of."""

    def next_tap(self) -> None:
        """Goes on after a tap's last group."""
        self.m.next = "IDLE"


class Taps(OneTap):
    """Sources in a plane: for each tap of a kernel, what they bring is summed over all pixels that
    it meets, and over the batch."""

    def __init__(self, walk: "GroupWalk", m: Module):
        super().__init__(walk, m)
        sources, bases, rows = walk.widths
        self.pixel_source = Signal(sources, name="pixel_source", reset_less=True)
        self.window = Window(sources, bases)
        self.x, self.y = (Signal(COUNT_BITS, name=f"tap_{axis}") for axis in "xy")
        self.tap = Signal(TAP_BITS)
        self.first = Signal(data.StructLayout({"source": sources, "other": bases}))
        self.tap_row = Signal(rows, reset_less=True)
        m.submodules.strides = self.strides = strides = Strides(entries=walk.entries)
        m.submodules.spots = self.spots = spots = Spots(
            sources=sources, others=bases, entries=walk.entries
        )
        plane = strides.o.plane
        self.last_column = self.x + 1 == plane.columns
        self.last_tap = self.last_column & (self.y + 1 == plane.lines)
        self.last_pixel = self.window.last
        self.empty = self.window.empty
        m.d.comb += [
            walk.table.addr.eq(Mux(strides.busy, strides.table.addr, spots.table.addr)),
            strides.table.data.eq(walk.table.data),
            strides.place.eq(walk.windows),
            spots.table.data.eq(walk.table.data),
            spots.connections.eq(1),
            spots.x.eq(self.x),
            spots.y.eq(self.y),
            spots.first.eq(self.first),
            spots.others.eq(strides.o.others),
        ]

    @property
    def units(self) -> Any:
        return self.strides.o.plane.units

    @property
    def tile_units(self) -> Any:
        return self.strides.o.sources.tile_units

    @property
    def tile_rows(self) -> Any:
        return self.strides.o.plane.tile_rows

    def begin(self) -> None:
        self.m.d.comb += self.strides.start.eq(1)
        self.m.next = "READ"

    def first_tap(self, source, base, row) -> None:
        m = self.m
        m.d.comb += self.spots.start.eq(1)
        m.d.sync += [
            self.first.source.eq(source),
            self.first.other.eq(base),
            self.tap.eq(self.strides.o.sources.tap),
            *(counter.eq(0) for counter in (self.x, self.y)),
            *(register.eq(row) for register in (self.row, self.tap_row)),
        ]
        m.next = "FIND"

    def find(self) -> None:
        with self.m.State("READ"):
            with self.m.If(self.strides.done):
                self.m.next = "MULTIPLY"
        with self.m.State("FIND"):
            self.m.d.sync += self.group_source.eq(self.spots.o.source)
            with self.m.If(~self.spots.busy):
                self.m.next = "HEADER"

    def first_pixel(self) -> None:
        m, spot = self.m, self.spots.o
        m.d.sync += [
            self.pixel_source.eq(self.group_source),
            self.base.eq(spot.other),
            *self.window.begin(spot.as_value(), self.group_source, spot.other),
        ]

    def number(self, header) -> None:
        plane = self.strides.o.plane
        self.m.d.comb += [header.tap.eq(self.tap), header.taps.eq(plane.taps)]

    @property
    def shift(self) -> Any:
        """Places by which the gradients of the pixel in hand are shifted."""
        return self.strides.o.cells.places + self.window.bit

    def next_pixel(self) -> Any:
        source, base = self.window.next(self.m, self.strides.o)
        self.m.d.sync += self.base.eq(base)
        return source

    def next_tap(self) -> None:
        m = self.m
        row = self.tap_row + self.walk.source_tiles
        with m.If(self.last_tap):
            m.next = "IDLE"
        with m.Else():
            m.d.comb += self.spots.start.eq(1)
            m.d.sync += [
                self.tap.eq(self.tap + 1),
                self.x.eq(Mux(self.last_column, 0, self.x + 1)),
                self.y.eq(self.y + self.last_column),
                self.row.eq(row),
                self.tap_row.eq(row),
            ]
            m.next = "FIND"


class GroupWalk(wiring.Component):
    """For each group of source tiles: its header, then a step for each of its tiles in the first
    block, in the next one, and so on.

    Addresses are

        source_base = source_first + source * blocks + block
                      (delay: see TileWalk)
        base        = base_first + tile * blocks + block
        row         = weights + tile * source_tiles + source

    With `entries` neurons and sources lie in planes: all this once for each tap of the kernel, row
    by row, with `tile_rows` blocks of weights to a tile of neurons and source_tiles to a tap; and a
    group's steps, through all blocks, once for each pixel that the table of entries tells of, see
    `window`; or those of one void block, if the tap meets no pixel.

    The products by `tile` are formed once a task, all others are sums kept up to date.

    Throughput: a step a cycle, and one cycle for a header; FIND_CYCLES a tap, and one.
    Latency: 3 cycles from a task to its first header, or tap.

    Parameters: bits of blocks, of source bases, of bases and of rows; group: tiles of a group;
    entries: bits of their addresses, 0 for none; places: bits of a shift's, likewise.
    """

    def __init__(
        self,
        *,
        blocks: int,
        sources: int,
        bases: int,
        rows: int,
        group: int,
        entries: int = 0,
        places: int = 0,
    ):
        self._blocks, self.group, self.entries = blocks, group, entries
        self._places = places
        self.widths = sources, bases, rows
        table = {"windows": In(entries), "table": Out(table_signature(entries))}
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
                **(table if entries else {}),  # and where it tells of the kernel
                "o_headers": Out(stream.Signature(group_header(rows, planes=bool(entries)))),
                "o": Out(stream.Signature(group_step(sources, bases, places))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sources, bases, rows = self.widths
        group, step = self.group, self.o.payload
        taps = Taps(self, m) if self.entries else OneTap(self, m)
        tile = Signal(TILE_BITS)
        m.submodules.order = order = BlockOrder(bits=self._blocks, reverse=False)
        source = Signal(TILES_BITS)  # the first of the group
        part = Signal(range(group + 1))  # of the group
        tile_bases = Signal(bases, reset_less=True)  # of the layer, before the tile's
        tile_rows = Signal(rows, reset_less=True)
        source_base = Signal(sources, reset_less=True)
        last_source, last_block = Signal(), Signal()
        source_end = Signal(TILES_BITS)  # constant during a task, as its layer
        m.d.sync += source_end.eq(self.source_tiles - 1)
        m.d.comb += [
            order.batch.eq(self.batch),
            last_source.eq(source + group > source_end),
            last_block.eq(order.last | taps.empty),
        ]
        self._outputs(m, taps, order, tile, source, part, source_base, last_source)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), order.start.eq(1)]
                m.d.sync += [tile.eq(self.i.payload.tile), source.eq(0)]
                with m.If(self.i.valid):
                    taps.begin()
            with m.State("MULTIPLY"):
                m.d.sync += [
                    tile_bases.eq(tile * taps.units),
                    tile_rows.eq(tile * taps.tile_rows),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                taps.first_tap(
                    self.source_first - self.delay,
                    self.base_first + tile_bases,
                    self.weights + tile_rows,
                )
            taps.find()
            with m.State("HEADER"):
                m.d.comb += self.o_headers.valid.eq(1)
                m.d.sync += [source_base.eq(taps.group_source), part.eq(0)]
                taps.first_pixel()
                with m.If(self.o_headers.ready):
                    m.next = "STEPS"
            with m.State("STEPS"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [source_base.eq(source_base + taps.tile_units), part.eq(part + 1)]
                    with m.If(step.group_last):
                        m.d.comb += order.next.eq(1)
                        m.d.sync += [
                            source_base.eq(taps.pixel_source + order.block + 1),
                            part.eq(0),
                        ]
                        with m.If(last_block):
                            m.d.comb += order.start.eq(1)
                            first = taps.next_pixel()
                            m.d.sync += [source_base.eq(first), taps.pixel_source.eq(first)]
                        with m.If(step.last):
                            m.d.sync += source.eq(source + group)
                            taps.next_group()
                            with m.If(last_source):
                                m.d.sync += source.eq(0)
                                taps.next_tap()
        return m

    def _outputs(self, m, taps, order, tile, source, part, source_base, last_source) -> None:
        """The header and the step in hand."""
        header, step = self.o_headers.payload, self.o.payload
        outside = Signal()
        taps.number(header)
        m.d.comb += [
            header.row.eq(taps.row),
            header.source.eq(source),
            header.tile.eq(tile),
            header.last.eq(last_source & taps.last_tap),
            outside.eq(self.delay & order.head),
            step.source_base.eq(source_base + Mux(outside, self.batch.spans, 0)),
            step.base.eq(taps.base + order.block),
            step.set.eq(order.set),
            step.tail.eq(order.tail),
            step.void.eq((outside & ~self.carry) | taps.empty),
            step.other.eq(outside & self.carry),
            step.source.eq(source + part),
            step.group_last.eq(part == self.group - 1),
            step.last.eq((order.last | taps.empty) & taps.last_pixel),
        ]
        if self._places:
            m.d.comb += step.places.eq(taps.shift)
