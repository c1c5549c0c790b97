"""Whether a request that came whole is carried out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.link.deframer import HEADER_BYTES, LONGEST
from backspike.gen.link.protocol import CRC_BYTES, REQUEST, VERSION, WORDS, Op, Status


class RequestCheck(wiring.Component):
    """Judges a request: it is refused, asks for the last answer again, or is carried out.

    Latency: two cycles from `request`, one from `length`; the outputs follow `answered` in the
    cycle after it, too.
    """

    request: In(REQUEST)
    length: In(range(LONGEST + 2))  # of its frame, in bytes
    answered: In(8)  # the sequence number of the request last carried out
    opens: In(1)  # a hello is carried out: from now on the link is open
    refused: Out(1)
    status: Out(Status)  # why it is refused
    again: Out(1)  # it is not refused, and its answer is the last one

    def elaborate(self, platform):
        m = Module()
        request = self.request
        hello, repeat = request.op == Op.HELLO, request.op == Op.REPEAT
        words = Mux(request.op == Op.WRITE, request.count << 2, 0)
        expected = Signal.like(self.length, reset_less=True)
        plausible = Signal(reset_less=True)  # its count is, and so is its frame's length
        some = (request.count != 0) & (request.count <= WORDS)
        alien, same, proportioned = (Signal(reset_less=True) for _ in range(3))
        opened = Signal()  # by a hello since the reset
        m.d.sync += [
            alien.eq(request.spare | (request.version != VERSION)),
            same.eq(request.sequence == self.answered),
            expected.eq(words + (HEADER_BYTES + CRC_BYTES)),
            plausible.eq(Mux(hello | repeat, request.count == 0, some)),
            proportioned.eq((self.length == expected) & plausible),
        ]
        with m.If(self.opens):
            m.d.sync += opened.eq(1)
        m.d.comb += self.refused.eq(1)
        with m.If(alien):
            m.d.comb += self.status.eq(Status.ALIEN)
        with m.Elif(~proportioned):
            m.d.comb += self.status.eq(Status.LENGTH)
        with m.Elif(hello):
            m.d.comb += self.refused.eq(0)
        with m.Elif(~opened):
            m.d.comb += self.status.eq(Status.CLOSED)
        with m.Elif(same):
            m.d.comb += [self.refused.eq(0), self.again.eq(1)]
        with m.Elif(repeat):
            m.d.comb += self.status.eq(Status.MISSED)
        with m.Else():
            m.d.comb += self.refused.eq(0)
        return m
