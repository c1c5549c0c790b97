"""The scanning of bit matrices: tiles to lines, lines to events, and their queues."""

from amaranth.hdl import Array, Cat, Mux, Signal, Value

from backspike.gen.core.shared.events import AHEAD
from backspike.sim.proofs.bench import Bench, Spy
from backspike.sim.proofs.proof import Bug, Load, Proof

WIDTH = 2
"""Bits of a tag. What is only carried is treated alike, bit by bit."""
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
    inside = bench.device(
        load("core.shared.events").RowCompactor(lines=LINES, length=LENGTH, tag_width=WIDTH)
    )
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
    in_work = Mux(inside["work_valid"], ones(inside["work_lines"]) + (inside["work_lines"] == 0), 0)
    in_wait = Mux(inside["waiting_valid"], due(inside["waiting_lines"], waiting.last), 0)
    bench.always(owed == device.o.valid + in_work + in_wait)
    with m.If(inside["waiting_valid"]):
        bench.always(inside["waiting_lines"] == filled(Value.cast(waiting.tile)))
    with m.If(inside["work_valid"]):
        bench.always((inside["work_lines"] & ~filled(Value.cast(work.tile))) == 0)
        bench.always(inside["work_lines"].any() | (work.last & ~Value.cast(work.tile).any()))
        bench.always(inside["last_line"] == (ones(inside["work_lines"]) <= 1))
    wanted = inside["waiting_lines"].any() | waiting.last
    bench.always(~inside["waiting_empty"] | (inside["waiting_valid"] & ~wanted))

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
        waits = (
            inside["waiting_valid"] & (before == device.o.valid + in_work) & (rest == filled(tile))
        )
        works = inside["work_valid"] & (Value.cast(work) == ours)
        begun = works & (before == device.o.valid) & (inside["work_lines"] == rest)
        after = works & (inside["work_lines"] == (rest & (rest - 1)[:LINES]))
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
    module = load("core.shared.events")
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
    inside = bench.device(
        load("core.shared.events").SpikeScanner(lines=LINES, length=BITS, tag_width=WIDTH)
    )
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


SCAN = "core.shared.events"
PROOFS = (
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
                "self.i.ready.eq(~waiting_valid | waiting_empty | done)",
                "self.i.ready.eq(~waiting_valid | waiting_empty | self.room)",
            ),
            Bug(
                "an empty tile that ends a sum is left out",
                SCAN,
                "wanted = waiting_lines.any() | waiting.last",
                "wanted = waiting_lines.any()",
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
        bugs=(
            Bug(
                "an empty line is announced",
                SCAN,
                "lines.w_en.eq(picker.o.valid & picked.some)",
                "lines.w_en.eq(picker.o.valid)",
            ),
            Bug(
                "lines come when there is no place left for those on their way",
                SCAN,
                "MARGIN = 4",
                "MARGIN = 1",
            ),
        ),
    ),
)
