"""Counters of a run: what each engine did, and what a perfect one would have needed."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from backspike.gen.core.shared.drain import later
from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.memory.window import RowWindow
from backspike.ir.constants import ENGINES

COUNTERS = {
    "busy": "cycles with a task in work",
    "events": "events added, one a cycle",
    "bound": "cycles that a perfect engine needs",
    "token": "idle cycles, waiting for another engine",
    "vector": "busy cycles without the next line's vector",
    "drain": "busy cycles in which a finished sum waits for the drain",
    "port": "cycles in which the weights' port was refused",
}
"""Each engine's counters, in the order of their words."""
CONDITIONS = {
    "working": "busy",
    "event": "events",
    "stuck": "token",
    "starved": "vector",
    "blocked": "drain",
    "refused": "port",
}
"""Inputs of each engine, high in the cycles to count, and the counters."""
WORDS = {
    **{
        f"{name}_{counter}": 8 * n + k
        for n, name in enumerate(ENGINES)
        for k, counter in enumerate(COUNTERS)
    },
    "cycles": 8 * len(ENGINES),
    "overlap": 8 * len(ENGINES) + 1,
}
"""Where the host finds each counter: words of the window."""

DEPTH = 32
"""Words of the window, to a power of two."""
SLOTS = max(WORDS.values()) + 1
"""A word's turn comes every SLOTS cycles."""
SMALL = 5
"""Bits of a small counter, which goes through 31 states: more than SLOTS."""


def following(state: Value) -> Value:
    """The next state of a small counter: a shift register with feedback, for it takes one LUT."""
    return Cat(~(state[4] ^ state[2]), state[:4])


def states() -> list[int]:
    """The states in their order, from 0 on: the 31 that are not all ones."""
    found = [0]
    while len(found) < 31:
        state = found[-1]
        found.append((~(state >> 4 ^ state >> 2) & 1) | state << 1 & 31)
    return found


SETTLE = (7, 23)
"""Slots of no word: a finished layer's bound is added to wg's in these. They are 4 slots or more
from its own, so that a word is written before it is read again."""
LAYER_PAUSE = max(SETTLE[1] - SETTLE[0], SETTLE[0] + SLOTS - SETTLE[1])
"""Cycles between two layers, at the least: one is settled before the next ends."""


