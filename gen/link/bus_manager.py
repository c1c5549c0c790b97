"""An AXI4-Lite manager that makes one access at a time."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature, Response
from backspike.gen.host.bus import WORD


class BusManager(wiring.Component):
    """Makes the access that is asked for, and says when it is done.

    The access must stay as it is from `valid` until `done`; in the cycle after `done` the next one
    may come. The subordinate must answer every access.

    Latency: the subordinate's, and a cycle. Throughput: an access every 2 cycles, if the
    subordinate takes it and answers at once.

    Parameter: addr_width, bits of a byte address.
    """

    def __init__(self, addr_width: int):
        super().__init__(
            {
                "valid": In(1),
                "write": In(1),
                "address": In(addr_width),
                "data": In(WORD),
                "done": Out(1),
                "response": Out(Response),  # with `done`
                "word": Out(WORD),  # that was read, with `done`
                "axi": Out(AXI4LiteSignature(addr_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi = self.axi
        ar_done, aw_done, w_done = Signal(), Signal(), Signal()
        read, write = self.valid & ~self.write, self.valid & self.write
        m.d.comb += [
            axi.araddr.eq(self.address),
            axi.awaddr.eq(self.address),
            axi.wdata.eq(self.data),
            axi.wstrb.eq(~0),
            axi.arvalid.eq(read & ~ar_done),
            axi.awvalid.eq(write & ~aw_done),
            axi.wvalid.eq(write & ~w_done),
            # An answer comes to an access alone, which waits for it.
            axi.rready.eq(1),
            axi.bready.eq(1),
            self.word.eq(axi.rdata),
        ]
        m.d.sync += [
            ar_done.eq(ar_done | (axi.arvalid & axi.arready)),
            aw_done.eq(aw_done | (axi.awvalid & axi.awready)),
            w_done.eq(w_done | (axi.wvalid & axi.wready)),
        ]
        with m.If(ar_done):
            m.d.comb += [self.done.eq(axi.rvalid), self.response.eq(axi.rresp)]
        with m.Elif(aw_done & w_done):
            m.d.comb += [self.done.eq(axi.bvalid), self.response.eq(axi.bresp)]
        with m.If(self.done):
            m.d.sync += [ar_done.eq(0), aw_done.eq(0), w_done.eq(0)]
        return m
