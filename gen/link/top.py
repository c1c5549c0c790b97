"""A core behind a serial line."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.link.bridge import Bridge
from backspike.gen.link.rate import Rate
from backspike.gen.link.receiver import Receiver
from backspike.gen.link.transmitter import Transmitter


class Linked(wiring.Component):
    """A core with an AXI4-Lite port `axi`, and its UART: what a board's top holds.

    Parameters: core, rate. Ports: rx, tx.
    """

    def __init__(self, core: wiring.Component, rate: Rate):
        self.core, self.rate = core, rate
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.receiver = receiver = Receiver(self.rate)
        m.submodules.transmitter = transmitter = Transmitter(self.rate)
        m.submodules.bridge = bridge = Bridge(self.rate, len(core.axi.awaddr))
        m.d.comb += [receiver.line.eq(self.rx), self.tx.eq(transmitter.line)]
        wiring.connect(m, receiver.o, bridge.i)
        wiring.connect(m, bridge.o, transmitter.i)
        wiring.connect(m, bridge.axi, core.axi)
        return m
