"""UART transmitter: 8 bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.link.rate import PHASE, Rate


class Transmitter(wiring.Component):
    """Turns bytes into a line.

    Latency: the start bit begins in the cycle after the transfer. Throughput: a byte in 10 bits
    and a cycle or two.

    Parameters: rate. Ports: i; line, high while there is nothing to send.
    """

    def __init__(self, rate: Rate):
        self._rate = rate
        super().__init__({"i": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        phase = Signal(PHASE, reset_less=True)
        left = Signal(range(11))  # bits that are not over
        rest = Signal(9, reset_less=True)
        total = phase + self._rate.step
        m.d.comb += self.i.ready.eq(left == 0)
        m.d.sync += phase.eq(total)
        with m.If(self.i.ready):
            m.d.sync += phase.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [
                    self.line.eq(0),
                    rest.eq(Cat(self.i.payload, Const(1, 1))),
                    left.eq(10),
                ]
        with m.Elif(total[PHASE]):
            m.d.sync += [self.line.eq(rest[0]), rest.eq(Cat(rest[1:], Const(1, 1)))]
            m.d.sync += left.eq(left - 1)
        return m
