"""Reading a memory as a stream: requests in, rows out, in order."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out


class Prefetch(wiring.Component):
    """Turns a memory with a fixed latency into a stream that may stall.

    A request is issued when the output buffer has room for its row (credits), so nothing is lost
    however long the consumer waits, and while it does not wait a row comes every cycle.

    Latency: `latency` + 1 cycles from request to row. Throughput: one a cycle.

    Parameters: widths in bits; latency of the memory; wait: cycles that a row always waits for its
    consumer, and for which there is room, too.

    Ports: i {address, tag}; o {row, tag}; the memory's `address` (with `valid`, answered by
    `grant` where the port is shared) and `row`, `latency` cycles after it was granted.
    """

    def __init__(
        self, *, address_width: int, row_width: int, tag_width: int, latency: int, wait: int = 0
    ):
        self._latency = latency
        self._wait = wait
        self._row_width = row_width
        self._tag_width = tag_width
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout({"address": address_width, "tag": tag_width})
                    )
                ),
                "o": Out(stream.Signature(data.StructLayout({"row": row_width, "tag": tag_width}))),
                "address": Out(address_width),
                "valid": Out(1),
                "grant": In(1, init=1),
                "row": In(row_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._latency + 2 + self._wait  # a credit returns the cycle after its row leaves
        m.submodules.buffer = buffer = fifo.SyncFIFO(
            width=self._row_width + self._tag_width, depth=depth
        )
        credits = Signal(range(depth + 1), init=depth)
        issue = Signal()
        leave = Signal()
        m.d.comb += [
            self.address.eq(self.i.payload.address),
            self.valid.eq(self.i.valid & (credits != 0)),
            issue.eq(self.valid & self.grant),
            self.i.ready.eq((credits != 0) & self.grant),
            leave.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += credits.eq(credits - issue + leave)

        present, tag = issue, self.i.payload.tag
        for n in range(self._latency):
            next_present = Signal(name=f"present{n}")
            next_tag = Signal(self._tag_width, name=f"tag{n}", reset_less=True)
            m.d.sync += [next_present.eq(present), next_tag.eq(tag)]
            present, tag = next_present, next_tag
        m.d.comb += [
            buffer.w_en.eq(present),
            buffer.w_data.eq(Cat(self.row, tag)),
            self.o.valid.eq(buffer.r_rdy),
            self.o.payload.eq(buffer.r_data),
            buffer.r_en.eq(self.o.ready),
        ]
        return m
