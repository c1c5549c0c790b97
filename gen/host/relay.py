"""Registers on the way of the bus, for a host port that decodes many addresses."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.bus import HostBus


class Relay(wiring.Component):
    """Hands requests and responses on, each out of a register: no path leads through.

    Latency: a cycle each way. Throughput: a request every 2 cycles.

    Parameter: address_width, bits of a word address.
    Ports: i, from the initiator; o, to the responder (`HostBus`).
    """

    def __init__(self, address_width: int):
        super().__init__({"i": In(HostBus(address_width)), "o": Out(HostBus(address_width))})

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