class Counters(wiring.Component):
    """32-bit counters, cleared when a run begins, counting while it lasts.

    They lie in a block RAM. Each condition has a small counter, and the small counters are added to
    their words in turn, one a cycle. So the words are complete at the latest 2 SLOTS + 4 cycles
    after the run's end, or zero SLOTS + 4 cycles after a reset; the host waits that long.

    The bound of fp and bp is the number of events. Of wg it is max(m, 2 n) for each layer, with m
    the events and n the row tiles that are updated (read and written through one port): it is
    counted as 2 n, and, at the end of a layer, what m is more.

    Ports: clear (one cycle), count; inputs NAME_CONDITION (see CONDITIONS), and wg_loaded (a new
    layer begins, LAYER_PAUSE cycles or more after the last, without an event or row in its cycle),
    wg_rows (a row tile is updated); host: the words, see WORDS, read only, answered as by
    `RowWindow`; not to be asked while a run lasts.
    """

    def __init__(self):
        ports = {"clear": In(1), "count": In(1), "wg_loaded": In(1), "wg_rows": In(1)}
        for name in ENGINES:
            ports |= {f"{name}_{condition}": In(1) for condition in CONDITIONS}
        super().__init__(ports | {"host": In(HostBus(exact_log2(DEPTH)))})

    def elaborate(self, platform):
        m = Module()
        slot = Signal(range(SLOTS))
        # A reset is followed by a round, which makes the words zero.
        active = Signal(init=1)  # words have their turns
        fresh = Signal(init=1)  # the first turn of each word replaces what it holds
        last = Signal(init=1)  # nothing was counted since this round began
        wrap = Signal()
        at = Signal(SLOTS, init=1)  # the slot as a bit
        m.d.comb += wrap.eq(at[-1])
        m.d.sync += [slot.eq(Mux(wrap, 0, slot + 1)), at.eq(at.rotate_left(1))]
        with m.If(wrap):
            m.d.sync += [fresh.eq(0), last.eq(1), active.eq(active & ~last)]
        with m.If(self.count):
            m.d.sync += [active.eq(1), last.eq(0)]
        with m.If(self.clear):
            m.d.sync += [slot.eq(0), at.eq(1), active.eq(1), fresh.eq(1), last.eq(0)]

        # The small counters; one starts again when it is its word's turn.
        conditions = {
            f"{name}_{counter}": getattr(self, f"{name}_{condition}")
            for name in ENGINES
            for condition, counter in CONDITIONS.items()
        }
        conditions |= {
            "cycles": Const(1),
            "overlap": self.fp_working | self.bp_working | self.wg_working,
            "wg_bound": self.wg_rows,
        }
        state, one = Const(0, SMALL), Const(0)
        for name, condition in conditions.items():
            small, now, turn = Signal(SMALL, name=name), Signal(), Signal()
            m.d.comb += [turn.eq(at[WORDS[name]]), now.eq(condition & self.count)]
            with m.If(now):
                m.d.sync += small.eq(following(small))
            with m.If(turn | self.clear):
                m.d.sync += small.eq(0)
            state |= small & turn.replicate(SMALL)
            one |= now & turn
        counted, small_sum = Signal(SMALL), Signal(SMALL + 1)
        turned, once, twice = Signal(SMALL), Signal(), Signal()  # a cycle later
        m.d.sync += [turned.eq(state), once.eq(one), twice.eq(at[WORDS["wg_bound"]])]
        with m.Switch(turned):
            for n, value in enumerate(states()):
                with m.Case(value):
                    m.d.comb += counted.eq(n)
        m.d.comb += small_sum.eq(counted + once)
        amount = Mux(twice, small_sum << 1, small_sum)

        # By how much the layer in hand has more events than twice its rows; of a layer before, what
        # has not been added yet.
        more = Signal(signed(WORD))
        surplus = Signal(WORD)
        before, ends, settle = Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(self.wg_loaded | (before & ~self.count)),
            settle.eq(at[SETTLE[0]] | at[SETTLE[1]]),
        ]
        m.d.sync += before.eq(self.count)
        with m.If(self.count):
            step = Cat(self.wg_event, self.wg_rows, self.wg_rows)  # 1, -2, or -1 for both
            m.d.sync += more.eq(more + step.as_signed())
        with m.If(settle):
            m.d.sync += surplus.eq(0)
        with m.If(ends):
            m.d.sync += [more.eq(0), surplus.eq(Mux(more < 0, 0, more))]
        with m.If(self.clear):
            m.d.sync += [more.eq(0), surplus.eq(0)]

        # A word's way: block RAM, register, adder, and back.
        m.submodules.words = words = memory.Memory(
            shape=WORD, depth=DEPTH, init=[], attrs={"no_rw_check": 1, "ram_style": "block"}
        )
        m.submodules.window = window = RowWindow(width=WORD, depth=DEPTH, latency=READ_LATENCY)
        busy = Signal()
        wiring.connect(m, window.host.response, wiring.flipped(self.host.response))
        m.d.comb += [
            window.host.request.payload.eq(self.host.request.payload),
            window.host.request.valid.eq(self.host.request.valid & ~busy),
            self.host.request.ready.eq(window.host.request.ready & ~busy),
        ]
        read, write = words.read_port(), words.write_port()
        address, asked = Signal(range(DEPTH)), Signal(range(DEPTH))
        m.d.comb += [
            address.eq(Mux(settle, WORDS["wg_bound"], slot)),
            asked.eq(window.address),
            read.addr.eq(Mux(busy, address, asked)),
        ]
        for name in ("fp", "bp"):
            with m.If(window.address == WORDS[f"{name}_bound"]):
                m.d.comb += asked.eq(WORDS[f"{name}_events"])
        # Wg's bound has several turns in a round: the first is a settlement.
        first = fresh & (~(at[WORDS["wg_bound"]] | at[SETTLE[1]]))
        replace, found, addend, total = Signal(), Signal(WORD), Signal(WORD), Signal(WORD)
        amounts, present = Signal(WORD), Signal(3)
        m.d.sync += [
            replace.eq(first),
            amounts.eq(0),
            found.eq(read.data),
            addend.eq(amounts | amount),  # one of them is zero
            total.eq(found + addend),
            present.eq(Cat(active, present)),
        ]
        with m.If(settle):
            m.d.sync += amounts.eq(surplus)
        with m.If(replace):
            m.d.sync += found.eq(0)
        m.d.comb += [
            write.addr.eq(later(m, address, 3, "address")),
            write.data.eq(total),
            write.en.eq(present[-1]),
            window.row.eq(found),
            busy.eq(active | present.any()),
        ]
        return m
