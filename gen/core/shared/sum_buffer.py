"""Finished sums on their way from the lanes to the drain."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.machine import DEPTH
from backspike.gen.pipeline import Pipeline

BLOCKS = 8
"""Blocks of sums that there is room for: one that accumulates, others that wait or drain."""
SUM_LATENCY = 1
"""Cycles from an entry that a drain asks for to its sums: a block RAM's."""
STEP = data.StructLayout({"write": 1, "replace": 1, "entry": range(DEPTH), "block": range(BLOCKS)})
"""One addition: to an entry of that block, or in its place, if it is the first."""


class SumBuffer(wiring.Component):
    """Room for BLOCKS blocks of sums, which leave in the order in which they came.

    Every sum is written each time it has been added to, so when a block ends all of them are here
    (`latency` cycles later) and the lanes go on with the next block.

    Parameters: lanes; width: of a sum; latency: cycles from a step to its total in `totals`.
    """

    def __init__(self, *, lanes: int, width: int, latency: int):
        self._lanes, self._width, self._latency = lanes, width, latency
        super().__init__(
            {
                "reserve": In(1),  # the last event of a block has come: finish follows
                "step": In(STEP),  # an addition
                "totals": In(data.ArrayLayout(width, lanes)),  # its sums, `latency` cycles later
                "finish": In(1),  # a block ends: its last step comes a cycle later
                "i_touched": In(DEPTH),  # beside finish: the entries of the block that had a term
                "block": Out(range(BLOCKS)),  # the one that accumulates
                "full": Out(1),  # another block's last event must not come
                "start": Out(1),  # one cycle; the sums of a block are there from the next one on
                # Beside start, and the cycle before: entries that had a term; others are zero.
                "touched": Out(DEPTH),
                "busy": In(1),  # from the cycle after start until that of the last sum's request
                "entry": In(range(DEPTH)),  # the sums that are asked for
                "sums": Out(data.ArrayLayout(signed(width), lanes)),  # SUM_LATENCY cycles later
            }
        )

    def elaborate(self, platform):
        m = Module()
        block, finish = self.block, self.finish
        written = self._latency  # the cycle of a block's last write, counted from its end
        pipeline = Pipeline(m)
        pipeline.put("finish", finish, at=0, reset=True)  # a block that a reset ends never drains
        pipeline.put("step", self.step, at=1)
        complete = pipeline.get("finish", at=written)
        last = pipeline.get("step", at=1 + written)

        held = Signal(range(BLOCKS))  # how many have ended, or soon will, and are not drained
        ready = Signal(range(BLOCKS))  # of these, how many are complete and not begun
        draining = Signal()
        drained = Signal(DEPTH)  # entries that have a sum, of the block that drains
        # No block that drains is one that accumulates.
        drain_block = Signal(range(BLOCKS), init=BLOCKS - 1)
        next_block = Signal(range(BLOCKS))  # after drain_block
        untouched = Signal(reset_less=True)
        sums = memory.Memory(
            shape=self._width * self._lanes,
            depth=BLOCKS * DEPTH,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        masks = memory.Memory(shape=DEPTH, depth=BLOCKS, init=[])
        m.submodules.sums, m.submodules.masks = sums, masks
        write, read = sums.write_port(), sums.read_port()
        mask_write, mask_read = masks.write_port(), masks.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(last.write),
            write.addr.eq(Cat(last.entry, last.block)),
            write.data.eq(self.totals),
            read.en.eq(draining),
            read.addr.eq(Cat(self.entry, drain_block)),
            mask_write.en.eq(finish),
            mask_write.addr.eq(block),
            mask_write.data.eq(self.i_touched),
            mask_read.addr.eq(next_block),
            self.touched.eq(mask_read.data),
            self.start.eq(~self.busy & (ready != 0)),
        ]
        held_next = (held + self.reserve - (draining & ~self.busy))[: len(held)]
        m.d.sync += [
            block.eq(block + finish),
            ready.eq(ready + complete - self.start),
            held.eq(held_next),
            self.full.eq(held_next == BLOCKS - 1),
            draining.eq(self.start | (draining & self.busy)),
            untouched.eq(~drained.bit_select(self.entry, 1)),
        ]
        with m.If(self.start):
            m.d.sync += [
                drained.eq(self.touched),
                drain_block.eq(next_block),
                next_block.eq(next_block + 1),
            ]
        for n in range(self._lanes):
            total = read.data.word_select(n, self._width)
            m.d.comb += self.sums[n].eq(Mux(untouched, 0, total))
        return m
