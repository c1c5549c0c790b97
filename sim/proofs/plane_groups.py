"""The walk through a task of a connection between planes: tap by tap of its kernel."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib import data

from backspike.gen.core.shared.window import COUNT_BITS, PLACES_BITS, STRIDES, TAP_BITS, spot_layout
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS
from backspike.sim.proofs.group_walks import GROUP, WALK, Walk
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.tables import ENTRIES, AnySpots, AnyStrides, left_out, share
from backspike.sim.proofs.windows import WindowLoops


class PlaneWalk(Walk):
    """The same, of sources and neurons in planes: all of it for each tap of the kernel, row by row,
    and the blocks of a group once for each pixel that the tap meets."""

    names = (*Walk.names, "windows")
    begins_in = ("READ", "MULTIPLY", "ADD")
    finds = ("FIND",)

    def _walker(self, load: Load, **parameters):
        walker = super()._walker(load, entries=ENTRIES, places=PLACES_BITS)
        left_out(load, self.module)
        return walker

    def prepare(self) -> None:
        bench, m = self.bench, self.bench.module
        self.taps = taps = self.inside["taps"]
        self.told = told = data.View(STRIDES, bench.constant(STRIDES.size, "strides"))
        self.shape = shape = told.plane
        bench.given((shape.lines != 0) & (shape.columns != 0))
        self.x, self.y = (Signal(COUNT_BITS, name=f"{axis}_due") for axis in "xy")
        self.tap = Signal(TAP_BITS, name="tap_due")
        self.tap_row = Signal(BITS, name="tap_row_due")
        # How far the group's first tile lies from the first of all, and the tile in hand from it.
        self.group_far, self.part_far = (
            Signal(BITS, name=f"{name}_far") for name in ("group", "part")
        )
        windows = self.values["windows"]
        self.strides_left = AnyStrides(
            bench, taps.strides, [told], lambda index: windows, self.begins
        )
        self.spots_left = AnySpots(bench, taps.spots, Const(1), 1, self.begins)
        self.spot = spot = Signal(spot_layout(BITS, BITS), name="spot_due")
        entries = self.spots_left.entries[0]
        source, other = self.firsts
        m.d.comb += [
            Value.cast(spot).eq(Value.cast(entries)),
            spot.source.eq(entries.source + source),
            spot.other.eq(entries.other + other),
        ]
        self.spots_left.answer(bench, [spot])
        self.window = WindowLoops(told, spot)
        self.empty, self.last_pixel = self.window.empty, self.window.last
        self.last_column = self.x == shape.columns - 1
        self.last_tap = self.last_column & (self.y == shape.lines - 1)

    @property
    def strides(self) -> tuple[Value, Value, Value]:
        plane = self.told.plane
        return plane.units, self.told.sources.tile_units, plane.tile_rows

    @property
    def window_begin(self) -> tuple[Value, Value]:
        return self.spot.source, self.spot.other

    @property
    def in_window(self) -> tuple[Value, Value]:
        source, other = self.window.far
        return source, other

    @property
    def tiles_far(self) -> tuple[Value, Value]:
        return self.group_far, self.part_far

    def first_tap(self) -> list:
        counters = self.x, self.y, self.tap_row, self.group_far, self.part_far
        return [
            *(counter.eq(0) for counter in counters),
            self.tap.eq(self.told.sources.tap),
            *self.window.begin(),
        ]

    def next_in_window(self) -> None:
        self.window.count(self.bench.module)

    def next_tile(self) -> None:
        far = self.part_far + self.told.sources.tile_units
        self.bench.module.d.sync += self.part_far.eq(Mux(self.part_last, 0, far))

    def next_group(self) -> None:
        far = self.group_far + GROUP * self.told.sources.tile_units
        self.bench.module.d.sync += [self.group_far.eq(far), *self.window.begin()]

    def next_tap(self) -> None:
        self.bench.module.d.sync += [
            self.group_far.eq(0),
            self.tap.eq(self.tap + 1),
            self.tap_row.eq(self.tap_row + self.tiles),
            self.x.eq(Mux(self.last_column, 0, self.x + 1)),
            self.y.eq(self.y + self.last_column),
        ]

    def claims(self) -> None:
        super().claims()
        bench, m, device = self.bench, self.bench.module, self.device
        with m.If(device.o_headers.valid):
            header = device.o_headers.payload
            bench.always((header.tap == self.tap) & (header.taps == self.shape.taps))
        with m.If(device.o.valid):
            places = self.told.cells.places + self.window.bit
            bench.always(device.o.payload.places == places[:PLACES_BITS])
        # What is left out is asked for the tap in hand.
        spots = self.taps.spots
        share(bench, device.table, self.taps.strides, spots)
        with m.If(spots.busy):
            bench.always((spots.x == self.x) & (spots.y == self.y) & (spots.connections == 1))
            source, other = self.firsts
            bench.always((spots.first.source == source) & (spots.first.other == other))
            bench.always(Value.cast(spots.others) == Value.cast(self.told.others))

    def registers(self) -> None:
        super().registers()
        bench, m, inside, taps = self.bench, self.bench.module, self.inside, self.taps
        strides, spots = self.strides_left, self.spots_left
        found = inside.state("HEADER", "STEPS")
        bench.always(strides.busy == inside.state("READ"))
        bench.always(strides.read[0] | inside.state("IDLE", "READ"))
        bench.always(~spots.busy | inside.state("FIND"))
        with m.If(found | (inside.state("FIND") & ~spots.busy)):
            bench.always(spots.complete)
        with m.If(~inside.state("IDLE")):
            bench.always((self.x < self.shape.columns) & (self.y < self.shape.lines))
        with m.If(inside.state(*self.begins_in)):
            bench.always(Cat(self.x, self.y, self.tap_row) == 0)
            bench.always(self.tap == self.told.sources.tap)
        with m.If(inside.state(*self.begins_in, "FIND")):
            bench.always(self.group_far == 0)
        with m.If(inside.state(*self.begins_in, "FIND", "HEADER")):
            bench.always(self.window.at_begin & (self.part_far == 0))
        with m.If(found | inside.state("FIND")):
            bench.always((taps.x == self.x) & (taps.y == self.y) & (taps.tap == self.tap))
            bench.always(taps.tap_row == self.row)
            source, other = self.firsts
            bench.always((taps.first.source == source) & (taps.first.other == other))
        with m.If(inside.state("STEPS")):
            bench.always(taps.pixel_source == self.pixel_source)
            bench.always((self.part != 0) | (self.part_far == 0))
            self.window.registers(bench, taps.window, self.group_source, self.spot.other)


def walk(load: Load) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    walk = PlaneWalk(load)
    walk.claims()
    walk.registers()
    bench, window, loops = walk.bench, walk.window, walk.loops
    steps = walk.stepped & (walk.tile == 2) & (walk.x == 1)
    bench.possible(steps & (walk.part == 1) & (window.x.at == 1) & (loops.block == 0))
    bench.possible(walk.stepped & (walk.first == 2) & (loops.block == 1))
    bench.possible(walk.stepped & window.empty & (window.spot.width == 2) & (walk.y == 1))
    return bench


PROOFS = (
    Proof(
        name="walk-taps",
        claim="a task's headers, one a group of source tiles of each tap; behind it, for each "
        "pixel that the tap meets, a step for every tile of the group in every block, or void ones "
        "in one block if it meets none; all in order and with their own addresses, whatever the "
        "table says",
        bench=walk,
        depth=1,
        search=16,
        bugs=(
            Bug(
                "a tap without pixels brings something",
                WALK,
                "step.void.eq((outside & ~self.carry) | taps.empty)",
                "step.void.eq(outside & ~self.carry)",
            ),
            Bug(
                "a tap without pixels takes as many steps as there are blocks",
                WALK,
                "last_block.eq(order.last | taps.empty)",
                "last_block.eq(order.last)",
            ),
            Bug(
                "a tap's first pixel is the plane's",
                WALK,
                "self.group_source.eq(self.spots.o.source)",
                "self.group_source.eq(self.first.source)",
            ),
            Bug(
                "a tap's weights lie behind one tile of those of the tap before",
                WALK,
                "row = self.tap_row + self.walk.source_tiles",
                "row = self.tap_row + 1",
            ),
            Bug(
                "a tap's windows are those of the kernel's first row",
                WALK,
                "spots.y.eq(self.y)",
                "spots.y.eq(0)",
            ),
            Bug(
                "a task ends with a tap",
                WALK,
                "header.last.eq(last_source & taps.last_tap)",
                "header.last.eq(last_source)",
            ),
            Bug(
                "the gradients are those of the first pixel",
                WALK,
                "self.m.d.sync += self.base.eq(base)",
                "pass",
            ),
        ),
    ),
)
