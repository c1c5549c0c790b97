"""The walk through a task of a connection: groups of source tiles through all blocks of a batch."""

from amaranth.hdl import Const, Mux, Signal, Value

from backspike.gen.core.layout import TILE_BITS, TILES_BITS
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS, ORDER, BlockLoops
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.walks import Due

GROUP = 2
WALK = "core.shared.group_walk"


class Walk:
    """A walk through tasks that come when they like, and what is due next, counted by plain loops:
    over groups, over blocks, over the tiles of a group.

    The batch has any shape; all else that a task needs is arbitrary, too, and does not change.

    What neurons and sources in planes have besides, a class below says: see `plane_groups`.
    """

    names: tuple[str, ...] = (
        "base_first",
        "source_first",
        "source_tiles",
        "weights",
        "delay",
        "carry",
    )
    begins_in: tuple[str, ...] = ("MULTIPLY", "ADD")
    """States before a task's first header, or tap."""
    finds: tuple[str, ...] = ()
    """States between these and a header."""
    last_tap: Value = Const(1)
    last_pixel: Value = Const(1)
    """The pixel of the tap's window in hand is its last."""
    empty: Value = Const(0)
    """The tap meets no pixel."""
    tap_row: Value = Const(0)
    """From the first tap's blocks of weights to those of the tap."""

    def __init__(self, load: Load):
        self.bench = bench = Bench()
        self.inside = bench.device(self._walker(load), "walk", wired=("batch", *self.names))
        self.device = device = self.inside.component
        self.loops = BlockLoops(bench, device.batch, reverse=False)
        self.values = values = {n: bench.constant(len(getattr(device, n)), n) for n in self.names}
        bench.module.d.comb += [getattr(device, name).eq(value) for name, value in values.items()]
        self.tiles = tiles = values["source_tiles"]
        bench.given((tiles != 0) & (tiles <= 1 << TILE_BITS))
        bench.kept(device.o_headers)
        bench.kept(device.o)
        self._loops()

    def _walker(self, load: Load, **parameters):
        """The component."""
        self.module = module = load(WALK)
        module.BlockOrder = load(ORDER).BlockOrder
        sizes = dict.fromkeys(("blocks", "sources", "bases", "rows"), BITS)
        return module.GroupWalk(**sizes, group=GROUP, **parameters)

    @property
    def strides(self) -> tuple[Value, Value, Value]:
        """Units of a tile of gradients, and of a tile of sources; blocks of weights of a tile of
        neurons."""
        return self.loops.blocks, self.loops.blocks, self.tiles

    @property
    def firsts(self) -> tuple[Value, Value]:
        """Where the first source tile lies a block before the first, if there is a delay; and the
        tile of gradients in block 0."""
        base = self.values["base_first"] + self.tile_units
        return (self.values["source_first"] - self.values["delay"])[:BITS], base[:BITS]

    @property
    def window_begin(self) -> tuple[Value, Value]:
        """(source, base): the same of the first pixel that the tap meets."""
        return self.firsts

    @property
    def in_window(self) -> tuple[Value, Value]:
        """(source, base): how far the pixel in hand lies from there."""
        return Const(0), Const(0)

    @property
    def tiles_far(self) -> tuple[Value, Value]:
        """How far the group's first source tile lies from the first of all, and the tile in hand
        from it."""
        tile_units = self.strides[1]
        return self.first * tile_units, self.part * tile_units

    def prepare(self) -> None:
        """Makes ready what the class has besides, before the loops."""

    def first_tap(self) -> list:
        """Statements that go to the first tap."""
        return []

    def next_in_window(self) -> None:
        """Goes to the window's next pixel."""

    def next_tile(self) -> None:
        """Goes to the group's next tile, or to its first."""

    def next_group(self) -> None:
        """Goes to the next group."""

    def next_tap(self) -> None:
        """Goes to the next tap, behind its last group."""

    def _loops(self) -> None:
        m, device, loops = self.bench.module, self.device, self.loops
        self.due = due = Signal(Due, name="due")
        self.tile = tile = Signal(TILE_BITS, name="tile_due")
        self.first, self.part = first, part = Signal(TILES_BITS, name="first"), Signal(2)
        self.source = (first + part)[:TILES_BITS]
        # What lies before the task's tile, of gradients and of weights.
        self.tile_units, self.tile_rows = (Signal(BITS, name=n) for n in ("units_due", "rows_due"))
        self.group_last = first + GROUP >= self.tiles
        self.part_last = part == GROUP - 1
        self.begins = device.i.valid & device.i.ready
        self.headed = device.o_headers.valid & device.o_headers.ready
        self.stepped = device.o.valid & device.o.ready
        self.prepare()
        self.block_last = loops.at_end | self.empty
        with m.If(self.begins):
            tile_asked = device.i.payload.tile
            m.d.sync += [due.eq(Due.HEADER), tile.eq(tile_asked), first.eq(0), part.eq(0)]
            m.d.sync += [*loops.begin(), *self.first_tap()]
            units, _, tile_rows = self.strides
            m.d.sync += self.tile_units.eq(tile_asked * units)
            m.d.sync += self.tile_rows.eq(tile_asked * tile_rows)
        with m.If(self.headed):
            m.d.sync += due.eq(Due.STEP)
        with m.If(self.stepped):
            m.d.sync += part.eq(Mux(self.part_last, 0, part + 1))
            self.next_tile()
            with m.If(self.part_last):
                m.d.sync += loops.count()
                with m.If(self.block_last):
                    m.d.sync += loops.begin()
                    self.next_in_window()
            with m.If(self.part_last & self.block_last & self.last_pixel):
                ends = self.group_last & self.last_tap
                m.d.sync += [first.eq(first + GROUP), due.eq(Mux(ends, Due.TASK, Due.HEADER))]
                self.next_group()
                with m.If(self.group_last):
                    m.d.sync += first.eq(0)
                    self.next_tap()

    def claims(self) -> None:
        """What is said of each header and step: its place in the loops, and the formulas."""
        bench, m, values, loops = self.bench, self.bench.module, self.values, self.loops
        header, step = self.device.o_headers.payload, self.device.o.payload
        block, void, other = loops.before(values["delay"], values["carry"])
        void = void | self.empty
        (window_source, window_base), (source_far, base_far) = self.window_begin, self.in_window
        self.group_source = (window_source + self.tiles_far[0])[:BITS]
        self.pixel_source = (self.group_source + source_far)[:BITS]
        self.pixel_base = (window_base + base_far)[:BITS]
        there = self.pixel_source + self.tiles_far[1] + values["delay"]
        self.row = (values["weights"] + self.tile_rows + self.tap_row)[:BITS]
        bench.always(~self.begins | (self.due == Due.TASK))
        with m.If(self.device.o_headers.valid):
            bench.always((self.due == Due.HEADER) & (header.tile == self.tile))
            bench.always(header.source == self.first)
            bench.always(header.row == (self.row + self.first)[:BITS])
            bench.always(header.last == (self.group_last & self.last_tap))
        with m.If(self.device.o.valid):
            bench.always((self.due == Due.STEP) & (step.source == self.source))
            bench.always((step.set == loops.set) & (step.tail == loops.tail))
            bench.always((step.void == void) & (step.other == other))
            bench.always(step.base == (self.pixel_base + loops.block)[:BITS])
            bench.always(void | (step.source_base == (there + block)[:BITS]))
            bench.always(step.last == (self.block_last & self.last_pixel))
            bench.always(step.group_last == self.part_last)

    def registers(self) -> None:
        """How the registers belong together."""
        bench, m, inside, due = self.bench, self.bench.module, self.inside, self.due
        tile, first = self.tile, self.first
        in_task = ~inside.state("IDLE")
        bench.always(Value.cast(due) <= Due.STEP.value)
        bench.always((in_task == (due != Due.TASK)) & (~in_task | self.loops.ends_there))
        bench.always(inside.state("STEPS") == (due == Due.STEP))
        bench.always((self.part < GROUP) & ~self.loops.step)
        self.loops.registers(inside.part("order"), in_task)
        with m.If(in_task):
            bench.always(inside["source_end"] == self.tiles - 1)
            bench.always((inside["tile"] == tile) & (inside["source"] == first))
            bench.always(first < self.tiles)
        with m.If(inside.state(*self.begins_in)):
            units, _, tile_rows = self.strides
            bench.always(self.tile_units == (tile * units)[:BITS])
            bench.always(self.tile_rows == (tile * tile_rows)[:BITS])
        with m.If(inside.state("ADD")):
            bench.always(inside["tile_bases"] == self.tile_units)
            bench.always(inside["tile_rows"] == self.tile_rows)
        with m.If(inside.state(*self.begins_in, *self.finds, "HEADER")):
            bench.always(self.loops.at_begin & (self.part == 0))
        with m.If(inside.state(*self.begins_in, *self.finds)):
            bench.always(first == 0)
        with m.If(inside.state("HEADER", "STEPS", *self.finds)):
            bench.always(inside["row"] == (self.row + first)[:BITS])
        with m.If(inside.state("HEADER", "STEPS")):
            bench.always(inside["group_source"] == self.group_source)
        with m.If(inside.state("STEPS")):
            there = self.pixel_source + self.tiles_far[1]
            bench.always(inside["source_base"] == (there + self.loops.block)[:BITS])
            bench.always(inside["part"] == self.part)
        based = inside.state("STEPS") if self.finds else inside.state("HEADER", "STEPS")
        bench.always(~based | (inside["base"] == self.pixel_base))


