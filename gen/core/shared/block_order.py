"""The order of a batch's blocks."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import BATCH, BLOCK_BITS


class BlockOrder(wiring.Component):
    """Counts blocks, set by set and span by span, or in `reverse` from the last to the first.

    With `step` those of one span only: of number `at`, counted in this order.

    Latency: the first block is there in the cycle after `start`, which also comes before `next`.
    """

    def __init__(self, *, bits: int, reverse: bool):
        self._bits, self._reverse = bits, reverse
        super().__init__(
            {
                "batch": In(BATCH),  # constant from a cycle before start
                "start": In(1),  # with step and at, which stay as they are
                "step": In(1),
                "at": In(BLOCK_BITS),
                "next": In(1),
                "block": Out(bits),
                "set": Out(bits),
                "head": Out(1),  # of the first span
                "tail": Out(1),  # of the last
                "last": Out(1),  # no block follows
            }
        )

    def elaborate(self, platform):
        m = Module()
        span = Signal(self._bits)
        ends = {}
        for name in ("blocks", "sets", "spans"):
            ends[name] = Signal(self._bits, name=f"{name}_end")
            m.d.sync += ends[name].eq(self.batch[name] - 1)
        m.d.comb += [self.head.eq(span == 0), self.tail.eq(span == ends["spans"])]
        offset = Mux(self.step, self.at, 0)
        if self._reverse:
            first = (ends["blocks"] - offset, ends["sets"], ends["spans"] - offset)
            wraps, start_of_set = self.head, ends["spans"]
            m.d.comb += self.last.eq(Mux(self.step, self.set == 0, self.block == 0))
        else:
            first = (offset, 0, offset)
            wraps, start_of_set = self.tail, 0
            last = Mux(self.step, self.set == ends["sets"], self.block == ends["blocks"])
            m.d.comb += self.last.eq(last)

        def on(place: Value, by: Any = 1) -> Value:
            return place - by if self._reverse else place + by

        with m.If(self.next):
            with m.If(self.step):
                m.d.sync += self.block.eq(on(self.block, self.batch.spans))
                m.d.sync += self.set.eq(on(self.set))
            with m.Else():
                m.d.sync += [self.block.eq(on(self.block)), span.eq(on(span))]
                with m.If(wraps):
                    m.d.sync += [self.set.eq(on(self.set)), span.eq(start_of_set)]
        with m.If(self.start):
            m.d.sync += [
                counter.eq(value)
                for counter, value in zip((self.block, self.set, span), first, strict=True)
            ]
        return m
