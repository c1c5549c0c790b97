"""The walk through a task of a connection: groups of source tiles through all blocks of a batch."""

from amaranth.hdl import Mux, Signal, Value

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
    """

    def __init__(self, load: Load):
        self.bench = bench = Bench()
        module = load(WALK)
        module.BlockOrder = load(ORDER).BlockOrder
        walker = module.GroupWalk(blocks=BITS, sources=BITS, bases=BITS, rows=BITS, group=GROUP)
        names = ("base_first", "source_first", "source_tiles", "weights", "delay", "carry")
        self.inside = bench.device(walker, "walk", wired=("batch", *names))
        self.device = device = self.inside.component
        self.loops = BlockLoops(bench, device.batch, reverse=False)
        self.values = values = {n: bench.constant(len(getattr(device, n)), n) for n in names}
        bench.module.d.comb += [getattr(device, name).eq(value) for name, value in values.items()]
        self.tiles = tiles = values["source_tiles"]
        bench.given((tiles != 0) & (tiles <= 1 << TILE_BITS))
        bench.kept(device.o_headers)
        bench.kept(device.o)
        self._loops()

    def _loops(self) -> None:
        m, device, loops = self.bench.module, self.device, self.loops
        self.due = due = Signal(Due, name="due")
        self.tile = tile = Signal(TILE_BITS, name="tile_due")
        self.first, self.part = first, part = Signal(TILES_BITS, name="first"), Signal(2)
        self.source = (first + part)[:TILES_BITS]
        self.group_last = first + GROUP >= self.tiles
        self.begins = device.i.valid & device.i.ready
        self.headed = device.o_headers.valid & device.o_headers.ready
        self.stepped = device.o.valid & device.o.ready
        with m.If(self.begins):
            tile_asked = device.i.payload.tile
            m.d.sync += [due.eq(Due.HEADER), tile.eq(tile_asked), first.eq(0), part.eq(0)]
            m.d.sync += loops.begin()
        with m.If(self.headed):
            m.d.sync += due.eq(Due.STEP)
        with m.If(self.stepped):
            m.d.sync += part.eq(part + 1)
            with m.If(part == GROUP - 1):
                m.d.sync += [part.eq(0), *loops.count()]
                with m.If(loops.at_end):
                    m.d.sync += [
                        first.eq(first + GROUP),
                        due.eq(Mux(self.group_last, Due.TASK, Due.HEADER)),
                        *loops.begin(),
                    ]

    def claims(self) -> None:
        """What is said of each header and step: its place in the loops, and the formulas."""
        bench, m, values, loops = self.bench, self.bench.module, self.values, self.loops
        header, step = self.device.o_headers.payload, self.device.o.payload
        block, void, other = loops.before(values["delay"], values["carry"])
        source_base = (values["source_first"] + self.source * loops.blocks + block)[:BITS]
        row = (values["weights"] + self.tile * self.tiles + self.first)[:BITS]
        base = (values["base_first"] + self.tile * loops.blocks + loops.block)[:BITS]
        bench.always(~self.begins | (self.due == Due.TASK))
        with m.If(self.device.o_headers.valid):
            bench.always((self.due == Due.HEADER) & (header.tile == self.tile))
            bench.always((header.source == self.first) & (header.row == row))
            bench.always(header.last == self.group_last)
        with m.If(self.device.o.valid):
            bench.always((self.due == Due.STEP) & (step.source == self.source))
            bench.always((step.set == loops.set) & (step.tail == loops.tail))
            bench.always((step.void == void) & (step.other == other) & (step.base == base))
            bench.always(void | (step.source_base == source_base))
            bench.always(step.last == loops.at_end)
            bench.always(step.group_last == (self.part == GROUP - 1))

    def registers(self) -> None:
        """How the registers belong together."""
        bench, m, inside, due = self.bench, self.bench.module, self.inside, self.due
        values, tile, first, blocks = self.values, self.tile, self.first, self.loops.blocks
        in_task = ~inside.state("IDLE")
        bench.always(Value.cast(due) <= Due.STEP.value)
        bench.always(in_task == (due != Due.TASK))
        bench.always(inside.state("STEPS") == (due == Due.STEP))
        bench.always((self.part < GROUP) & ~self.loops.step)
        self.loops.registers(inside.part("order"), in_task)
        with m.If(in_task):
            bench.always(inside["source_end"] == self.tiles - 1)
            bench.always((inside["tile"] == tile) & (inside["source"] == first))
            bench.always(first < self.tiles)
        with m.If(inside.state("ADD")):
            bench.always(inside["tile_bases"] == (tile * blocks)[:BITS])
            bench.always(inside["tile_rows"] == (tile * self.tiles)[:BITS])
        with m.If(inside.state("MULTIPLY", "ADD", "HEADER")):
            bench.always(self.loops.at_begin & (self.part == 0))
        with m.If(inside.state("MULTIPLY", "ADD")):
            bench.always(first == 0)
        with m.If(inside.state("HEADER", "STEPS")):
            before = values["source_first"] - values["delay"]
            row = values["weights"] + tile * self.tiles + first
            bench.always(inside["base"] == (values["base_first"] + tile * blocks)[:BITS])
            bench.always(inside["row"] == row[:BITS])
            bench.always(inside["group_source"] == (before + first * blocks)[:BITS])
        with m.If(inside.state("STEPS")):
            there = values["source_first"] - values["delay"] + self.source * blocks
            bench.always(inside["source_base"] == (there + self.loops.block)[:BITS])
            bench.always(inside["part"] == self.part)


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
        depth=2,
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