def walk(load: Load) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    walk = Walk(load)
    walk.claims()
    walk.registers()
    bench, loops = walk.bench, walk.loops
    steps = walk.stepped & (walk.tile == 2) & (walk.source == 1)
    bench.possible(steps & (loops.block == 1))
    bench.possible(
        steps & walk.values["delay"] & (loops.set == 1) & loops.head & (loops.spans == 2)
    )
    bench.possible(walk.headed & (walk.first == 2))
    return bench


PROOFS = (
    Proof(
        name="walk-groups",
        claim="a task's headers, one a group of source tiles, each with a step for every tile in "
        "every block behind it, in order and with their own addresses",
        bench=walk,
        depth=1,
        search=16,
        bugs=(
            Bug(
                "a group's tiles are those of the first group",
                WALK,
                "self.group_source.eq(self.group_source + self.tile_units * group),",
                "",
            ),
            Bug(
                "a block's tiles are those of the block before",
                WALK,
                "source_base.eq(taps.pixel_source + order.block + 1)",
                "source_base.eq(taps.pixel_source + order.block)",
            ),
            Bug(
                "what comes late in a set's first span, the set before has sent",
                WALK,
                "source_base + Mux(outside, self.batch.spans, 0)",
                "source_base",
            ),
        ),
    ),
)
