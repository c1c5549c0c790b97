"""Streams between a memory and its reader, and the scanning of bit matrices."""

from amaranth.hdl import Array, Cat, Mux, Signal, Value
from amaranth.lib import enum

from backspike.gen.core.scanner import AHEAD
from backspike.sim.proofs.bench import Bench, MemorySpy, Spy
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
    module.elastic = load("memory.elastic").elastic
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


LINES, LENGTH, BITS = 4, 2, 8
"""Of the tiles that the picker's proof uses, and of the lines that the emitter's does."""


def ones(bits: Value) -> Value:
    """How many bits are set."""
    return sum((bit for bit in bits), start=Value.cast(0))


def lowest(bits: Value) -> Value:
    """Index of the lowest bit that is set; 0 if none is."""
    found: Value = Value.cast(0)
    for n in reversed(range(len(bits))):
        found = Mux(bits[n], n, found)
    return found


def picker(load: Load) -> Bench:
    """Any one tile's lines come out, each once, lowest first, the empty ones left out."""
    bench = Bench()
    inside = bench.device(load("core.scan").LinePicker(lines=LINES, length=LENGTH, tag_width=WIDTH))
    device, m = inside.component, bench.module
    came, left = device.i.valid & device.i.ready, device.o.valid
    arriving = Value.cast(device.i.payload.tile)

    def filled(tile: Value) -> Value:
        return Cat(tile.word_select(x, LENGTH).any() for x in range(LINES))

    def due(lines: Value, last: Value) -> Value:
        """Lines that a tile gives: one, empty, if it is empty but ends a sum."""
        return ones(lines) + (last & ~lines.any())

    # Lines that the tiles inside still owe.
    most = 2 * LINES + 1
    owed = Signal(range(most + 1), name="owed")
    entering = Mux(came, due(filled(arriving), device.i.payload.last), 0)
    m.d.sync += owed.eq(owed + entering - left)
    bench.always(owed <= most)
    bench.always(~device.o.valid | (owed != 0))
    waiting, work = inside["waiting"], inside["work"]
    in_work = Mux(inside["busy"], ones(inside["left"]) + (inside["left"] == 0), 0)
    in_wait = Mux(inside["ahead"], due(inside["coming"], waiting.last), 0)
    bench.always(owed == device.o.valid + in_work + in_wait)
    with m.If(inside["ahead"]):
        bench.always(inside["coming"] == filled(Value.cast(waiting.tile)))
    with m.If(inside["busy"]):
        bench.always((inside["left"] & ~filled(Value.cast(work.tile))) == 0)
        bench.always(inside["left"].any() | (work.last & ~Value.cast(work.tile).any()))
        bench.always(inside["final"] == (ones(inside["left"]) <= 1))
    wanted = inside["coming"].any() | waiting.last
    bench.always(~inside["useless"] | (inside["ahead"] & ~wanted))

    chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
    tile, rest = Signal(LINES * LENGTH, name="tile"), Signal(LINES, name="rest")
    tag, last = Signal(WIDTH, name="tag"), Signal(name="last")
    before = Signal.like(owed, name="before")
    with m.If(~followed & chosen & came & (entering != 0)):
        m.d.sync += [
            followed.eq(1),
            tile.eq(arriving),
            rest.eq(filled(arriving)),
            tag.eq(device.i.payload.tag),
            last.eq(device.i.payload.last),
            before.eq(owed - left),
        ]
    line = device.o.payload
    with m.If(followed):
        with m.If((before == 0) & device.o.valid):
            bench.always((line.some == rest.any()) & ((line.x == lowest(rest)) | ~line.some))
            words = Array(tile.word_select(x, LENGTH) for x in range(LINES))
            bench.always(line.word == Mux(rest.any(), words[line.x], 0))
            bench.always((line.tag == tag) & (line.last == (last & (ones(rest) <= 1))))
        with m.If(left):
            m.d.sync += before.eq(before - (before != 0))
            with m.If(before == 0):
                m.d.sync += rest.eq(rest & (rest - 1))
                with m.If(ones(rest) <= 1):
                    m.d.sync += followed.eq(0)
        # It waits, is in work, or its lines leave one by one.
        ours = Cat(tile, tag, last)
        waits = inside["ahead"] & (before == device.o.valid + in_work) & (rest == filled(tile))
        works = inside["busy"] & (Value.cast(work) == ours)
        begun = works & (before == device.o.valid) & (inside["left"] == rest)
        after = works & (inside["left"] == (rest & (rest - 1)[:LINES]))
        bench.always(
            (waits & (Value.cast(waiting) == ours))
            | begun
            | (device.o.valid & (before == 0) & ((ones(rest) <= 1) | after))
        )
        bench.always((rest & ~filled(tile)) == 0)
        bench.always(rest.any() | (last & ~tile.any()))
    bench.possible(followed & left & (before == 0) & (rest == 0))
    bench.possible(followed & left & (before == 0) & (rest == 0b1000) & tile[:2].any())
    return bench


