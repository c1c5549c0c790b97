"""The walk through a task of a population in a plane: pixel by pixel, window by window."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data

from backspike.gen.core.layout import PLACE_BITS
from backspike.gen.core.shared.walk import connection_layout
from backspike.gen.core.shared.window import COUNT_BITS, PLACES_BITS, STRIDES, spot_layout
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.tables import ENTRIES, AnySpots, AnyStrides, chosen, left_out, share
from backspike.sim.proofs.walks import CONNECTIONS, PLANE, WALK, Walk
from backspike.sim.proofs.windows import WindowLoops


class PlaneWalk(Walk):
    """The same, of neurons and sources in planes: all of it for each pixel of the neurons, row by
    row, with a window of its own of each connection; and of each pixel of the window a step for
    every source tile."""

    record_layout = connection_layout(BITS, BITS, ENTRIES)
    prepares = ("READ", "PLANE", "MULTIPLY", "ADD")
    finds = ("FIND",)

    def _walker(self, load: Load, **parameters):
        bench = self.bench
        self.rows = [
            data.View(STRIDES, bench.constant(STRIDES.size, f"strides{n}"))
            for n in range(CONNECTIONS)
        ]
        walker = super()._walker(load, entries=ENTRIES, places=PLACES_BITS)
        left_out(load, self.plane_module)
        return walker

    def prepare(self) -> None:
        bench, m = self.bench, self.bench.module
        self.plane = plane = self.inside["plane"]
        self.shape = shape = self.rows[0].plane
        bench.given((shape.lines != 0) & (shape.columns != 0))
        self.x, self.y = (Signal(COUNT_BITS, name=f"{axis}_due") for axis in "xy")
        self.pixel_base = Signal(BITS, name="pixel_base_due")
        self.pixel_place = Signal(PLACE_BITS, name="pixel_place_due")
        # How far the source tile lies from the first: its base, and its weights.
        self.tiles_far = [Signal(BITS, name=f"{n}_beyond") for n in ("source", "other")]

        def place(index):
            return data.View(self.record_layout, self.record(index)).windows

        self.strides_left = AnyStrides(bench, plane.strides, self.rows, place, self.begins)
        self.spots_left = AnySpots(bench, plane.spots, self.count, CONNECTIONS, self.begins)
        self.spots = [Signal(spot_layout(BITS, BITS), name=f"spot{n}") for n in range(CONNECTIONS)]
        for n, (spot, entries) in enumerate(zip(self.spots, self.spots_left.entries, strict=True)):
            source, other = self.firsts(n)
            m.d.comb += [
                Value.cast(spot).eq(Value.cast(entries)),
                spot.source.eq(entries.source + source),
                spot.other.eq(entries.other + other),
            ]
        self.spots_left.answer(bench, self.spots)
        spot, strides = Signal(spot_layout(BITS, BITS), name="spot_due"), Signal(STRIDES)
        m.d.comb += [
            Value.cast(spot).eq(chosen(self.at, self.spots)),
            Value.cast(strides).eq(chosen(self.at, self.rows)),
        ]
        self.window = WindowLoops(strides, spot)
        self.empty, self.last_in_window = self.window.empty, self.window.last
        self.last_column = self.x == shape.columns - 1
        self.last_pixel = self.last_column & (self.y == shape.lines - 1)
        self.source_end = Mux(self.empty, self.source_begin, self.source_end)

    @property
    def units(self) -> Value:
        return self.shape.units

    def strides(self, number) -> tuple[Value, Value, Value]:
        record = data.View(self.record_layout, self.record(number))
        table = data.View(STRIDES, chosen(number, self.rows))
        told = table.plane.tile_rows
        rows = (record.tile_rows, told) if self.reverse else (told, record.source_rows)
        return table.sources.tile_units, *rows

    @property
    def window_begin(self) -> tuple[Value, Value]:
        spot = self.window.spot
        return spot.source, spot.other

    def in_window(self) -> tuple[Value, Value]:
        source, other = self.window.far
        return source, other

    def beyond(self) -> tuple[Value, Value]:
        source, other = self.tiles_far
        return source, other

    def enter_window(self) -> list:
        return [*self.window.begin(), *(far.eq(0) for far in self.tiles_far)]

    def next_tile(self) -> None:
        tile_units, _, source_rows = self.strides(self.at)
        source, other = self.tiles_far
        m = self.bench.module
        m.d.sync += [source.eq(source + tile_units), other.eq(other + source_rows)]

    def next_in_window(self) -> None:
        m = self.bench.module
        m.d.sync += [far.eq(0) for far in self.tiles_far]
        self.window.count(m)

    def first_pixel(self) -> list:
        return [value.eq(0) for value in (self.x, self.y, self.pixel_base, self.pixel_place)]

    def next_pixel(self) -> None:
        self.bench.module.d.sync += [
            self.pixel_base.eq(self.pixel_base + self.lies),
            self.pixel_place.eq(self.pixel_place + self.loops.sets),
            self.x.eq(Mux(self.last_column, 0, self.x + 1)),
            self.y.eq(self.y + self.last_column),
            *self.loops.begin(self.work.step, self.work.span),
        ]

    def claims(self) -> None:
        super().claims()
        bench, m, device = self.bench, self.bench.module, self.device
        with m.If(device.o.valid):
            places = data.View(STRIDES, chosen(self.at, self.rows)).cells.places + self.window.bit
            bench.always(device.o.payload.places == places[:PLACES_BITS])
        # What is left out is asked for the pixel and the connection in hand.
        spots = self.plane.spots
        share(bench, device.table, self.plane.strides, spots)
        with m.If(spots.busy):
            bench.always((spots.x == self.x) & (spots.y == self.y))
            bench.always(spots.connections == self.count)
            source, other = self.firsts(spots.index)
            bench.always((spots.first.source == source) & (spots.first.other == other))
            others = data.View(STRIDES, chosen(spots.index, self.rows)).others
            bench.always(Value.cast(spots.others) == Value.cast(others))

    def registers(self) -> None:
        super().registers()
        bench, m, inside, plane = self.bench, self.bench.module, self.inside, self.plane
        strides, spots, asked = self.strides_left, self.spots_left, plane.asked
        behind = inside.state("FIND", "HEADER", "CONNECT", "STEPS")
        bench.always(strides.busy == inside.state("READ"))
        bench.always(spots.busy == inside.state("FIND"))
        for n, read in enumerate(strides.read):
            there = inside.state("PLANE", "MULTIPLY", "ADD") & (n == asked)
            prepared = inside.state(*self.prepares) & (n < asked)
            bench.always(read | ~(there | prepared | (behind & (n < self.count))))
        with m.If(
            behind
            | inside.state("MULTIPLY", "ADD")
            | (inside.state("READ", "PLANE") & (asked != 0))
        ):
            bench.always(Value.cast(plane.plane) == Value.cast(self.shape))
        with m.If(inside.state("HEADER", "CONNECT", "STEPS")):
            bench.always(spots.complete)
        with m.If(inside.state("FIND")):
            bench.always(self.loops.at_begin)
        with m.If(~inside.state("IDLE")):
            bench.always((self.x < self.shape.columns) & (self.y < self.shape.lines))
        with m.If(inside.state(*self.prepares)):
            bench.always(Cat(self.x, self.y, self.pixel_base, self.pixel_place) == 0)
        with m.If(behind):
            bench.always((plane.x == self.x) & (plane.y == self.y))
            bench.always(plane.places == self.pixel_place)
        with m.If(inside.state(*self.prepares, "FIND", "HEADER", "CONNECT")):
            bench.always(self.window.at_begin & (Cat(self.tiles_far) == 0))
        with m.If(inside.state("STEPS")):
            source, other = self.window_first
            self.window.registers(bench, plane.window, source, other)


def walk(load: Load, *, reverse: bool = False) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    walk = PlaneWalk(load, reverse=reverse)
    walk.claims()
    walk.registers()
    bench, window, loops = walk.bench, walk.window, walk.loops
    bench.possible(walk.stepped & (walk.x == 1) & (window.x.at == 1) & (walk.source == 1))
    bench.possible(walk.stepped & (walk.at == 1) & window.empty & (window.spot.width == 2))
    bench.possible(walk.headed & (walk.y == 1) & (loops.set == 1) & walk.values["skip"])
    return bench


PROOFS = (
    Proof(
        name="walk-planes",
        claim="a task's headers, one a block of each pixel of the neurons; behind it, for each "
        "connection and each pixel of its window, a step for every source tile, or a void one for "
        "an empty window; all in order and with their own addresses, whatever the table says",
        bench=walk,
        depth=1,
        search=15,
        bugs=(
            Bug(
                "a block's sources are those of the first",
                PLANE,
                "source = spot.source + block",
                "source = spot.source",
            ),
            Bug(
                "an empty window's step has sources",
                PLANE,
                "m.d.sync += [r.source_end.eq(self._begin), r.void.eq(1)]",
                "m.d.sync += r.source_end.eq(self._begin)",
            ),
            Bug(
                "all pixels keep their state in one place",
                PLANE,
                "self.places.eq(self.places + batch.sets),",
                "",
            ),
            Bug(
                "a diagonal connection's second pixel has the sources of the first tile",
                PLANE,
                "[r.source.eq(self._begin), r.source_base.eq(source), r.row.eq(row)]",
                "[r.source.eq(0), r.source_base.eq(source), r.row.eq(row)]",
            ),
            Bug(
                "a connection ends with its window's first pixel",
                PLANE,
                "(self.r.source == self.r.source_end) & self.window.last",
                "self.r.source == self.r.source_end",
            ),
            Bug(
                "what a connection's rows are read from is not asked for",
                PLANE,
                "Mux(strides.busy, strides.table.addr, spots.table.addr)",
                "spots.table.addr",
            ),
            Bug(
                "a pixel's windows are those of the plane's first column",
                PLANE,
                "spots.x.eq(self.x)",
                "spots.x.eq(0)",
            ),
            Bug(
                "a task ends with a pixel",
                WALK,
                "header.last.eq(order.last & plane.last_pixel)",
                "header.last.eq(order.last)",
            ),
        ),
    ),
    Proof(
        name="planes-reverse",
        claim="the same from the last block to the first, in which the table has the distance "
        "between source tiles, and not between the neurons'",
        bench=lambda load: walk(load, reverse=True),
        depth=1,
        search=15,
        bugs=(
            Bug(
                "in reverse, too, the table has the distance between tiles of neurons",
                PLANE,
                "return super().tile_rows if self.walk.reverse else self.strides.o.plane.tile_rows",
                "return self.strides.o.plane.tile_rows",
            ),
            Bug(
                "what comes late is of the span before",
                WALK,
                "1 if self.reverse else -1",
                "-1",
            ),
        ),
    ),
)
