"""The walk through a task: headers and steps in order, each with its own addresses."""

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import enum

from backspike.gen.core.layout import TILE_BITS, TILES_BITS
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.proof import Bug, Load, Proof

BITS = 3
"""Bits of addresses. A sum or product depends on no higher bits of its operands than its own."""
BLOCKS = 1 << BITS
"""Blocks of a batch at the most: those that have an address."""
GROUP = 2
WALK = "core.shared.walk"


class Due(enum.Enum, shape=2):
    """What comes next."""

    TASK = 0
    HEADER = 1
    STEP = 2


class Walk:
    """A walk through tasks that come when they like, and what is due next, counted by plain loops.

    A batch has any number of sets and spans, with up to BLOCKS blocks in all, and the loops are
    over these. All else that a task needs is arbitrary, too, and does not change.
    """

    def __init__(self, load: Load, group: int, *, reverse: bool = False):
        self.bench = bench = Bench()
        self.group, self.reverse = group, reverse
        names = ("base_first", "by_set", "source_first", "source_tiles", "weights", "tile_rows",
                 "source_rows", "skip")  # fmt: skip
        walker = load(WALK).TileWalk(
            blocks=BITS, sources=BITS, bases=BITS, rows=BITS, group=group, reverse=reverse
        )
        self.inside = bench.device(walker, "walk", wired=("batch", *names))
        self.device = device = self.inside.component
        m = bench.module
        self.values = values = {}
        for name in names:
            values[name] = bench.constant(len(getattr(device, name)), name)
            m.d.comb += getattr(device, name).eq(values[name])
        self.sets, self.spans = (bench.constant(BITS + 1, name) for name in ("sets", "spans"))
        self.blocks = Signal(BITS + 1, name="blocks")
        every = self.sets * self.spans
        m.d.comb += [
            self.blocks.eq(every),
            device.batch.sets.eq(self.sets),
            device.batch.spans.eq(self.spans),
            device.batch.blocks.eq(self.blocks),
        ]
        self.tiles = tiles = values["source_tiles"]
        bench.given((every != 0) & (every <= BLOCKS))
        bench.given((tiles != 0) & (tiles <= 1 << TILE_BITS))
        bench.given(~device.i.valid | bench.past(1, "begun"))  # the batch is there before a task
        bench.kept(device.o_headers)
        bench.kept(device.o)
        self._loops()

    def _loops(self) -> None:
        m, device, group = self.bench.module, self.device, self.group
        self.due = due = Signal(Due, name="due")
        self.tile = tile = Signal(TILE_BITS, name="tile")
        self.set, self.span = Signal(BITS, name="set"), Signal(BITS, name="span")
        self.first, self.part = first, part = Signal(TILES_BITS, name="first"), Signal(2)
        self.source = (first + part)[:TILES_BITS]
        self.block = (self.set * self.spans + self.span)[:BITS]
        lowest = (self.set == 0) & (self.span == 0)
        highest = (self.set == self.sets - 1) & (self.span == self.spans - 1)
        self.at_begin, self.block_end = (highest, lowest) if self.reverse else (lowest, highest)
        self.source_end = (first + group >= self.tiles) if group else (first == self.tiles - 1)
        self.begins = device.i.valid & device.i.ready
        self.headed = device.o_headers.valid & device.o_headers.ready
        self.stepped = device.o.valid & device.o.ready
        with m.If(self.begins):
            m.d.sync += [due.eq(Due.HEADER), tile.eq(device.i.payload), first.eq(0), part.eq(0)]
            self._first_block()
        with m.If(self.headed):
            m.d.sync += due.eq(Due.STEP)
            if not group:
                with m.If(self.values["skip"]):
                    self._next_block()
        with m.If(self.stepped):
            if group:
                m.d.sync += part.eq(part + 1)
                with m.If(part == group - 1):
                    m.d.sync += part.eq(0)
                    self._count_block()
                    with m.If(self.block_end):
                        self._first_block()
                        m.d.sync += first.eq(first + group)
                        m.d.sync += due.eq(Mux(self.source_end, Due.TASK, Due.HEADER))
            else:
                m.d.sync += first.eq(first + 1)
                with m.If(self.source_end):
                    m.d.sync += first.eq(0)
                    self._next_block()

    def _first_block(self) -> None:
        begin = (self.sets - 1, self.spans - 1) if self.reverse else (0, 0)
        self.bench.module.d.sync += [self.set.eq(begin[0]), self.span.eq(begin[1])]

    def _count_block(self) -> None:
        m, by = self.bench.module, -1 if self.reverse else 1
        span_begin, span_end = (0, self.spans - 1)[::by]
        m.d.sync += self.span.eq(self.span + by)
        with m.If(self.span == span_end):
            m.d.sync += [self.span.eq(span_begin), self.set.eq(self.set + by)]

    def _next_block(self) -> None:
        self.bench.module.d.sync += self.due.eq(Mux(self.block_end, Due.TASK, Due.HEADER))
        self._count_block()

    def claims(self) -> None:
        """What is said of each header and step: its place in the loops, and the formulas."""
        bench, m, values, group = self.bench, self.bench.module, self.values, self.group
        by_set, tile, source = values["by_set"], self.tile, self.source
        self.base_first = values["base_first"] + tile * Mux(by_set, self.sets, self.blocks)
        base = (self.base_first + Mux(by_set, self.set, self.block))[:BITS]
        self.source_base = (values["source_first"] + source * self.blocks + self.block)[:BITS]
        self.row_first = (values["weights"] + tile * values["tile_rows"])[:BITS]
        self.row = (self.row_first + source * values["source_rows"])[:BITS]
        header, step = self.device.o_headers.payload, self.device.o.payload
        head, tail = self.span == 0, self.span == self.spans - 1
        bench.always(~self.begins | (self.due == Due.TASK))
        with m.If(self.device.o_headers.valid):
            bench.always((self.due == Due.HEADER) & (header.tile == tile))
            bench.always(header.source == self.first)
            bench.always(header.last == (self.source_end if group else self.block_end))
            bench.always(header.row == (self.row if group else self.row_first))
            if not group:
                bench.always((header.base == base) & (header.set == self.set))
                bench.always((header.head == head) & (header.tail == tail))
        with m.If(self.device.o.valid):
            bench.always((self.due == Due.STEP) & (step.source == source))
            bench.always((step.set == self.set) & (step.tail == tail))
            bench.always((step.base == base) & (step.source_base == self.source_base))
            bench.always(step.last == (self.block_end if group else self.source_end))
            if group:
                bench.always(step.group_last == (self.part == group - 1))
            else:
                bench.always(step.row == self.row)

    def registers(self) -> None:
        """How the registers belong together."""
        bench, m, inside, group = self.bench, self.bench.module, self.inside, self.group
        values, tile, first, part, due = self.values, self.tile, self.first, self.part, self.due
        in_task = ~inside.state("IDLE")
        bench.always(Value.cast(due) <= Due.STEP.value)
        bench.always(in_task == (due != Due.TASK))
        bench.always(inside.state("STEPS") == (due == Due.STEP))
        self._order_registers(in_task)
        with m.If(in_task):
            bench.always(inside["source_limit"] == self.tiles - 1)
            bench.always((inside["tile"] == tile) & (inside["source"] == first))
            bench.always(first < self.tiles)
        with m.If(inside.state("ADD")):
            tile_bases = tile * Mux(values["by_set"], self.sets, self.blocks)
            bench.always(inside["tile_bases"] == tile_bases[:BITS])
            bench.always(inside["tile_rows"] == (tile * values["tile_rows"])[:BITS])
        with m.If(inside.state("MULTIPLY", "ADD")):
            bench.always(self.at_begin & (first == 0) & (part == 0))
        with m.If(inside.state("HEADER", "STEPS")):
            first_rows = first * values["source_rows"] if group else 0
            first_bases = first * self.blocks if group else 0
            bench.always(inside["base"] == self.base_first[:BITS])
            bench.always(inside["row_first"] == (self.row_first + first_rows)[:BITS])
            bench.always(inside["source_first"] == (values["source_first"] + first_bases)[:BITS])
        with m.If(inside.state("HEADER")):
            bench.always((part == 0) & (self.at_begin if group else first == 0))
        with m.If(inside.state("STEPS")):
            bench.always(inside["source_base"] == self.source_base)
            bench.always(inside["part"] == part if group else inside["row"] == self.row)
        bench.always(part <= max(0, group - 1))

    def _order_registers(self, in_task: Value) -> None:
        bench, order = self.bench, self.inside.part("order")
        with bench.module.If(bench.past(1, "limits_are_there")):
            for name in ("blocks", "sets", "spans"):
                limit = order["limits"][name]
                bench.always(limit == (getattr(self, name) - 1)[: len(limit)])
        with bench.module.If(in_task):
            bench.always((self.set < self.sets) & (self.span < self.spans))
            bench.always((order.component.set == self.set) & (order["span"] == self.span))
            bench.always(order.component.block == self.block)


