"""Rows of all lanes: taken apart for drain units, and put together of their results."""

import functools
import operator

from amaranth.hdl import Array, Module, Mux, Signal, Value

from backspike.gen.machine import DEPTH


def select_phase(vector, unit: int, phase, reuse: int):
    """The element of `vector` (one a lane) that drain unit `unit` serves in `phase`."""
    return Array(vector[unit * reuse + k] for k in range(reuse))[phase]


def delayed_or_mux(m: Module, vector, unit: int, phase, reuse: int, name: str) -> Value:
    """`select_phase`, a cycle later, with an OR in place of a multiplexer: each element has a
    register that is cleared while it is not its phase."""
    parts = []
    for k in range(reuse):
        part = Signal(len(vector[0]), name=f"{name}_{unit * reuse + k}", reset_less=True)
        m.d.sync += part.eq(Mux(phase == k, vector[unit * reuse + k], 0))
        parts.append(part)
    return functools.reduce(operator.or_, parts)


def gather(m: Module, parts: list, phase, reuse: int, name: str, clear=0) -> list:
    """A row of all lanes from what `reuse` phases bring: lane unit * reuse + phase.

    `parts` holds each unit's value in this cycle; `clear` makes a row of zeros. The row is complete
    one cycle after the last phase.
    """
    row = []
    for u, part in enumerate(parts):
        for k in range(reuse):
            element = Signal.like(part, name=f"{name}_{u * reuse + k}", reset_less=True)
            with m.If(phase == k):
                m.d.sync += element.eq(part)
            with m.If(clear):
                m.d.sync += Value.cast(element).eq(0)
            row.append(element)
    return row


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
