"""The walk through a task of a population: headers and steps in order, each with its addresses."""

from amaranth.hdl import Const, Mux, Signal, Value
from amaranth.lib import data, enum

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import TILES_BITS
from backspike.gen.core.shared.walk import connection_layout
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS, ORDER, BlockLoops
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.tables import chosen

CONNECTIONS = 3
"""Connections of a population at the most. More would take nothing but more of the same cycles."""
WALK = "core.shared.walk"
PLANE = "core.shared.plane"


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

    What neurons and sources in planes have besides, a class below says: see `plane_walks`.
    """

    record_layout = connection_layout(BITS, BITS)
    prepares: tuple[str, ...] = ("SELECT", "MULTIPLY", "ADD")
    """States before all connections of a task are known."""
    finds: tuple[str, ...] = ()
    """States between these and a header."""
    last_pixel: Value = Const(1)
    last_in_window: Value = Const(1)
    """The pixel of the window in hand is its last."""
    empty: Value = Const(0)
    """The window has no pixel."""
    pixel_base: Value = Const(0)
    """How far the neurons' pixel lies from their first one, units."""
    pixel_place: Value = Const(0)
    """Places that the pixels before it have taken."""

    def __init__(self, load: Load, *, reverse: bool):
        self.bench = bench = Bench()
        self.reverse = reverse
        names = ("base_first", "by_set", "carry", "skip")
        wired = ("batch", "connections", "connection", *names)
        self.inside = bench.device(self._walker(load), "walk", wired=wired)
        self.device = device = self.inside.component
        self.loops = BlockLoops(bench, device.batch, reverse=reverse)
        m = bench.module
        self.values = values = {n: bench.constant(len(getattr(device, n)), n) for n in names}
        m.d.comb += [getattr(device, name).eq(value) for name, value in values.items()]
        if reverse:  # what goes on goes forward
            bench.given(~values["carry"])
        self.count = bench.constant(CONNECTIONS.bit_length(), "count")
        bench.given((self.count != 0) & (self.count <= CONNECTIONS))
        self.records = [
            data.View(self.record_layout, bench.constant(self.record_layout.size, f"record{n}"))
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

    def _walker(self, load: Load, **parameters):
        """The component."""
        module, sizes = load(WALK), dict.fromkeys(("blocks", "sources", "bases", "rows"), BITS)
        module.BlockOrder = load(ORDER).BlockOrder
        self.plane_module = load(PLANE)
        module.Point, module.Plane = self.plane_module.Point, self.plane_module.Plane
        return module.TileWalk(**sizes, reverse=self.reverse, **parameters)

    def record(self, index) -> Value:
        """The record of that number."""
        return chosen(index, self.records)

    @property
    def lies(self) -> Value:
        """Units of a pixel of neurons."""
        return Mux(self.values["by_set"], self.loops.sets, self.loops.blocks)

    @property
    def units(self) -> Value:
        """Units of a tile of neurons."""
        return self.lies

    def strides(self, number) -> tuple[Value, Value, Value]:
        """Of a connection: units of a tile of sources; blocks of weights from a tile of neurons to
        the next, and from a source tile."""
        record = data.View(self.record_layout, self.record(number))
        return self.loops.blocks, record.tile_rows, record.source_rows

    def firsts(self, number) -> tuple[Value, Value]:
        """(source, other) of a connection: where its first source tile lies in block 0, a delay
        counted, and the first block of weights."""
        record = data.View(self.record_layout, self.record(number))
        tile_units, tile_rows, _ = self.strides(number)
        sources = Mux(record.diagonal, self.work.tile * tile_units, 0) + self.late(record)
        rows = Mux(record.diagonal, 0, self.work.tile * tile_rows)
        return (record.first + sources)[:BITS], (record.weights + rows)[:BITS]

    def late(self, record) -> Value:
        """What a delay takes a span away by, as far as its set has one there."""
        return Mux(record.delay, 1 if self.reverse else -1, 0)

    def beyond(self) -> tuple[Value, Value]:
        """(source, other): how far the source tile lies from the connection's first."""
        tile_units, _, source_rows = self.strides(self.at)
        tiles = self.source - self.source_begin
        return tiles * tile_units, tiles * source_rows

    @property
    def window_begin(self) -> tuple[Value, Value]:
        """(source, other): where the window of the connection in hand begins, in block 0."""
        return self.firsts(self.at)

    def in_window(self) -> tuple[Value, Value]:
        """(source, other): how far the pixel in hand of the connection's window lies from there."""
        return Const(0), Const(0)

    def enter_window(self) -> list:
        """Statements that go to a window's first pixel."""
        return []

    def prepare(self) -> None:
        """Makes ready what the class has besides, before the loops."""

    def next_in_window(self) -> None:
        """Goes to its next one."""

    def next_tile(self) -> None:
        """Goes to the next source tile."""

    def first_pixel(self) -> list:
        """Statements that go to the neurons' first pixel."""
        return []

    def next_pixel(self) -> None:
        """Goes to their next one, behind the last block of the one in hand."""

    def _loops(self) -> None:
        m, device, loops = self.bench.module, self.device, self.loops
        self.due = due = Signal(Due, name="due")
        self.work = Signal(WORK, name="task")
        self.at = at = Signal(CONNECTIONS.bit_length(), name="at")  # the connection
        self.source = source = Signal(TILES_BITS, name="source_due")
        self.connection = here = Signal(self.record_layout, name="here")
        m.d.comb += Value.cast(here).eq(self.record(at))
        self.source_begin = Mux(here.diagonal, self.work.tile, 0)
        self.source_end = Mux(here.diagonal, self.work.tile, here.tiles - 1)
        self.begins = device.i.valid & device.i.ready
        self.headed = device.o_headers.valid & device.o_headers.ready
        self.stepped = device.o.valid & device.o.ready
        self.prepare()
        self.source_last = source == self.source_end
        self.connection_last = at == self.count - 1

        def enter(number, tile):
            record = data.View(self.record_layout, self.record(number))
            m.d.sync += [at.eq(number), source.eq(Mux(record.diagonal, tile, 0))]
            m.d.sync += self.enter_window()

        def next_block():
            ends = loops.at_end & self.last_pixel
            m.d.sync += [due.eq(Mux(ends, Due.TASK, Due.HEADER)), *loops.count()]
            enter(0, self.work.tile)
            with m.If(loops.at_end):
                self.next_pixel()

        with m.If(self.begins):
            work = device.i.payload
            m.d.sync += [due.eq(Due.HEADER), self.work.eq(work)]
            m.d.sync += [*loops.begin(work.step, work.span), *self.first_pixel()]
            enter(0, work.tile)
        with m.If(self.headed):
            m.d.sync += due.eq(Due.STEP)
            with m.If(self.values["skip"]):
                next_block()
        with m.If(self.stepped):
            m.d.sync += source.eq(source + 1)
            self.next_tile()
            with m.If(self.source_last):
                m.d.sync += source.eq(self.source_begin)
                self.next_in_window()
                with m.If(self.last_in_window):
                    enter((at + 1)[: len(at)], self.work.tile)
                    with m.If(self.connection_last):
                        next_block()

    def claims(self) -> None:
        """What is said of each header and step: its place in the loops, and the formulas."""
        bench, m, values, loops = self.bench, self.bench.module, self.values, self.loops
        tile, here = self.work.tile, self.connection
        first = values["base_first"] + tile * self.units + self.pixel_base
        self.base_first = first[:BITS]
        base = (self.base_first + Mux(values["by_set"], loops.set, loops.block))[:BITS]
        block, void, self.other = loops.before(here.delay, values["carry"])
        self.void = void | self.empty
        (source_first, row_first), (source_far, row_far) = self.window_begin, self.in_window()
        # Of the first tile of the window's first pixel; and of the tile in hand.
        self.window_first = (source_first + loops.block)[:BITS], row_first
        source_beyond, row_beyond = self.beyond()
        self.source_here = (source_first + loops.block + source_far + source_beyond)[:BITS]
        ahead = block - loops.block - self.late(here)  # of the span before: of the batch before
        self.source_base = (self.source_here + ahead)[:BITS]
        self.row = (row_first + row_far + row_beyond)[:BITS]
        header, step = self.device.o_headers.payload, self.device.o.payload
        bench.always(~self.begins | (self.due == Due.TASK))
        with m.If(self.device.o_headers.valid):
            bench.always((self.due == Due.HEADER) & (header.tile == tile))
            bench.always((header.base == base) & (header.set == loops.set))
            bench.always((header.head == loops.head) & (header.tail == loops.tail))
            bench.always(header.row == self.firsts(0)[1])
            bench.always(header.last == (loops.at_end & self.last_pixel))
            kept = Mux(self.work.keep, self.pixel_place + loops.set, 0)
            bench.always(header.place == (self.work.place + kept)[: len(header.place)])
        with m.If(self.device.o.valid):
            bench.always((self.due == Due.STEP) & (step.source == self.source))
            bench.always((step.set == loops.set) & (step.tail == loops.tail))
            bench.always((step.base == base) & (step.row == self.row))
            bench.always(self.void | (step.source_base == self.source_base))
            bench.always((step.void == self.void) & (step.other == self.other))
            last = self.source_last & self.last_in_window & self.connection_last
            bench.always(step.last == last)

    def registers(self) -> None:
        """How the registers belong together."""
        bench, m, inside, due, at = self.bench, self.bench.module, self.inside, self.due, self.at
        in_task, tile, here = ~inside.state("IDLE"), self.work.tile, self.connection
        asked, first_at = inside["plane"].asked, self.source == self.source_begin
        bench.always(Value.cast(due) <= Due.STEP.value)
        bench.always((in_task == (due != Due.TASK)) & (~in_task | self.loops.ends_there))
        bench.always(inside.state("STEPS", "CONNECT") == (due == Due.STEP))
        behind = inside.state("HEADER", "CONNECT", "STEPS", *self.finds)
        self.loops.registers(inside.part("order"), inside.state("ADD") | behind)
        with m.If(in_task):
            bench.always(Value.cast(inside["work"]) == Value.cast(self.work))
            bench.always(inside["connection_end"] == self.count - 1)
            bench.always((at < self.count) & (asked < self.count))
            beyond = (self.source - self.source_begin)[:TILES_BITS]
            bench.always(beyond <= (self.source_end - self.source_begin)[:TILES_BITS])
            bench.always(~here.diagonal | first_at)
            bench.always(self.loops.step == self.work.step)
            bench.always(~self.work.step | (self.work.span < self.loops.spans))
        with m.If(~in_task):
            bench.always(asked == 0)
        tile_units, tile_rows, _ = self.strides(asked)
        times = Mux(self.device.connection.diagonal, tile_units, tile_rows)
        with m.If(inside.state("MULTIPLY")):
            bench.always(inside["times"] == times[: len(inside["times"])])
        with m.If(inside.state(*self.prepares)):
            bench.always(self.loops.at_begin & (at == 0) & first_at)
            offset = Mux(self.work.step, self.work.span, 0)
            span = self.loops.spans - 1 - offset if self.loops.reverse else offset
            bench.always(self.loops.span == span)
        with m.If(inside.state("ADD")):
            bench.always(inside["product"] == (tile * times)[:BITS])
            bench.always(inside["tile_bases"] == (tile * self.units)[:BITS])
        with m.If(behind):
            bench.always((asked == at) & (inside["base"] == self.base_first))
        with m.If(inside.state("HEADER", *self.finds)):
            bench.always((at == 0) & first_at)
        with m.If(inside.state("CONNECT")):
            bench.always(first_at)
        with m.If(inside.state("STEPS")):
            bench.always((inside["source"] == self.source) & (inside["row"] == self.row))
            bench.always(inside["source_end"] == self.source_end)
            bench.always(inside["row_step"] == self.strides(at)[2][:BITS])
            bench.always(inside["source_base"] == self.source_here)
            if not self.reverse:
                bench.always(inside["outside"] == (here.delay & self.loops.head))
            bench.always((inside["void"] == self.void) & (inside["other"] == self.other))
        self._firsts(in_task, asked)

    def _firsts(self, in_task, asked) -> None:
        """What was found of each connection, up to the one in hand at a task's begin."""
        bench, m, inside = self.bench, self.bench.module, self.inside
        for n in range(CONNECTIONS):
            spy = inside.module.submodules.firsts.read_port(domain="comb")
            m.d.comb += spy.addr.eq(n)
            source, other = self.firsts(n)
            there = (n < self.count) & (~inside.state(*self.prepares) | (n < asked))
            with m.If(in_task & there):
                bench.always((spy.data.source == source) & (spy.data.other == other))


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
        depth=1,
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
        depth=1,
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
