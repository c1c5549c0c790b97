"""What the drains share: the order in which a block's sums leave, delays, and whole rows."""

import functools
import operator

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import BATCH
from backspike.gen.machine import DEPTH


def later(m: Module, value, cycles: int, name: str):
    """`value` as it was `cycles` ago."""
    for n in range(cycles):
        register = Signal.like(value, name=f"{name}_{n}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


def slot_layout(share: int) -> data.StructLayout:
    """One sum leaves: entry = t * samples + s of lane `turn` of every drain unit."""
    return data.StructLayout(
        {
            "valid": 1,
            "entry": range(DEPTH),
            "sample": range(DEPTH),
            "turn": range(max(2, share)),
            "skip": 1,  # of all turns at once: there is nothing to add
            "whole": 1,  # last turn: the row of all lanes is complete
            "first": 1,  # first step in this order
            "last": 1,  # t = T - 1
            "final": 1,  # last slot of the block
        }
    )


class TimeOrder(wiring.Component):
    """Runs through a block step by step, forward or (`reverse`) backward in time.

    Within a step samples and the `share` turns of a drain unit follow each other. A step takes at
    least `recurrence` cycles, the latency after which a neuron's state can be used again.

    The entry after the one in hand is found while that one has its turns, so `o` comes out of
    registers.

    Latency: 2 cycles from start to the first slot. Throughput: one slot a cycle; a block takes
    T * max(samples * share, recurrence) cycles and one more.

    Ports: start (one cycle, while not busy), batch (constant from two cycles before start), o
    (slot), busy (from the cycle after start until that of the last slot); free: no step has to wait
    for another; skips: entries that take one slot instead of `share` (from the cycle after start).
    """

    def __init__(self, *, share: int, recurrence: int, reverse: bool):
        self._share, self._recurrence, self._reverse = share, recurrence, reverse
        super().__init__(
            {
                "start": In(1),
                "batch": In(BATCH),
                "free": In(1),
                "skips": In(DEPTH),
                "o": Out(slot_layout(share)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        batch, o = self.batch, self.o
        running = Signal()  # the last slot is not over

        # The next entry; `base` is the first one of its step.
        ahead = Signal()
        begins = Signal()  # it is the first one of its step
        step, sample = Signal(5), Signal(5)
        entry, base, start = Signal(range(DEPTH)), Signal(range(DEPTH)), Signal(range(DEPTH))
        samples_before, steps_before = Signal(5), Signal(5)  # the last one
        m.d.sync += [samples_before.eq(batch.samples - 1), steps_before.eq(batch.steps - 1)]
        if self._reverse:
            m.d.sync += start.eq(steps_before * batch.samples)
        last_sample = sample == samples_before
        last_step = step == steps_before

        # The entry in hand.
        last_entry = Signal()
        m.d.comb += self.busy.eq(running & ~(o.valid & o.final))
        rested = Signal()  # the next step need not wait
        wait = Signal(range(self._recurrence))
        over = ~o.valid | o.whole
        take = ahead & over & (~begins | rested | self.free)
        with m.If(over):
            m.d.sync += [o.valid.eq(take), o.turn.eq(0)]
        with m.Else():
            last_turn = o.turn == self._share - 2
            m.d.sync += [
                o.turn.eq(o.turn + 1),
                o.whole.eq(last_turn),
                o.final.eq(last_turn & last_entry),
            ]
        m.d.sync += wait.eq(wait + 1)
        if self._recurrence > 1:
            with m.If(wait == self._recurrence - 2):
                m.d.sync += rested.eq(1)
        with m.If(take):
            skip, final = self.skips.bit_select(entry, 1), last_sample & last_step
            whole = skip | (self._share == 1)
            m.d.sync += [
                o.entry.eq(entry),
                o.sample.eq(sample),
                o.first.eq(step == 0),
                o.last.eq((step == 0) if self._reverse else last_step),
                o.skip.eq(skip),
                o.whole.eq(whole),
                o.final.eq(whole & final),
                last_entry.eq(final),
                entry.eq(entry + 1),
                sample.eq(sample + 1),
                begins.eq(last_sample),
                ahead.eq(~final),
            ]
            with m.If(last_sample):
                m.d.sync += [sample.eq(0), step.eq(step + 1)]
                if self._reverse:
                    m.d.sync += [entry.eq(base - batch.samples), base.eq(base - batch.samples)]
            with m.If(begins):
                m.d.sync += [wait.eq(0), rested.eq(self._recurrence == 1)]
        with m.If(o.valid & o.final):
            m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), ahead.eq(1), begins.eq(1), rested.eq(1)]
            m.d.sync += [entry.eq(start), base.eq(start), sample.eq(0), step.eq(0)]
        return m


def gather(m: Module, parts: list, turn, share: int, name: str, clear=0) -> list:
    """A row of all lanes from what `share` turns bring: lane unit * share + turn.

    `parts` holds each unit's value in this cycle; `clear` makes a whole row of zeros. The row is
    whole one cycle after the last turn.
    """
    row = []
    for u, part in enumerate(parts):
        for k in range(share):
            element = Signal.like(part, name=f"{name}_{u * share + k}", reset_less=True)
            with m.If(turn == k):
                m.d.sync += element.eq(part)
            with m.If(clear):
                m.d.sync += element.eq(0)
            row.append(element)
    return row


def served(m: Module, vector, unit: int, turn, share: int, name: str) -> Value:
    """`turn_of`, a cycle later, with an OR in place of a multiplexer: each element has a register
    that is cleared while it is not its turn."""
    parts = []
    for k in range(share):
        part = Signal(len(vector[0]), name=f"{name}_{unit * share + k}", reset_less=True)
        m.d.sync += part.eq(Mux(turn == k, vector[unit * share + k], 0))
        parts.append(part)
    return functools.reduce(operator.or_, parts)


def collect(m: Module, row, entry, write, final, name: str) -> list:
    """Rows of a block's entries, written one after the other up to a `final` one; in the cycle
    after that they are all there, and those of entries that the block does not have are zero.

    A block's first row clears the others: a register's reset costs nothing, a choice would.
    """
    first = Signal(init=1, name=f"{name}_first")
    rows = [Signal(len(row), name=f"{name}_{d}", reset_less=True) for d in range(DEPTH)]
    with m.If(write):
        m.d.sync += first.eq(final)
    for d, kept in enumerate(rows):
        hit = Signal(name=f"{name}_hit{d}")
        m.d.comb += hit.eq(entry == d)
        with m.If(write & hit):
            m.d.sync += kept.eq(row)
        with m.If(write & first & ~hit):
            m.d.sync += kept.eq(0)
    return rows


def turn_of(vector, unit: int, turn, share: int):
    """The element of `vector` (one a lane) that drain unit `unit` serves at `turn`."""
    return Array(vector[unit * share + k] for k in range(share))[turn]
