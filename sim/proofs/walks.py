"""The walk through a task of a population: headers and steps in order, each with its addresses."""

import functools

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data, enum

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import TILES_BITS
from backspike.gen.core.shared.walk import connection_layout
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS, ORDER, BlockLoops
from backspike.sim.proofs.proof import Bug, Load, Proof

CONNECTIONS = 3
"""Connections of a population at the most. More would take nothing but more of the same cycles."""
CONNECTION_COUNT = CONNECTIONS.bit_length()
"""Bits of a number of connections."""
WALK = "core.shared.walk"
PLANE = "core.shared.plane"
CONNECTION = connection_layout(BITS, BITS)


class Due(enum.Enum, shape=2):
    """What comes next."""

    TASK = 0
    HEADER = 1
    STEP = 2


class Walk:
    """A walk through tasks that come when they like, and what is due next, counted by plain loops:
    over blocks, over connections, over source tiles.

    There are 1 to CONNECTIONS connections, each of any form, and a batch of any shape. All that a
    task needs is arbitrary, and does not change.
    """

    def __init__(self, load: Load, *, reverse: bool):
        self.bench = bench = Bench()
        module = load(WALK)
        module.BlockOrder = load(ORDER).BlockOrder
        module.Point = load(PLANE).Point
        walker = module.TileWalk(blocks=BITS, sources=BITS, bases=BITS, rows=BITS, reverse=reverse)
        names = ("base_first", "by_set", "carry", "skip")
        wired = ("batch", "connections", "connection", *names)
        self.inside = bench.device(walker, "walk", wired=wired)
        self.device = device = self.inside.component
        self.loops = BlockLoops(bench, device.batch, reverse=reverse)
        m = bench.module
        self.values = values = {n: bench.constant(len(getattr(device, n)), n) for n in names}
        m.d.comb += [getattr(device, name).eq(value) for name, value in values.items()]
        if reverse:  # what goes on goes forward
            bench.given(~values["carry"])
        self.count = bench.constant(CONNECTION_COUNT, "count")
        bench.given((self.count != 0) & (self.count <= CONNECTIONS))
        self.records = [
            data.View(CONNECTION, bench.constant(CONNECTION.size, f"record{n}"))
            for n in range(CONNECTIONS)
        ]
        for record in self.records:
            bench.given(record.tiles != 0)
        m.d.comb += [
            device.connections.eq(self.count),
            Value.cast(device.connection).eq(self.record(device.index)),
        ]
        work = device.i.payload
        bench.given(~device.i.valid | ~work.step | (work.span < self.loops.spans))
        bench.kept(device.o_headers)
        bench.kept(device.o)
        self._loops()

    def record(self, index) -> Value:
        """The record of that number."""
        values = [Value.cast(record) for record in self.records]
        return functools.reduce(
            lambda other, n: Mux(index == n, values[n], other), range(1, CONNECTIONS), values[0]
        )

    def _loops(self) -> None:
        m, device, loops = self.bench.module, self.device, self.loops
        self.due = due = Signal(Due, name="due")
        self.work = Signal(WORK, name="task")
        self.at = at = Signal(CONNECTION_COUNT, name="at")  # the connection
        self.source = source = Signal(TILES_BITS, name="source_due")
        self.connection = here = Signal(CONNECTION, name="here")
        m.d.comb += Value.cast(here).eq(self.record(at))
        self.source_begin = Mux(here.diagonal, self.work.tile, 0)
        self.source_last = source == Mux(here.diagonal, self.work.tile, here.tiles - 1)
        self.connection_last = at == self.count - 1
        self.begins = device.i.valid & device.i.ready
        self.headed = device.o_headers.valid & device.o_headers.ready
        self.stepped = device.o.valid & device.o.ready

        def enter(number, tile):
            record = data.View(CONNECTION, self.record(number))
            m.d.sync += [at.eq(number), source.eq(Mux(record.diagonal, tile, 0))]

        def next_block():
            m.d.sync += [due.eq(Mux(loops.at_end, Due.TASK, Due.HEADER)), *loops.count()]
            enter(0, self.work.tile)

        with m.If(self.begins):
            work = device.i.payload
            m.d.sync += [due.eq(Due.HEADER), self.work.eq(work)]
            m.d.sync += loops.begin(work.step, work.span)
            enter(0, work.tile)
        with m.If(self.headed):
            m.d.sync += due.eq(Due.STEP)
            with m.If(self.values["skip"]):
                next_block()
        with m.If(self.stepped):
            m.d.sync += source.eq(source + 1)
            with m.If(self.source_last):
                enter((at + 1)[: len(at)], self.work.tile)
                with m.If(self.connection_last):
                    next_block()

    def claims(self) -> None:
        """What is said of each header and step: its place in the loops, and the formulas."""
        bench, m, values, loops = self.bench, self.bench.module, self.values, self.loops
        tile, here = self.work.tile, self.connection
        lies = Mux(values["by_set"], loops.sets, loops.blocks)
        self.base_first = (values["base_first"] + tile * lies)[:BITS]
        base = (self.base_first + Mux(values["by_set"], loops.set, loops.block))[:BITS]
        block, self.void, self.other = loops.before(here.delay, values["carry"])
        self.source_base = (here.first + self.source * loops.blocks + block)[:BITS]
        rows = Mux(here.diagonal, 0, tile * here.tile_rows)
        beyond = self.source - self.source_begin
        self.row = (here.weights + rows + beyond * here.source_rows)[:BITS]
        header, step = self.device.o_headers.payload, self.device.o.payload
        bench.always(~self.begins | (self.due == Due.TASK))
        with m.If(self.device.o_headers.valid):
            bench.always((self.due == Due.HEADER) & (header.tile == tile))
            bench.always((header.base == base) & (header.set == loops.set))
            bench.always((header.head == loops.head) & (header.tail == loops.tail))
            bench.always((header.row == self.row) & (header.last == loops.at_end))
            place = self.work.place + Mux(self.work.keep, loops.set, 0)
            bench.always(header.place == place[: len(header.place)])
        with m.If(self.device.o.valid):
            bench.always((self.due == Due.STEP) & (step.source == self.source))
            bench.always((step.set == loops.set) & (step.tail == loops.tail))
            bench.always((step.base == base) & (step.row == self.row))
            bench.always(self.void | (step.source_base == self.source_base))
            bench.always((step.void == self.void) & (step.other == self.other))
            bench.always(step.last == (self.source_last & self.connection_last))

    def registers(self) -> None:
        """How the registers belong together."""
        bench, m, inside, due, at = self.bench, self.bench.module, self.inside, self.due, self.at
        in_task, tile, here = ~inside.state("IDLE"), self.work.tile, self.connection
        index, first_at = self.device.index, self.source == self.source_begin
        bench.always(Value.cast(due) <= Due.STEP.value)
        bench.always(in_task == (due != Due.TASK))
        bench.always(inside.state("STEPS", "CONNECT") == (due == Due.STEP))
        self.loops.registers(
            inside.part("order"), inside.state("ADD", "HEADER", "CONNECT", "STEPS")
        )
        with m.If(in_task):
            bench.always(Value.cast(inside["work"]) == Value.cast(self.work))
            bench.always(inside["connection_end"] == self.count - 1)
            bench.always((at < self.count) & (index < self.count))
            bench.always((self.source - self.source_begin)[:TILES_BITS] < here.tiles)
            bench.always(~here.diagonal | first_at)
            bench.always(self.loops.step == self.work.step)
            bench.always(~self.work.step | (self.work.span < self.loops.spans))
        with m.If(~in_task):
            bench.always(index == 0)
        asked = self.device.connection
        times = Mux(asked.diagonal, self.loops.blocks, asked.tile_rows)
        with m.If(inside.state("MULTIPLY")):
            bench.always(inside["times"] == times)
        with m.If(inside.state("SELECT", "MULTIPLY", "ADD")):
            bench.always(self.loops.at_begin & (at == 0) & first_at)
            offset = Mux(self.work.step, self.work.span, 0)
            span = self.loops.spans - 1 - offset if self.loops.reverse else offset
            bench.always(self.loops.span == span)
        with m.If(inside.state("ADD")):
            bench.always(inside["product"] == (tile * times)[:BITS])
            tile_bases = tile * Mux(self.values["by_set"], self.loops.sets, self.loops.blocks)
            bench.always(inside["tile_bases"] == tile_bases[:BITS])
        with m.If(inside.state("HEADER", "CONNECT", "STEPS")):
            bench.always((index == at) & (inside["base"] == self.base_first))
        with m.If(inside.state("HEADER")):
            bench.always((at == 0) & first_at)
        with m.If(inside.state("CONNECT")):
            bench.always(first_at)
        with m.If(inside.state("STEPS")):
            end = Mux(here.diagonal, tile, here.tiles - 1)
            bench.always((inside["source"] == self.source) & (inside["source_end"] == end))
            bench.always((inside["row"] == self.row) & (inside["row_step"] == here.source_rows))
            source_base = inside["source_base"]
            if not self.loops.reverse:
                outside = inside["outside"]
                bench.always(outside == (here.delay & self.loops.head))
                source_base = source_base + Mux(outside, self.loops.spans, 0)
            bench.always(self.void | (source_base[:BITS] == self.source_base))
            bench.always((inside["void"] == self.void) & (inside["other"] == self.other))
        self._firsts(in_task, index)

    def _firsts(self, in_task, index) -> None:
        """What was found of each connection, up to the one in hand at a task's begin."""
        bench, m, inside, tile = self.bench, self.bench.module, self.inside, self.work.tile
        for n, record in enumerate(self.records):
            spy = inside.module.submodules.firsts.read_port(domain="comb")
            m.d.comb += spy.addr.eq(n)
            sources = Mux(record.diagonal, tile * self.loops.blocks, 0)
            rows = Mux(record.diagonal, 0, tile * record.tile_rows)
            there = (n < self.count) & (~inside.state("SELECT", "MULTIPLY", "ADD") | (n < index))
            before = Mux(record.delay, 1 if self.loops.reverse else -1, 0)
            with m.If(in_task & there):
                bench.always(spy.data.source == (record.first + sources + before)[:BITS])
                bench.always(spy.data.other == (record.weights + rows)[:BITS])


