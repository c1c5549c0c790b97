"""The bus behind the host port: word accesses, each answered once, in order; and its register."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

WORD = 32
"""Bits of a word: AXI4-Lite's usual width, and two halves."""

OUTSTANDING = 8
"""Reads that can be on their way at a time. More than enough: at the core's port a read takes 10 to
12 cycles, and one is taken every third."""


def request_layout(address_width: int) -> data.StructLayout:
    """One access: `write`, a word `address` of `address_width` bits, `data` (of a write)."""
    return data.StructLayout({"write": 1, "address": address_width, "data": WORD})


RESPONSE = data.StructLayout({"data": WORD, "error": 1})
"""One answer: `data` (of a read) and whether the access was refused, without side effect."""


def request_signature(address_width: int) -> stream.Signature:
    """Stream of accesses."""
    return stream.Signature(request_layout(address_width))


def response_signature() -> stream.Signature:
    """Stream of answers, one per access and in order, at the earliest in the cycle after it.

    The initiator accepts an answer at once, so a responder may be a pipeline that cannot wait. It
    sends a write only when all is answered, and nothing until the write is; of reads up to
    OUTSTANDING are on their way. A responder that takes one at a time says so by not being ready.
    """
    return stream.Signature(RESPONSE)


class HostBus(wiring.Signature):
    """Both streams as the initiator sees them."""

    def __init__(self, address_width: int):
        super().__init__(
            {
                "request": Out(request_signature(address_width)),
                "response": In(response_signature()),
            }
        )


class BusRegister(wiring.Component):
    """Passes requests and responses on, each from a register: no path leads through.

    Latency: one cycle each way. Throughput: a request every 2 cycles.

    Parameter: address_width, bits of a word address.
    """

    def __init__(self, address_width: int):
        super().__init__(
            {
                "i": In(HostBus(address_width)),  # from the initiator
                "o": Out(HostBus(address_width)),  # to the responder
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = Signal(self.i.request.payload.shape(), reset_less=True)
        response = Signal(self.i.response.payload.shape(), reset_less=True)
        held, answered = Signal(), Signal()
        m.d.comb += [
            self.i.request.ready.eq(~held),
            self.o.request.valid.eq(held),
            self.o.request.payload.eq(request),
            self.o.response.ready.eq(1),
            self.i.response.valid.eq(answered),
            self.i.response.payload.eq(response),
        ]
        m.d.sync += [answered.eq(self.o.response.valid), response.eq(self.o.response.payload)]
        with m.If(held):
            m.d.sync += held.eq(~self.o.request.ready)
        with m.Else():
            m.d.sync += [held.eq(self.i.request.valid), request.eq(self.i.request.payload)]
        return m