def walk(load: Load, group: int, *, reverse: bool = False) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    walk = Walk(load, group, reverse=reverse)
    walk.claims()
    walk.registers()
    bench, block = walk.bench, walk.block
    steps = walk.stepped & (walk.tile == 2) & (walk.source == 1)
    bench.possible(steps & (block == 1))
    bench.possible(steps & (walk.set == 1) & (walk.span == 0) & (walk.spans == 2))
    bench.possible(walk.headed & (walk.first == 2 if group else block == 2))
    return bench


PROOFS = (
    Proof(
        name="walk-blocks",
        claim="a task's headers, one a block, each with a step for every source tile behind it, in "
        "order (set by set, span by span) and with their own addresses",
        bench=lambda load: walk(load, 0),
        depth=2,
        search=14,
        bugs=(
            Bug(
                "a block's sources are those of the first",
                WALK,
                "source_base.eq(source_first + block), row",
                "source_base.eq(source_first), row",
            ),
            Bug(
                "a column of weights has no stride",
                WALK,
                "row.eq(row + self.source_rows)",
                "row.eq(row + 1)",
            ),
            Bug(
                "what lies by set is counted by block",
                WALK,
                "base + Mux(self.by_set, order.set, block)",
                "base + block",
            ),
        ),
    ),
    Proof(
        name="walk-reverse",
        claim="the same from the last block to the first: sets, and spans of a set, in reverse",
        bench=lambda load: walk(load, 0, reverse=True),
        depth=2,
        search=14,
        bugs=(
            Bug(
                "in each set but the last the first span comes first",
                WALK,
                "self.set.eq(self.set + by), span.eq(first[2])",
                "self.set.eq(self.set + by), span.eq(0)",
            ),
            Bug(
                "a set ends with its last span",
                WALK,
                "by, wraps = -1, self.head",
                "by, wraps = -1, self.tail",
            ),
        ),
    ),
    Proof(
        name="walk-groups",
        claim="a task's headers, one a group of source tiles, each with a step for every tile in "
        "every block behind it, in order and with their own addresses",
        bench=lambda load: walk(load, GROUP),
        depth=2,
        search=16,
        bugs=(
            Bug(
                "a group's tiles are those of the first group",
                WALK,
                "m.d.sync += source_first.eq(source_first + blocks * group)",
                "pass",
            ),
            Bug(
                "a block's tiles are those of the block before",
                WALK,
                "source_base.eq(source_first + block + 1)",
                "source_base.eq(source_first + block)",
            ),
        ),
    ),
)
