"""What is read of the table of windows: a connection's rows, and a pixel's entries."""

from amaranth.hdl import Signal, Value
from amaranth.lib import data

from backspike.gen.core.layout import CONNECTION_BITS, CONNECTIONS
from backspike.gen.core.shared.window import ENTRY, FIND_CYCLES, READ_CYCLES, STRIDES, TABLE_BITS
from backspike.gen.memory.rows import READ_LATENCY
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS
from backspike.sim.proofs.proof import Bug, Load, Proof
from backspike.sim.proofs.windows import WINDOW

ENTRIES = 4
"""Bits of the table's addresses."""


class FollowedRow:
    """The table, of which one row is followed. All others are arbitrary, whenever they come."""

    def __init__(self, bench: Bench, table, name: str):
        self.address = bench.constant(ENTRIES, f"{name}_address")
        self.word = bench.constant(TABLE_BITS, f"{name}_word")
        self.asked = [table.addr == self.address]
        """In this cycle, in the one before, and so on up to READ_LATENCY cycles ago."""
        for n in range(READ_LATENCY):
            self.asked.append(bench.past(self.asked[-1], f"{name}_asked{n}"))
        bench.given(~self.asked[-1] | (table.data == self.word))

    def at(self, place) -> Value:
        """It lies there."""
        return place[:ENTRIES] == self.address


def _asked(bench: Bench, device) -> tuple[Value, Value]:
    """A connection that the solver chooses, and whether the component reads the table for it."""
    followed = bench.constant(CONNECTION_BITS, "followed")
    return followed, device.busy & (device.index == followed)


def strides(load: Load) -> Bench:
    """A connection, and a row of the table, that the solver chooses are followed.

    Connections are asked for when they like, also while another is being read, which is given up.
    """
    bench = Bench()
    inside = bench.device(load(WINDOW).Strides(entries=ENTRIES), "strides")
    device, m, phase = inside.component, bench.module, inside["phase"]
    row = FollowedRow(bench, device.table, "row")
    followed, reads = _asked(bench, device)
    started = bench.past(device.start, "started")
    for name in ("index", "place"):
        value = getattr(device, name)
        bench.given(~device.busy | started | (value == bench.past(value, f"{name}_before")))
    known, place = Signal(name="known"), Signal(ENTRIES, name="place_read")
    with m.If(reads):
        m.d.sync += [known.eq(device.done & ~device.start), place.eq(device.place)]
    with m.If(device.busy):
        bench.always(phase < READ_CYCLES)
        bench.always(~started | (phase == 0))
        for n in range(1, READ_LATENCY + 1):
            there = row.at(device.place + phase - n)
            bench.always(started | (phase < n) | (row.asked[n] == there))
    for n, (name, _) in enumerate(STRIDES):
        spy = inside.module.submodules[str(name)].read_port(domain="comb")
        m.d.comb += spy.addr.eq(followed)
        word = row.word[: len(spy.data)]
        with m.If(reads & ~started & row.at(device.place + n) & (phase > n + READ_LATENCY)):
            bench.always(spy.data == word)
        with m.If(known & ~reads & row.at(place + n)):
            bench.always(spy.data == word)
            kept = Value.cast(device.o[name])
            bench.always((device.index != followed) | (kept == word))
    bench.possible(known & (device.index == followed) & ~device.busy & row.at(place + 3))
    return bench


