"""The UART: 8 bits, no parity, one stop bit, at a rate made from the clock."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

PHASE = 20
"""Bits of a bit's phase: with up to 1000 cycles a bit the rate is exact to 1 in 2000."""
FEWEST, MOST = 4, 1000
RECEIVED = data.StructLayout({"data": 8, "error": 1})
"""A byte, and whether its stop bit was missing."""


@dataclass(frozen=True)
class Rate:
    """`baud` bits a second out of a `clock` in Hz, which need not be a multiple.

    A bit takes clock / baud cycles on the average, and each edge is less than a cycle late.
    """

    clock: int
    baud: int

    def __post_init__(self) -> None:
        if self.clock < 1 or not FEWEST <= self.clock / max(self.baud, 1) <= MOST:
            raise ValueError(
                f"clock is {self.clock} Hz and baud {self.baud}, must be {FEWEST} to {MOST} cycles "
                "a bit"
            )

    @property
    def cycles(self) -> float:
        """Cycles a bit."""
        return self.clock / self.baud

    @property
    def step(self) -> int:
        """What the phase, of PHASE bits, gains in a cycle."""
        return round((self.baud << PHASE) / self.clock)

    @property
    def tolerance(self) -> float:
        """By what share the sender's bits may be longer or shorter than the receiver's.

        The middle of the stop bit is 9.5 bits after the edge that starts a byte; whole cycles
        move both by up to a cycle in all; the rest of half a bit is left for the two clocks.
        """
        return (0.5 - 1 / self.cycles) / 9.5


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
