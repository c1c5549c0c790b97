"""Counters of a run: what each engine did, and what a perfect one would have needed."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.memory.window import RowWindow
from backspike.gen.pipeline import Pipeline
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

WINDOW_WORDS = 32
"""Words of the window, to a power of two."""
SLOTS = max(WORDS.values()) + 1
"""Each word has one slot in a round of SLOTS cycles."""
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
    their words one after the other, one a cycle. So the words are complete at the latest
    2 SLOTS + 4 cycles after the run's end, or zero SLOTS + 4 cycles after a reset; the host waits
    that long.

    The bound of fp and bp is the number of events. Of wg it is max(m, 2 n) for each layer, with m
    the events and n the row tiles that are updated (read and written through one port): it is
    counted as 2 n, and, at the end of a layer, what m is more.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),  # one cycle
                "count": In(1),  # a run lasts
                # A layer begins: LAYER_PAUSE cycles or more after the last one, without an event or
                # row in its cycle.
                "wg_loaded": In(1),
                "wg_rows": In(1),  # a row tile is updated
                **{f"{name}_{condition}": In(1) for name in ENGINES for condition in CONDITIONS},
                # The words, see WORDS: read only, answered as by `RowWindow`, not to be asked for
                # while a run lasts.
                "host": In(HostBus(exact_log2(WINDOW_WORDS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        slot = Signal(range(SLOTS))
        # A reset is followed by a round, which makes the words zero.
        active = Signal(init=1)  # words have their slots
        fresh = Signal(init=1)  # a word's first slot replaces what it holds
        idle = Signal(init=1)  # nothing was counted since this round began
        wrap = Signal()
        at = Signal(SLOTS, init=1)  # the slot as a bit
        m.d.comb += wrap.eq(at[-1])
        m.d.sync += [slot.eq(Mux(wrap, 0, slot + 1)), at.eq(at.rotate_left(1))]
        with m.If(wrap):
            m.d.sync += [fresh.eq(0), idle.eq(1), active.eq(active & ~idle)]
        with m.If(self.count):
            m.d.sync += [active.eq(1), idle.eq(0)]
        with m.If(self.clear):
            m.d.sync += [slot.eq(0), at.eq(1), active.eq(1), fresh.eq(1), idle.eq(0)]
        settle = Signal()
        m.d.comb += settle.eq(at[SETTLE[0]] | at[SETTLE[1]])
        counted = self._counted(m, at)
        surplus = self._surplus(m, settle)

        # A word's way, from cycle 0, its slot: block RAM, register, adder, and back.
        m.submodules.words = words = memory.Memory(
            shape=WORD, depth=WINDOW_WORDS, init=[], attrs={"no_rw_check": 1, "ram_style": "block"}
        )
        m.submodules.window = window = RowWindow(
            width=WORD, depth=WINDOW_WORDS, latency=READ_LATENCY
        )
        read, write = words.read_port(), words.write_port()
        pipeline = Pipeline(m)
        address = pipeline.put("address", Mux(settle, WORDS["wg_bound"], slot), at=0)
        pipeline.put("active", active, at=0, reset=True)
        # Wg's bound has several slots in a round: the first is a settlement.
        first = fresh & (~(at[WORDS["wg_bound"]] | at[SETTLE[1]]))
        replace, found, addend, total = Signal(), Signal(WORD), Signal(WORD), Signal(WORD)
        settled = Signal(WORD)
        m.d.sync += [
            replace.eq(first),
            settled.eq(0),
            found.eq(read.data),
            addend.eq(settled | counted),  # one of them is zero
            total.eq(found + addend),
        ]
        with m.If(settle):
            m.d.sync += settled.eq(surplus)
        with m.If(replace):
            m.d.sync += found.eq(0)
        busy = Signal()
        asked = self._asked(m, window, busy)
        m.d.comb += [
            write.addr.eq(pipeline.get("address", at=3)),
            write.data.eq(total),
            write.en.eq(pipeline.get("active", at=3)),
            busy.eq(Cat(pipeline.get("active", at=n) for n in range(4)).any()),
            read.addr.eq(Mux(busy, address, asked)),
            window.row.eq(found),
        ]
        return m

    def _counted(self, m: Module, at: Signal) -> Value:
        """The small counters, each of which starts again in its word's slot: what the word of the
        slot before is to get."""
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
            small, now, chosen = Signal(SMALL, name=name), Signal(), Signal()
            m.d.comb += [chosen.eq(at[WORDS[name]]), now.eq(condition & self.count)]
            with m.If(now):
                m.d.sync += small.eq(following(small))
            with m.If(chosen | self.clear):
                m.d.sync += small.eq(0)
            state |= small & chosen.replicate(SMALL)
            one |= now & chosen
        number, total = Signal(SMALL), Signal(SMALL + 1)
        chosen_state, once, twice = Signal(SMALL), Signal(), Signal()  # a cycle later
        m.d.sync += [chosen_state.eq(state), once.eq(one), twice.eq(at[WORDS["wg_bound"]])]
        with m.Switch(chosen_state):
            for n, value in enumerate(states()):
                with m.Case(value):
                    m.d.comb += number.eq(n)
        m.d.comb += total.eq(number + once)
        return Mux(twice, total << 1, total)

    def _surplus(self, m: Module, settle: Signal) -> Signal:
        """By how much a finished layer has more events than twice its rows, until that is added to
        a word."""
        more = Signal(signed(WORD))  # of the layer in hand
        surplus = Signal(WORD)
        before, layer_ends = Signal(), Signal()
        m.d.comb += layer_ends.eq(self.wg_loaded | (before & ~self.count))
        m.d.sync += before.eq(self.count)
        with m.If(self.count):
            step = Cat(self.wg_event, self.wg_rows, self.wg_rows)  # 1, -2, or -1 for both
            m.d.sync += more.eq(more + step.as_signed())
        with m.If(settle):
            m.d.sync += surplus.eq(0)
        with m.If(layer_ends):
            m.d.sync += [more.eq(0), surplus.eq(Mux(more < 0, 0, more))]
        with m.If(self.clear):
            m.d.sync += [more.eq(0), surplus.eq(0)]
        return surplus

    def _asked(self, m: Module, window: RowWindow, busy: Signal) -> Signal:
        """The word that the host asks for, once nothing is on its way to a word."""
        wiring.connect(m, window.host.response, wiring.flipped(self.host.response))
        m.d.comb += [
            window.host.request.payload.eq(self.host.request.payload),
            window.host.request.valid.eq(self.host.request.valid & ~busy),
            self.host.request.ready.eq(window.host.request.ready & ~busy),
        ]
        asked = Signal(range(WINDOW_WORDS))
        m.d.comb += asked.eq(window.address)
        for name in ("fp", "bp"):
            with m.If(window.address == WORDS[f"{name}_bound"]):
                m.d.comb += asked.eq(WORDS[f"{name}_events"])
        return asked