def spots(load: Load) -> Bench:
    """A connection, a row's entry and a column's that the solver chooses are followed.

    Pixels come when they like, of which only those that have these entries are looked at.
    """
    bench = Bench()
    module = load(WINDOW)
    inside = bench.device(module.Spots(sources=BITS, others=BITS, entries=ENTRIES), "spots")
    device, m, phase = inside.component, bench.module, inside["phase"]
    rows, columns = (FollowedRow(bench, device.table, name) for name in ("row", "column"))
    bench.given((rows.address != columns.address) | (rows.word == columns.word))
    row, column = (data.View(ENTRY, followed.word[: ENTRY.size]) for followed in (rows, columns))
    followed, reads = _asked(bench, device)
    count = bench.constant(CONNECTION_BITS + 1, "count")
    bench.given((count != 0) & (count <= CONNECTIONS))
    m.d.comb += device.connections.eq(count)
    # What belongs to the connection that is asked for, and to the pixel.
    stays = {"x": device.x, "y": device.y, "first": device.first, "others": device.others}
    begins = bench.past(device.start | (phase == FIND_CYCLES - 1), "begins")
    for name, value in stays.items():
        value = Value.cast(value)
        bench.given(~device.busy | begins | (value == bench.past(value, f"{name}_before")))
    y_place = device.others.y_entries + device.y
    x_place = device.others.x_entries + device.x
    known, ours, complete = (Signal(name=name) for name in ("known", "ours", "complete"))
    first = Signal(device.first.shape(), name="first_read")
    with m.If(reads):
        m.d.sync += [
            known.eq(phase == FIND_CYCLES - 1),
            ours.eq(rows.at(y_place) & columns.at(x_place)),
            Value.cast(first).eq(Value.cast(device.first)),
        ]
    with m.If(device.done):
        m.d.sync += complete.eq(1)
    with m.If(device.start):
        m.d.sync += [known.eq(0), complete.eq(0)]
    bench.always(~complete | (~device.busy & (known == (followed < count))))
    with m.If(device.busy):
        bench.always((device.index < count) & (known == (followed < device.index)))
        for at, place, entry in ((0, y_place, rows), (1, x_place, columns)):
            for n in range(1, READ_LATENCY + 1):
                bench.always((phase != at + n) | (entry.asked[n] == entry.at(place)))
        kept = Value.cast(inside["row"])
        there = (phase == FIND_CYCLES - 1) & rows.at(y_place)
        bench.always(~there | (kept == Value.cast(row)))
    spy = inside.module.submodules.spots.read_port(domain="comb")
    m.d.comb += spy.addr.eq(followed)
    found = Signal(spy.data.shape(), name="found")
    m.d.comb += [
        found.source.eq(first.source + row.source + column.source),
        found.other.eq(first.other + row.other + column.other),
        found.height.eq(row.count),
        found.width.eq(column.count),
    ]
    with m.If(known & ~reads & ours):
        bench.always(Value.cast(spy.data) == Value.cast(found))
        bench.always((device.asked != followed) | (Value.cast(device.o) == Value.cast(found)))
    return bench
    later = known & complete & ours & (device.asked == followed)
    bench.possible(later & (followed == 1) & (row.count == 2) & (column.count == 3))
    return bench


PROOFS = (
    Proof(
        name="strides",
        claim="a connection has what the table has of it, from when it was read until it is again",
        bench=strides,
        depth=2,
        search=14,
        bugs=(
            Bug(
                "what comes is a row further on",
                WINDOW,
                "phase == n + READ_LATENCY",
                "phase == n + READ_LATENCY + 1",
            ),
            Bug(
                "to read is over when the last row is asked for",
                WINDOW,
                "READ_CYCLES = ROWS + READ_LATENCY",
                "READ_CYCLES = ROWS + 1",
            ),
        ),
    ),
    Proof(
        name="spots",
        claim="every connection's window is the sum of where it begins and of the pixel's two "
        "entries, with the size that these have",
        bench=spots,
        depth=2,
        search=16,
        bugs=(
            Bug(
                "the window of a column lies where that of the row lies",
                WINDOW,
                "self.others.x_entries + self.x",
                "self.others.x_entries + self.y",
            ),
            Bug(
                "a window begins at the plane's first row",
                WINDOW,
                "self.first.source + row.source + entry.source",
                "self.first.source + entry.source",
            ),
            Bug(
                "the row's entry is taken a cycle too soon",
                WINDOW,
                "with m.If(phase == READ_LATENCY):",
                "with m.If(phase == READ_LATENCY - 1):",
            ),
        ),
    ),
)
