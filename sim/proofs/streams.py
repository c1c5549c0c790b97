"""Streams between a memory and its reader, and what cuts a stream."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import enum

from backspike.sim.proofs.bench import Bench, MemorySpy
from backspike.sim.proofs.proof import Bug, Load, Proof

WIDTH = 2
"""Bits of what is carried along. Components that do not look at it treat each bit alike."""


class Place(enum.Enum, shape=2):
    """Where the row that a proof follows is."""

    NONE = 0
    FLIGHT = 1
    STORED = 2
    PIPE = 3


def pipe(load: Load) -> Bench:
    """A memory's own two registers as a stream: any one request's row arrives, in its turn."""
    bench = Bench()
    module = load("memory.prefetch")
    inside = bench.device(module.ReadPipe(address_width=WIDTH, row_width=WIDTH, tag_width=WIDTH))
    device, m = inside.component, bench.module
    # The memory holds `row` at `spot`, and elsewhere what it likes; its registers obey `en`.
    spot, row = bench.constant(WIDTH, "spot"), bench.constant(WIDTH, "row")
    asked, held = Signal(WIDTH, name="asked"), Signal(WIDTH, name="held")
    with m.If(device.en[0]):
        m.d.sync += asked.eq(device.address)
    with m.If(device.en[1]):
        m.d.sync += held.eq(asked)
    stood = bench.past(~device.en[1], "stood")
    bench.given(~stood | (device.row == bench.past(device.row, "row_before")))
    begun = bench.past(1, "begun")
    bench.given((held != spot) | (device.row == row) | ~begun)

    bench.kept(device.o)
    came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
    inside_now = bench.count(came, left, 2, "inside")
    first, second = inside["valid0"], inside["valid1"]
    bench.always(inside_now == first + second)

    chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
    tag, ahead = Signal(WIDTH, name="tag"), Signal(range(3), name="ahead")
    deep = Signal(name="deep")  # it is in the second register
    with m.If(~followed & chosen & came & (device.i.payload.address == spot)):
        m.d.sync += [
            followed.eq(1),
            tag.eq(device.i.payload.tag),
            ahead.eq(inside_now - left),
            deep.eq(0),
        ]
    with m.If(followed):
        with m.If(~deep):
            bench.always(first & (asked == spot) & (inside["tag0"] == tag) & (ahead == second))
            m.d.sync += deep.eq(device.en[1])
        with m.Else():
            bench.always(second & (held == spot) & (inside["tag1"] == tag) & (ahead == 0))
        m.d.sync += ahead.eq(ahead - (left & (ahead != 0)))
        with m.If(left & (ahead == 0)):
            m.d.sync += followed.eq(0)
            bench.always((device.o.payload.tag == tag) & (~begun | (device.o.payload.row == row)))
    bench.possible(followed & left & (ahead == 0) & (tag == 3) & (row == 2) & (spot == 1))
    return bench


def prefetch(load: Load) -> Bench:
    """Rows of a shared port, with credits: any one request's row arrives, in its turn."""
    bench = Bench()
    depth = 8
    module = load("memory.prefetch")
    inside = bench.device(
        module.Prefetch(
            address_width=WIDTH, row_width=WIDTH, tag_width=WIDTH, latency=1, depth=depth
        )
    )
    device, m = inside.component, bench.module
    bench.kept(device.o)
    came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
    bench.always(came == (device.valid & device.grant))
    wanted = bench.count(came, left, depth, "inside")

    pipe_inside, buffer = inside.part("pipe"), inside.part("buffer")
    memory = MemorySpy(bench, buffer)
    write, read, flying = inside["write"], inside["read"], inside["present0"]
    first, second = pipe_inside["valid0"], pipe_inside["valid1"]
    stored = Signal.like(write, name="stored")
    m.d.comb += stored.eq(write - read)
    bench.always((stored <= depth) & (inside["wanted"] == wanted))
    bench.always(wanted == stored + first + second + flying)
    # The buffer lets a row that is being written be read, as long as nobody wants it.
    loads = pipe_inside.component.i.valid & pipe_inside.component.i.ready
    same = buffer.component.write.addr == buffer.component.read0.addr
    bench.always(~(loads & buffer.component.write.en & same))

    chosen, place = bench.free(Signal(name="chosen")), Signal(Place)
    tag, row = Signal(WIDTH, name="tag"), Signal(WIDTH, name="row")
    slot, ahead = Signal.like(write, name="slot"), Signal(range(depth + 1), name="ahead")
    deep = Signal(name="deep")
    with m.If(place != Place.NONE):
        m.d.sync += ahead.eq(ahead - (left & (ahead != 0)))
    with m.If((place == Place.NONE) & chosen & came):
        m.d.sync += [
            place.eq(Place.FLIGHT),
            tag.eq(device.i.payload.tag),
            ahead.eq(wanted - left),
        ]
    ours = Cat(row, tag)
    with m.If(place == Place.FLIGHT):
        bench.always(flying & (inside["tag0"] == tag) & (ahead + 1 == wanted))
        m.d.sync += [place.eq(Place.STORED), row.eq(device.row), slot.eq(write)]
    with m.If(place == Place.STORED):
        before = Signal.like(write, name="before")
        m.d.comb += before.eq(slot - read)
        bench.always((before < stored) & (ahead == before + first + second))
        bench.always(memory.word(slot[:-1]) == ours)
        with m.If(loads & (before == 0)):
            m.d.sync += [place.eq(Place.PIPE), deep.eq(0)]
    with m.If(place == Place.PIPE):
        with m.If(~deep):
            bench.always(first & (ahead == second) & (memory.register == ours))
            m.d.sync += deep.eq(pipe_inside.component.en[1])
        with m.Else():
            bench.always(second & (ahead == 0) & (Value.cast(device.o.payload) == ours))
        with m.If(left & (ahead == 0)):
            bench.always((device.o.payload.tag == tag) & (device.o.payload.row == row))
            m.d.sync += place.eq(Place.NONE)
    with m.If(left & (place != Place.NONE) & (ahead == 0)):
        bench.always(place == Place.PIPE)
    bench.possible((place == Place.STORED) & (ahead == depth - 1) & (read != 0))
    bench.possible((place == Place.PIPE) & left & (tag == 3) & (row == 2))
    return bench