def walk(load: Load, *, reverse: bool = False) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    walk = Walk(load, reverse=reverse)
    walk.claims()
    walk.registers()
    bench, loops, here = walk.bench, walk.loops, walk.connection
    bench.possible(walk.stepped & (walk.work.tile == 2) & (walk.source == 1) & (loops.block == 1))
    bench.possible(walk.stepped & (walk.at == 2) & here.delay & (loops.span == 1) & ~walk.void)
    bench.possible(walk.stepped & (walk.at == 1) & here.diagonal & (loops.block == 1))
    bench.possible(walk.headed & loops.step & (loops.set == 1) & (loops.span == 1))
    return bench


PROOFS = (
    Proof(
        name="walk-blocks",
        claim="a task's headers, one a block, each with a step for every source tile of every "
        "connection behind it, in order (set by set, span by span, or in one span) and with their "
        "own addresses",
        bench=walk,
        depth=2,
        search=15,
        bugs=(
            Bug(
                "a block's sources are those of the first",
                PLANE,
                "source_base.eq(first.source + block)",
                "source_base.eq(first.source)",
            ),
            Bug(
                "a column of weights has no stride",
                WALK,
                "row_step.eq(plane.source_rows)",
                "row_step.eq(1)",
            ),
            Bug(
                "what lies by set is counted by block",
                WALK,
                "base + Mux(self.by_set, order.set, order.block)",
                "base + order.block",
            ),
            Bug(
                "what comes late in a set's first span, the set before has sent",
                WALK,
                "r.source_base + Mux(r.outside, self.batch.spans, 0)",
                "r.source_base",
            ),
            Bug(
                "a diagonal connection has the neurons' tile, but is done with the first one",
                WALK,
                "source_end.eq(Mux(connection.diagonal, tile, connection.tiles - 1))",
                "source_end.eq(Mux(connection.diagonal, 0, connection.tiles - 1))",
            ),
            Bug(
                "a sum ends with each of its connections",
                WALK,
                "payload.last.eq(plane.last_source & last_connection)",
                "payload.last.eq(plane.last_source)",
            ),
            Bug(
                "sets have places of their own, whether they keep something or not",
                WALK,
                "work.place + Mux(work.keep, plane.places + order.set, 0)",
                "work.place + plane.places + order.set",
            ),
        ),
    ),
    Proof(
        name="walk-reverse",
        claim="the same from the last block to the first: sets, and spans of a set, in reverse",
        bench=lambda load: walk(load, reverse=True),
        depth=2,
        search=15,
        bugs=(
            Bug(
                "in each set but the last the first span comes first",
                ORDER,
                "span.eq(start_of_set)",
                "span.eq(0)",
            ),
            Bug(
                "nothing comes before the first span, in reverse, too",
                WALK,
                "(order.tail if self.reverse else order.head)",
                "order.head",
            ),
            Bug(
                "what comes late in the last span is not left out",
                WALK,
                "void.eq(outside & ~self.carry),",
                "void.eq(0),",
            ),
        ),
    ),
)
