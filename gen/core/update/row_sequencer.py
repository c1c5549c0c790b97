"""The order in which a block's rows of weights are updated."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.bitops import at_most, encode, lowest
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
        rows_left = Signal(DEPTH)
        row_now = Signal(DEPTH, reset_less=True)  # of these, the one in hand
        row_last = Signal(reset_less=True)  # it is the only one
        others = Signal(DEPTH)
        row_valid = Signal()  # there is a row left
        row_begun = Signal()  # in this round of phases
        reading = Signal()
        block_empty = Signal()  # a block without rows, for a cycle
        phase, final = self.phase, Signal()
        phase_last = phase == count - 1
        m.d.comb += [
            others.eq(rows_left & ~row_now),
            reading.eq(Mux(phase == 0, row_valid, row_begun)),
            final.eq(reading & phase_last & row_last),
            self.busy.eq(block_empty | (row_valid & ~final)),
            self.row.eq(reading & (phase == 0)),
            self.last.eq(final | block_empty),
            self.o.valid.eq(reading & (phase < self._reuse)),
            self.o.phase.eq(phase),
            self.o.k.eq(encode(row_now)),
        ]
        m.d.sync += [
            phase.eq(Mux(phase_last, 0, phase + 1)),
            row_begun.eq(reading),
            block_empty.eq(self.start & ~self.touched.any()),
        ]
        with m.If(reading & phase_last):
            m.d.sync += [
                rows_left.eq(others),
                row_valid.eq(~row_last),
                row_now.eq(lowest(others)),
                row_last.eq(at_most(rows_left, 2)),
            ]
        with m.If(self.start):
            m.d.sync += [
                rows_left.eq(self.touched),
                row_now.eq(lowest(self.touched)),
                row_valid.eq(self.touched.any()),
                row_last.eq(at_most(self.touched, 1)),
            ]
        return m