def register_slice(load: Load) -> Bench:
    """Two registers as a stream: any one payload comes out once, in its turn, and stays."""
    bench = Bench()
    inside = bench.device(load("memory.elastic").RegisterSlice(WIDTH))
    device, m = inside.component, bench.module
    bench.kept(device.o)
    came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
    held = bench.count(came, left, 2, "inside")
    bench.always(held == device.o.valid + inside["waits"])
    bench.always(device.o.valid | ~inside["waits"])
    chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
    word, ahead = Signal(WIDTH, name="word"), Signal(range(3), name="ahead")
    with m.If(~followed & chosen & came):
        m.d.sync += [followed.eq(1), word.eq(device.i.payload), ahead.eq(held - left)]
    with m.If(followed):
        bench.always(ahead < held)
        with m.If(ahead == 0):
            bench.always(device.o.payload == word)
        with m.Else():
            bench.always(inside["second"] == word)
        with m.If(left):
            m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]
    bench.possible(followed & left & (ahead == 0) & (word == 2) & inside["waits"])
    bench.possible(followed & (ahead == 1) & left)
    return bench


def ping_pong(load: Load) -> Bench:
    """Two registers in turn as a stream: any one payload comes out once, in its turn, and stays."""
    bench = Bench()
    inside = bench.device(load("memory.elastic").TwoEntryFIFO(WIDTH))
    device, m = inside.component, bench.module
    bench.kept(device.o)
    came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
    held = bench.count(came, left, 2, "inside")
    write, read = inside["write"], inside["read"]
    bench.always(held == (write - read)[:2])
    chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
    word, place = Signal(WIDTH, name="word"), Signal(2, name="place")
    with m.If(~followed & chosen & came):
        m.d.sync += [followed.eq(1), word.eq(device.i.payload), place.eq(write)]
    with m.If(followed):
        bench.always((place - read)[:2] < held)
        bench.always(Mux(place[0], inside["place1"], inside["place0"]) == word)
        with m.If(place == read):
            bench.always(device.o.payload == word)
            with m.If(left):
                m.d.sync += followed.eq(0)
    bench.possible(followed & left & (place == read) & (word == 2) & (held == 2))
    bench.possible(followed & (place != read) & left)
    return bench


PROOFS = (
    Proof(
        name="read-pipe",
        claim="a stalling read port: each request's row comes once, in order, and stays till taken",
        bench=pipe,
        depth=3,
        search=8,
        bugs=(
            Bug(
                "the last register moves on although its row was not taken",
                "memory.prefetch",
                "move.eq(~valid | self.o.ready)",
                "move.eq(1)",
            ),
            Bug(
                "a request is taken although nothing moves",
                "memory.prefetch",
                "self.i.ready.eq(move)",
                "self.i.ready.eq(1)",
            ),
        ),
    ),
    Proof(
        name="prefetch",
        claim="reads of a shared port: each request's row comes once, in order, and stays; no row "
        "of the buffer is wanted in the cycle that writes it",
        bench=prefetch,
        depth=3,
        search=14,
        bugs=(
            Bug(
                "requests go out without room for their rows",
                "memory.prefetch",
                "room = ~wanted[-1]",
                "room = ~(wanted[-1] & wanted[0])",
            ),
            Bug(
                "a row is read in the cycle that writes it",
                "memory.prefetch",
                "pipe.i.valid.eq(write != read)",
                "pipe.i.valid.eq((write != read) | store)",
            ),
        ),
    ),
    Proof(
        name="register-slice",
        claim="a cut in a stream: each payload comes once, in order, and stays till taken",
        bench=register_slice,
        depth=2,
        search=6,
        bugs=(
            Bug(
                "what waits is overwritten",
                "memory.elastic",
                "self.i.ready.eq(~waits)",
                "self.i.ready.eq(1)",
            ),
            Bug(
                "the first register moves on although it was not taken",
                "memory.elastic",
                "m.If(~valid | self.o.ready)",
                "m.If(~waits | self.o.ready)",
            ),
        ),
    ),
    Proof(
        name="ping-pong",
        claim="two registers in turn: each payload comes once, in order, and stays till taken",
        bench=ping_pong,
        depth=2,
        search=6,
        bugs=(
            Bug(
                "a full place is written",
                "memory.elastic",
                "m.If((write[0] == n) & self.i.ready)",
                "m.If(write[0] == n)",
            ),
            Bug(
                "what was not taken is passed by",
                "memory.elastic",
                "m.If(self.o.valid & self.o.ready)",
                "m.If(self.o.valid)",
            ),
        ),
    ),
)
