"""What is read of the table of windows: a connection's rows, and a pixel's entries."""

import functools
from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from backspike.gen.core.layout import CONNECTION_BITS, CONNECTIONS
from backspike.gen.core.shared.window import (
    ENTRY,
    FIND_CYCLES,
    READ_CYCLES,
    STRIDES,
    TABLE_BITS,
    spot_layout,
)
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
    spy = inside.module.submodules.kept.read_port(domain="comb")
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


def chosen(index, values: Sequence) -> Value:
    """The value of that number."""
    found = [Value.cast(value) for value in values]
    if isinstance(index, int):
        return found[index]
    others = range(1, len(found))
    return functools.reduce(lambda other, n: Mux(index == n, found[n], other), others, found[0])


def left_out(load: Load, module) -> None:
    """Gives a module that reads the table components of which only the ports are there: a bench
    drives them, see `AnyStrides` and `AnySpots`."""
    window = load(WINDOW)
    module.Window = window.Window
    for name in ("Strides", "Spots"):
        empty = {"elaborate": lambda self, platform: Module()}
        setattr(module, name, type(name, (getattr(window, name),), empty))


def share(bench: Bench, table, strides, spots) -> None:
    """Claims that both have the design's table, one at a time."""
    bench.always(~strides.busy | ~spots.busy)
    for ports in (strides, spots):
        asked, told = table.addr == ports.table.addr, table.data == ports.table.data
        bench.always(~ports.busy | (asked & told))


class AnyStrides:
    """What `Strides` does, of which `strides` is the proof: in a time of its own it finds what the
    table has of a connection. Of others, or before, it says anything.

    ports: those in the design; table: the design's; forget: nothing that was read before is used
    from here on; rows: what the table has of each connection, where its record says.
    """

    def __init__(self, bench: Bench, ports, rows, place, forget):
        m, self.ports = bench.module, ports
        self.busy = busy = Signal(name="strides_busy")
        self.read = [Signal(name=f"read{n}") for n in range(len(rows))]
        ends = bench.free(Signal(name="strides_end"))
        anything = bench.free(Signal(STRIDES.size, name="any_strides"))
        known = Value.cast(chosen(ports.index, self.read)) & (ports.index < len(rows))
        bench.free(ports.table.addr)
        m.d.comb += [
            ports.busy.eq(busy),
            ports.done.eq(busy & ends),
            Value.cast(ports.o).eq(Mux(known, chosen(ports.index, rows), anything)),
        ]
        with m.If(busy):
            m.d.sync += busy.eq(~ports.done)
        with m.If(ports.start):
            m.d.sync += busy.eq(1)
        for n, read in enumerate(self.read):
            with m.If(busy & (ports.index == n)):
                m.d.sync += read.eq(ports.done)
            with m.If(forget):
                m.d.sync += read.eq(0)
        bench.always(~ports.start | ~busy)
        first = bench.past(ports.start, "strides_first")
        before = bench.past(ports.index, "strides_index")
        bench.always(~busy | first | (ports.index == before))
        bench.always(~busy | (ports.place == place(ports.index)))


class AnySpots:
    """What `Spots` does, of which `spots` is the proof: in a time of its own it finds the windows
    of a pixel, whose entries are any, one connection after the other. Before it says anything.

    ports: those in the design; count: connections; forget: what was found is not used any more.
    """

    def __init__(self, bench: Bench, ports, count, most: int, forget):
        m, self.ports = bench.module, ports
        self.busy, self.complete = Signal(name="spots_busy"), Signal(name="spots_complete")
        self.index = index = Signal(CONNECTION_BITS, name="spots_index")
        layout = spot_layout(BITS, BITS)
        self.entries = [Signal(layout, name=f"entries{n}") for n in range(most)]
        """Sums of a row's and a column's entry, of each connection."""
        drawn = bench.free(Signal(layout.size, name="drawn"))
        ends, self.count = bench.free(Signal(name="spots_end")), count
        bench.free(ports.table.addr)
        m.d.comb += [
            ports.busy.eq(self.busy),
            ports.index.eq(index),
            ports.done.eq(self.busy & ends & (index == count - 1)),
        ]
        with m.If(self.busy & ends):
            m.d.sync += index.eq(index + 1)
            for n, entries in enumerate(self.entries):
                with m.If(index == n):
                    m.d.sync += Value.cast(entries).eq(drawn)
        with m.If(ports.done):
            m.d.sync += [self.busy.eq(0), self.complete.eq(1)]
        with m.If(forget):
            m.d.sync += self.complete.eq(0)
        with m.If(ports.start):
            m.d.sync += [self.busy.eq(1), self.complete.eq(0), index.eq(0)]
        bench.always(~ports.start | ~self.busy)
        bench.always(~self.busy | (~self.complete & (index < count)))
        self._anything = bench.free(Signal(layout.size, name="any_spot"))

    def answer(self, bench: Bench, spots) -> None:
        """spots: the window of each connection, out of its entries."""
        ports = self.ports
        known = self.complete & (ports.asked < self.count)
        found = Mux(known, chosen(ports.asked, spots), self._anything)
        bench.module.d.comb += Value.cast(ports.o).eq(found)


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
