"""The bridge: requests in frames become accesses of an AXI4-Lite manager, and are answered."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature, Response
from backspike.gen.host.bus import WORD
from backspike.gen.link.frame import Frame
from backspike.gen.link.protocol import (
    ANSWER,
    CRC_BYTES,
    VERSION,
    WORDS,
    Op,
    Status,
)
from backspike.gen.link.rate import Rate
from backspike.gen.link.receiver import RECEIVED
from backspike.gen.link.unframe import HEADER_BYTES, Unframe
from backspike.gen.memory.rows import RowMemory

BYTES = WORD // 8


class Bridge(wiring.Component):
    """Carries out requests that came whole, one at a time, and answers each.

    A request whose sequence number is that of the last one is not carried out again: its answer is
    sent again. Words are accessed one by one, up to the first that is refused; the answer says how
    many were not. A frame that came damaged is answered DAMAGED and has no other effect. While a
    request is carried out, or waits until the answer before it has been sent, what comes is
    dropped: the other end has not been answered, so it can only be impatience.

    Latency: 5 cycles from a frame's end to the first access of a read, 7 of a write; a word takes
    as long as the subordinate, and 2 cycles more to read, 4 to write.

    Parameters: rate (told in the answer to HELLO), addr_width of the AXI4-Lite port.
    Ports: i, received bytes; o, bytes to send; axi, as its manager, whose subordinate must answer
    every access; trouble, for one cycle at the end of each frame that came damaged.
    """

    def __init__(self, rate: Rate, addr_width: int):
        self._rate, self._addr_width = rate, addr_width
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "axi": Out(AXI4LiteSignature(addr_width)),
                "trouble": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.unframe = unframe = Unframe()
        m.submodules.frame = frame = Frame()
        # The lower half holds what is to be written, the upper half the answer.
        m.submodules.words = words = RowMemory(width=WORD, depth=2 * WORDS)
        wiring.connect(m, wiring.flipped(self.i), unframe.i)
        wiring.connect(m, frame.o, wiring.flipped(self.o))
        axi, request = self.axi, unframe.header
        length = Signal.like(unframe.length, reset_less=True)
        answer = Signal(ANSWER)  # to the request last carried out
        opened = Signal()  # by a hello since the reset
        damaged = Signal()  # a frame came so, and nobody has been told
        address = Signal(WORD + 1, reset_less=True)
        done = Signal(range(WORDS + 1), reset_less=True)
        kept = Signal(range(WORDS + 1))  # words of the answer

        m.d.comb += [
            self.trouble.eq(unframe.done & unframe.damaged),
            words.write.en.eq(unframe.words.en),
            words.write.addr.eq(unframe.words.addr),
            words.write.data.eq(unframe.words.data),
            words.read0.addr.eq(Cat(frame.words.addr, 1)),
            frame.words.data.eq(words.read0.data),
            axi.awaddr.eq(address),
            axi.araddr.eq(address),
            axi.wdata.eq(words.read0.data),
            axi.wstrb.eq(~0),
            # Answers come to accesses alone, and each of these waits for its own.
            axi.rready.eq(1),
            axi.bready.eq(1),
        ]

        def keep(word):
            """Into the answer, as word `done`."""
            m.d.comb += [
                words.write.en.eq(1),
                words.write.addr.eq(Cat(done[:-1], 1)),
                words.write.data.eq(word),
            ]

        def say(status, sequence, count=0, payload=0):
            """Offer an answer to the line; the caller waits for frame.i.ready."""
            header = frame.i.payload.header
            m.d.comb += [
                frame.i.valid.eq(1),
                header.status.eq(status),
                header.version.eq(VERSION),
                header.sequence.eq(sequence),
                header.count.eq(count),
                frame.i.payload.words.eq(payload),
            ]

        def refuse(status):
            """Of a request that is not carried out."""
            say(status, request.sequence)
            with m.If(frame.i.ready):
                m.next = "IDLE"

        def begin():
            m.d.sync += [
                address.eq(request.address),
                done.eq(0),
                answer.status.eq(Status.OKAY),
                answer.sequence.eq(request.sequence),
            ]

        def advance(response, state, *, last=None):
            """A word is done, or refused."""
            m.next = state
            if response is not None:
                m.d.sync += address.eq(address + Mux(request.fixed, 0, BYTES))
            m.d.sync += done.eq(done + 1)
            with m.If(done == (request.count - 1 if last is None else last)):
                m.next = "KEEP"
            if response is not None:
                with m.If(response != Response.OKAY):
                    m.d.sync += [answer.status.eq(response), done.eq(done)]
                    m.next = "KEEP"

        # A word beyond the port's addresses is refused here: nobody is there.
        outside = address[self._addr_width :].any()

        def stop():
            m.d.sync += answer.status.eq(Status.DECERR)
            m.next = "KEEP"

        # What is to be known of a request, a cycle later: whether it is understood, the one carried
        # out last, and as long as its operation and count say.
        writes = request.op == Op.WRITE
        hello, repeat = request.op == Op.HELLO, request.op == Op.REPEAT
        expected = Mux(writes, request.count << 2, 0) + (HEADER_BYTES + CRC_BYTES)
        counted = (request.count != 0) & (request.count <= WORDS)
        alien, again, proportioned = (Signal(reset_less=True) for _ in range(3))
        m.d.sync += [
            alien.eq(request.spare | (request.version != VERSION)),
            again.eq(request.sequence == answer.sequence),
            proportioned.eq(
                (length == expected) & Mux(hello | repeat, request.count == 0, counted)
            ),
        ]

        m.d.comb += unframe.hold.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += unframe.hold.eq(0)
                with m.If(damaged & frame.i.ready):
                    say(Status.DAMAGED, answer.sequence)
                    m.d.sync += damaged.eq(0)
                m.d.sync += length.eq(unframe.length)
                with m.If(unframe.done & unframe.damaged):
                    m.d.sync += damaged.eq(1)
                with m.Elif(unframe.done):
                    m.d.sync += damaged.eq(0)
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(~frame.i.ready):
                    pass  # the answer before is being sent, out of the memory
                with m.Elif(alien):
                    refuse(Status.ALIEN)
                with m.Elif(~proportioned):
                    refuse(Status.LENGTH)
                with m.Elif(hello):
                    begin()
                    m.d.sync += opened.eq(1)
                    m.next = "HELLO"
                with m.Elif(~opened):
                    refuse(Status.CLOSED)
                with m.Elif(again):
                    m.next = "SEND"
                with m.Elif(repeat):
                    refuse(Status.MISSED)
                with m.Else():
                    begin()
                    m.next = "READ"
                    with m.If(writes):
                        m.next = "FETCH"

            with m.State("HELLO"):
                told = (request.address, WORDS, self._rate.clock, self._rate.baud)
                with m.Switch(done):
                    for n, word in enumerate(told):
                        with m.Case(n):
                            keep(word)
                advance(None, "HELLO", last=len(told) - 1)

            with m.State("READ"):
                m.d.comb += axi.arvalid.eq(~outside)
                with m.If(outside):
                    stop()
                with m.Elif(axi.arready):
                    m.next = "DATA"
            with m.State("DATA"):
                with m.If(axi.rvalid):
                    keep(axi.rdata)
                    advance(axi.rresp, "READ")

            # The memory's two cycles; its address stands until the word has been written.
            for state, following in (("FETCH", "FETCHED"), ("FETCHED", "WRITE")):
                with m.State(state):
                    m.d.comb += words.read0.addr.eq(done[:-1])
                    m.next = following
            with m.State("WRITE"):
                aw_done, w_done = Signal(), Signal()
                m.d.comb += [
                    words.read0.addr.eq(done[:-1]),
                    axi.awvalid.eq(~aw_done & ~outside),
                    axi.wvalid.eq(~w_done & ~outside),
                ]
                aw_now = aw_done | axi.awready
                w_now = w_done | axi.wready
                m.d.sync += [aw_done.eq(aw_now), w_done.eq(w_now)]
                with m.If(outside):
                    m.d.sync += [aw_done.eq(0), w_done.eq(0)]
                    stop()
                with m.Elif(aw_now & w_now):
                    m.d.sync += [aw_done.eq(0), w_done.eq(0)]
                    m.next = "RESPONSE"
            with m.State("RESPONSE"):
                with m.If(axi.bvalid):
                    advance(axi.bresp, "FETCH")

            with m.State("KEEP"):
                m.d.sync += [
                    answer.count.eq(done),
                    kept.eq(Mux(request.op == Op.WRITE, Const(0), done)),
                ]
                m.next = "SEND"
            with m.State("SEND"):
                say(answer.status, answer.sequence, answer.count, kept)
                with m.If(frame.i.ready):
                    m.next = "IDLE"
        return m
