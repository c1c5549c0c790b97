"""The order in which a block's rows of weights are updated."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.bitops import at_most, clear_lowest, first_index
from backspike.gen.machine import DEPTH


def phases(reuse: int) -> int:
    """Cycles of a row: two at the least, one for its read and one for its write."""
    return max(2, reuse)


def row_slot_layout(reuse: int) -> data.StructLayout:
    """A sum of each drain unit leaves: of source k, in lane `phase` of the unit."""
    return data.StructLayout({"valid": 1, "phase": range(phases(reuse)), "k": range(DEPTH)})


class RowSequencer(wiring.Component):
    """Runs through the rows of a block that had a gradient, phase by phase.

    Latency: a cycle or more from start to the first slot: phases never stop, so that reads and
    writes keep to their cycles. Throughput: a row every max(2, reuse) cycles; the next block
    follows without a pause.
    """

    def __init__(self, *, reuse: int):
        self._reuse = reuse
        super().__init__(
            {
                "start": In(1),  # one cycle, while not busy
                "touched": In(DEPTH),  # beside start: the rows that had a gradient
                "busy": Out(1),
                "o": Out(row_slot_layout(reuse)),
                "phase": Out(range(phases(reuse))),  # of this cycle, whether there is a row or not
                "row": Out(1),  # a row's first slot
                "last": Out(1),  # the block is over: its last row's last phase, or it has no rows
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = phases(self._reuse)
        row_valid = Signal()  # there is a row in hand
        rows_after = Signal(DEPTH, reset_less=True)  # those that follow it
        row_last = Signal(reset_less=True)  # there are none
        row_begun = Signal()  # in this round of phases
        reading = Signal()
        block_empty = Signal()  # a block without rows, for a cycle
        phase, final = self.phase, Signal()
        phase_last = phase == count - 1
        m.d.comb += [
            reading.eq(Mux(phase == 0, row_valid, row_begun)),
            final.eq(reading & phase_last & row_last),
            self.busy.eq(block_empty | (row_valid & ~final)),
            self.row.eq(reading & (phase == 0)),
            self.last.eq(final | block_empty),
            self.o.valid.eq(reading & (phase < self._reuse)),
            self.o.phase.eq(phase),
        ]
        m.d.sync += [
            phase.eq(Mux(phase_last, 0, phase + 1)),
            row_begun.eq(reading),
            block_empty.eq(self.start & ~self.touched.any()),
        ]

        def begin(rows: Value, valid: Any) -> list:
            """Statements that take the first of these rows in hand."""
            return [
                self.o.k.eq(first_index(rows)),
                rows_after.eq(clear_lowest(rows)),
                row_last.eq(at_most(rows, 1)),
                row_valid.eq(valid),
            ]

        with m.If(reading & phase_last):
            m.d.sync += begin(rows_after, ~row_last)
        with m.If(self.start):
            m.d.sync += begin(self.touched, self.touched.any())
        return m
