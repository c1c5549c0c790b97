"""AXI4-Lite subordinate (AMBA AXI and ACE specification, IHI 0022, part B)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.host.bus import OUTSTANDING, WORD, request_signature, response_signature


class Response(enum.Enum, shape=2):
    """What BRESP and RRESP say. The two others of AXI do not occur."""

    OKAY = 0
    SLVERR = 2


class AXI4LiteSignature(wiring.Signature):
    """The five channels with 32-bit data as the manager sees them; addresses are in bytes.

    Members are named as in the specification, in lower case. The port `axi` of an emitted machine
    is `s_axi_awaddr`, `s_axi_awvalid` and so on.
    """

    def __init__(self, addr_width: int = 24):
        if not 3 <= addr_width <= 64:
            raise ValueError(f"addr_width is {addr_width}, must be 3 to 64")
        super().__init__(
            {
                "awaddr": Out(addr_width),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(WORD),
                "wstrb": Out(WORD // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(Response),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(addr_width),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(WORD),
                "rresp": In(Response),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AXI4LiteSubordinate(wiring.Component):
    """Turns AXI4-Lite accesses into requests and responses of the internal bus.

    Latency: a request leaves in the cycle after the last of its handshakes (AW and W, or AR);
    BVALID or RVALID rises in the cycle after the response. Throughput: a read every cycle if the
    bus takes it; a write every 2 cycles if the response comes in the cycle after the request, each
    further cycle of the response adds one. Reads and writes that wait together take turns.

    Neither AXI's readiness nor its validity depends on an input in the same cycle. The protection
    bits are ignored.

    Parameters: addr_width, bits of a byte address (3 to 64).
    Ports: axi; request and response (see `bus`; addresses in words).
    Errors: SLVERR if the response says so; and, without any request, if a write's strobes are not
    all ones or an address is not a multiple of 4.
    """

    def __init__(self, addr_width: int = 24):
        self.addr_width = addr_width
        super().__init__(
            {
                "axi": In(AXI4LiteSignature(addr_width)),
                "request": Out(request_signature(addr_width - 2)),
                "response": In(response_signature()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, request, response = self.axi, self.request, self.response

        # Each incoming channel has a buffer that takes a transfer as soon as there is room, so
        # no channel waits for another. Two places keep reads coming without a pause.
        def hold(name: str, valid, ready, *payload):
            """One transfer of a write channel: (whether it is there, its payload)."""
            full = Signal(name=f"{name}_full")
            held = Signal(len(Cat(*payload)), name=f"{name}_held", reset_less=True)
            m.d.comb += ready.eq(~full)
            with m.If(valid & ready):
                m.d.sync += [full.eq(1), held.eq(Cat(*payload))]
            return full, held

        # What is wrong with a transfer is found before it is kept.
        aw_full, aw_held = hold("aw", axi.awvalid, axi.awready, word(axi.awaddr))
        w_full, w_held = hold("w", axi.wvalid, axi.wready, axi.wdata, ~axi.wstrb.all())
        w_data, w_wrong = w_held[:WORD], w_held[WORD]
        m.submodules.ar = ar = SyncFIFO(width=self.addr_width - 1, depth=2)
        m.submodules.r = r = SyncFIFO(width=WORD + 1, depth=OUTSTANDING)
        m.d.comb += [
            ar.w_en.eq(axi.arvalid),
            ar.w_data.eq(word(axi.araddr)),
            axi.arready.eq(ar.w_rdy),
        ]

        # An access starts only when its response has a place to go: a manager that does not take
        # write responses cannot keep reads from finishing, nor the other way round.
        claimed = Signal(range(OUTSTANDING + 1))  # places in `r` that are full or spoken for
        pending = Signal(range(OUTSTANDING + 1))  # reads without a response
        writing = Signal()  # a write without a response
        offered = Signal()  # the request was offered before and must not change
        was_read = Signal()  # the access offered, under way, or last done
        may_write = aw_full & w_full & (~axi.bvalid | axi.bready)
        may_read = ar.r_rdy & ~claimed[exact_log2(OUTSTANDING)]

        read = Signal()
        start = Signal()
        refuse = Signal()
        done = Signal()
        m.d.comb += [
            read.eq(Mux(offered, was_read, may_read & ~(may_write & was_read))),
            # A write waits for all, and all wait for a write. A refusal, which is answered here
            # in the next cycle, must not overtake either.
            start.eq((may_write | may_read) & ~writing & ((read & ~refuse) | (pending == 0))),
            refuse.eq(Mux(read, ar.r_data[-1], aw_held[-1] | w_wrong)),
            request.valid.eq(start & ~refuse),
            request.payload.write.eq(~read),
            request.payload.address.eq(Mux(read, ar.r_data, aw_held)[:-1]),
            request.payload.data.eq(Mux(read, 0, w_data)),  # a W transfer may come meanwhile
            done.eq(start & (refuse | request.ready)),
            ar.r_en.eq(done & read),
            response.ready.eq(1),
        ]
        refused = Signal()  # an access was, in the cycle before
        answered = response.valid | refused
        m.d.sync += [
            offered.eq(request.valid & ~request.ready),
            claimed.eq(claimed + (done & read) - (axi.rvalid & axi.rready)),
            pending.eq(pending + (done & read) - (answered & ~writing)),
            refused.eq(done & refuse),
        ]
        with m.If(start):
            m.d.sync += was_read.eq(read)
        with m.If(answered):
            m.d.sync += writing.eq(0)
        with m.If(done & ~read):
            m.d.sync += [aw_full.eq(0), w_full.eq(0), writing.eq(1)]

        b_error = Signal(reset_less=True)
        m.d.comb += [
            axi.bresp.eq(Mux(b_error, Response.SLVERR, Response.OKAY)),
            axi.rresp.eq(Mux(r.r_data[WORD], Response.SLVERR, Response.OKAY)),
            axi.rdata.eq(r.r_data),
            axi.rvalid.eq(r.r_rdy),
            r.r_en.eq(axi.rready),
        ]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)

        error = response.payload.error | refused
        m.d.comb += r.w_data.eq(Cat(Mux(refused, 0, response.payload.data), error))
        with m.If(answered & ~writing):
            m.d.comb += r.w_en.eq(1)
        with m.If(answered & writing):
            m.d.sync += [axi.bvalid.eq(1), b_error.eq(error)]
        return m


def word(address):
    """A word's address, and whether a byte's is none of a word."""
    return Cat(address[2:], address[:2].any())