def emitter(load: Load) -> Bench:
    """Each line's bits become events, each once, lowest first."""
    bench = Bench()
    module = load("core.scan")
    inside = bench.device(module.EventEmitter(lines=2, length=BITS, tag_width=WIDTH))
    device, m = inside.component, bench.module
    bench.kept(device.o)
    came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
    line = Signal(device.i.payload.shape(), name="line")
    rest, owes = Signal(BITS, name="rest"), Signal(name="owes")
    first = Signal(name="first")
    event = device.o.payload
    bench.always(device.o.valid == owes)
    with m.If(owes):
        bench.always(event.hit == rest.any())
        bench.always((event.i == lowest(rest)) | ~rest.any())
        bench.always((event.x == line.x) & (event.tag == line.tag) & (event.first == first))
        bench.always(event.end == (line.last & (ones(rest) <= 1)))
        bench.always((Value.cast(inside["line"]) == Value.cast(line)) & (inside["word"] == rest))
        bench.always(inside["final"] == (ones(rest) <= 1))
    with m.If(left):
        m.d.sync += [rest.eq(rest & (rest - 1)), first.eq(0), owes.eq(ones(rest) > 1)]
    with m.If(came):
        bench.always(~owes | (left & (ones(rest) <= 1)))  # the line before has left
        m.d.sync += [line.eq(device.i.payload), rest.eq(device.i.payload.word)]
        m.d.sync += [first.eq(1), owes.eq(1)]
    bench.possible(left & (event.i == 3) & event.end & ~first)
    bench.possible(left & ~event.hit)
    return bench


def scan(load: Load) -> Bench:
    """No line is lost: there is room in both queues for each that comes."""
    bench = Bench()
    inside = bench.device(load("core.scanner").Scan(lines=LINES, length=BITS, tag_width=WIDTH))
    device = inside.component
    bench.kept(device.o_lines)
    picker = inside.module.submodules.picker
    picked, room = picker.o, picker.room
    lines, ahead = (inside.part(name).component for name in ("lines", "ahead"))
    # A line comes two cycles after there was room at the earliest, and it is queued at once.
    before = bench.past(room, "before")
    bench.always(~picked.valid | before)
    for name, queue in (("lines", lines), ("ahead", ahead)):
        Spy(bench, inside.part(name))
        bench.always(queue.level + picked.valid + room <= AHEAD)
        bench.always(~queue.w_en | queue.w_rdy)
    bench.always(ahead.w_en == picked.valid)
    bench.always(lines.w_en == (picked.valid & picked.payload.some))
    with bench.module.If(picked.valid):
        bench.always(ahead.w_data == Value.cast(picked.payload))
        bench.always(lines.w_data == Cat(picked.payload.x, picked.payload.tag))
    events = inside.module.submodules.emitter.i
    bench.always(events.valid == ahead.r_rdy)
    bench.always(Value.cast(events.payload) == ahead.r_data)
    bench.always((ahead.r_en & ahead.r_rdy) == (events.valid & events.ready))
    bench.always(device.o_lines.valid == lines.r_rdy)
    bench.always(Value.cast(device.o_lines.payload) == lines.r_data)
    bench.always((lines.r_en & lines.r_rdy) == (device.o_lines.valid & device.o_lines.ready))
    bench.possible(picked.valid & (lines.level == 2) & (ahead.level == 3))
    bench.possible(ahead.w_en & ~lines.w_en)
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
    inside = bench.device(load("memory.elastic").PingPong(WIDTH))
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


SCAN = "core.scan"
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
                "memory.elastic",
                "(ready if n == stages - 1 else moves[n + 1])",
                "(1 if n == stages - 1 else moves[n + 1])",
            ),
            Bug(
                "a request is taken although the first register is full",
                "memory.prefetch",
                "self.i.ready.eq(moves[0])",
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
        name="line-picker",
        claim="every line of a tile that is not empty comes once, in order, with its own tag",
        bench=picker,
        depth=3,
        search=10,
        bugs=(
            Bug(
                "a waiting tile is overwritten",
                SCAN,
                "self.i.ready.eq(~ahead | useless | done)",
                "self.i.ready.eq(~ahead | useless | self.room)",
            ),
            Bug(
                "an empty tile that ends a sum is left out",
                SCAN,
                "wanted = coming.any() | waiting.last",
                "wanted = coming.any()",
            ),
        ),
    ),
    Proof(
        name="event-emitter",
        claim="every bit of a line becomes one event, in order; the last of a sum says so",
        bench=emitter,
        depth=2,
        search=8,
        bugs=(
            Bug(
                "a line's last bit is lost",
                SCAN,
                "load.eq(~busy | (self.o.ready & final))",
                "load.eq(~busy | (self.o.ready & ((rest & (rest - 1)) == 0)))",
            ),
            Bug(
                "bits are taken off before they are taken",
                SCAN,
                "step.eq(~busy | self.o.ready)",
                "step.eq(1)",
            ),
        ),
    ),
    Proof(
        name="scan",
        claim="every line is queued, and announced if it is not empty: both queues have room",
        bench=scan,
        depth=3,
        search=24,
        long=True,
        bugs=(
            Bug(
                "an empty line is announced",
                "core.scanner",
                "lines.w_en.eq(picker.o.valid & picked.some)",
                "lines.w_en.eq(picker.o.valid)",
            ),
            Bug(
                "lines come when there is no place left for those on their way",
                "core.scanner",
                "MARGIN = 4",
                "MARGIN = 1",
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
