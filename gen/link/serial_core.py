"""A core behind a serial line."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature
from backspike.gen.link.bridge import Bridge
from backspike.gen.link.uart import Rate, Receiver, Transmitter


class Link(wiring.Component):
    """UART and bridge: a serial line in, an AXI4-Lite manager out.

    Parameters: rate; addr_width, bits of a byte address of the AXI4-Lite port.
    Ports: rx, of any clock; tx; axi; trouble, see `Bridge`.
    """

    def __init__(self, rate: Rate, addr_width: int = 24):
        self._rate, self._addr_width = rate, addr_width
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "axi": Out(AXI4LiteSignature(addr_width)),
                "trouble": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self._rate)
        m.submodules.transmitter = transmitter = Transmitter(self._rate)
        m.submodules.bridge = bridge = Bridge(self._rate, self._addr_width)
        m.d.comb += [
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            self.trouble.eq(bridge.trouble),
        ]
        wiring.connect(m, receiver.o, bridge.i)
        wiring.connect(m, bridge.o, transmitter.i)
        wiring.connect(m, bridge.axi, wiring.flipped(self.axi))
        return m


class SerialCore(wiring.Component):
    """A core with an AXI4-Lite port `axi`, and its link: what a board's top holds.

    Parameters: core, rate. Ports: rx, tx; trouble, see `Bridge`.
    """

    def __init__(self, core: wiring.Component, rate: Rate):
        self._core, self._rate = core, rate
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "trouble": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        m.submodules.link = link = Link(self._rate, len(core.axi.awaddr))
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.trouble.eq(link.trouble),
        ]
        wiring.connect(m, link.axi, core.axi)
        return m
