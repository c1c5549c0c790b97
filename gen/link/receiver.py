"""UART receiver: 8 bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from backspike.gen.link.rate import PHASE, Rate

RECEIVED = data.StructLayout({"data": 8, "error": 1})
"""A byte, and whether its stop bit was missing."""


class Receiver(wiring.Component):
    """Turns a line into bytes.

    A bit is what two of three samples about its middle say; a start bit that is high there is
    none. A byte without a stop bit, as of a break, is marked, and the next one begins after the
    line has been high.

    Latency: a byte comes in the middle of its stop bit, up to 4 cycles late.

    Parameters: rate. Ports: line (any clock's); o, whose bytes cannot wait.
    """

    def __init__(self, rate: Rate):
        self._rate = rate
        super().__init__(
            {
                "line": In(1, init=1),
                "o": Out(stream.Signature(RECEIVED, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1, reset_less=False)
        before = Signal(2, init=0b11)
        m.d.sync += before.eq(Cat(line, before))
        first, second, third = line, before[0], before[1]
        level = (first & second) | (first & third) | (second & third)

        # Counted from the start bit's first sample, which is up to a cycle late, the phase carries
        # in the middle of each bit, or up to a cycle later; the second sample is the one before.
        # The level falls a cycle after the line, so that no single sample starts a byte.
        phase = Signal(PHASE, reset_less=True)
        carry = Signal()
        bits = Signal(range(10), reset_less=True)
        m.d.comb += self.o.payload.data.eq(self._shifted(m, carry, level))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [phase.eq((1 << PHASE - 1) + self._rate.step), bits.eq(0)]
                with m.If(~level):
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += phase.eq(phase + self._rate.step)
                m.d.comb += carry.eq((phase + self._rate.step)[PHASE])
                with m.If(carry):
                    m.d.sync += bits.eq(bits + 1)
                    with m.If((bits == 0) & level):
                        m.next = "IDLE"
                    with m.Elif(bits == 9):
                        m.d.comb += [self.o.valid.eq(1), self.o.payload.error.eq(~level)]
                        m.next = "IDLE"
                        with m.If(~level):
                            m.next = "BREAK"
            with m.State("BREAK"):
                with m.If(level):
                    m.next = "IDLE"
        return m

    def _shifted(self, m, carry, level):
        """The last eight bits, the oldest lowest."""
        shift = Signal(8, reset_less=True)
        with m.If(carry):
            m.d.sync += shift.eq(Cat(shift[1:], level))
        return shift
