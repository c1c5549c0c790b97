"""The bridge: requests in frames become accesses of an AXI4-Lite manager, and are answered."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature, Response
from backspike.gen.host.bus import WORD
from backspike.gen.link.bus_manager import BusManager
from backspike.gen.link.deframer import Deframer
from backspike.gen.link.framer import Framer
from backspike.gen.link.protocol import ANSWER, VERSION, WORDS, Op, Status
from backspike.gen.link.request_check import RequestCheck
from backspike.gen.link.uart import RECEIVED, Rate
from backspike.gen.memory.rows import RowMemory

BYTES = WORD // 8


class Bridge(wiring.Component):
    """Carries out requests that came whole, one at a time, and answers each.

    A request whose sequence number is that of the last one is not carried out again: its answer is
    sent again. Words are accessed one by one, up to the first that is refused; the answer says how
    many were not. A frame that came damaged is answered DAMAGED and has no other effect. While a
    request is carried out, or waits until the answer before has been sent, what comes is dropped:
    the other end has not been answered, so it can only be impatience.

    Latency: 5 cycles from a frame's end to the first access of a read, 7 of a write; a word takes
    as long as the subordinate, and 2 cycles more to read, 4 to write.

    Parameters: rate, told in the answer to HELLO; addr_width, bits of a byte address.
    """

    def __init__(self, rate: Rate, addr_width: int):
        self._rate, self._addr_width = rate, addr_width
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED, always_ready=True)),  # bytes that came
                "o": Out(stream.Signature(8)),  # bytes to send
                # As its manager. The subordinate must answer every access.
                "axi": Out(AXI4LiteSignature(addr_width)),
                "trouble": Out(1),  # for one cycle at the end of a frame that came damaged
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.framer = framer = Framer()
        m.submodules.check = check = RequestCheck()
        m.submodules.manager = manager = BusManager(self._addr_width)
        # Below: what is to be written. Above: the answer.
        m.submodules.words = words = RowMemory(width=WORD, depth=2 * WORDS)
        wiring.connect(m, wiring.flipped(self.i), deframer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        wiring.connect(m, manager.axi, wiring.flipped(self.axi))
        request = deframer.header
        length = Signal.like(deframer.length, reset_less=True)
        answer = Signal(ANSWER)  # to the request last carried out
        damaged = Signal()  # a frame came so, and nobody has been told
        address, done = Signal(WORD + 1, reset_less=True), Signal(range(WORDS + 1), reset_less=True)
        kept, writes = Signal(range(WORDS + 1)), request.op == Op.WRITE  # kept: of the answer
        # A word beyond the port's addresses is refused here: nobody is there.
        outside = address[self._addr_width :].any()
        m.d.comb += [
            self.trouble.eq(deframer.done & deframer.damaged),
            words.write.en.eq(deframer.words.en),
            words.write.addr.eq(deframer.words.addr),
            words.write.data.eq(deframer.words.data),
            words.read0.addr.eq(Cat(framer.words.addr, 1)),
            framer.words.data.eq(words.read0.data),
            deframer.hold.eq(1),
            check.request.eq(request),
            check.length.eq(length),
            check.answered.eq(answer.sequence),
            manager.write.eq(writes),
            manager.address.eq(address),
            manager.data.eq(words.read0.data),
        ]

        def say(status, sequence, count=0, payload=0):
            """Offer an answer to the line; the caller sees to framer.i.ready."""
            header = framer.i.payload.header
            m.d.comb += [
                framer.i.valid.eq(1),
                header.status.eq(status),
                header.version.eq(VERSION),
                header.sequence.eq(sequence),
                header.count.eq(count),
                framer.i.payload.words.eq(payload),
            ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += deframer.hold.eq(0)
                with m.If(damaged & framer.i.ready):
                    say(Status.DAMAGED, answer.sequence)
                    m.d.sync += damaged.eq(0)
                m.d.sync += length.eq(deframer.length)
                with m.If(deframer.done):
                    m.d.sync += damaged.eq(deframer.damaged)
                    with m.If(~deframer.damaged):
                        m.next = "MEASURE"
            with m.State("MEASURE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(~framer.i.ready):
                    pass  # the answer before is being sent, out of the memory
                with m.Elif(check.refused):
                    say(check.status, request.sequence)
                    m.next = "IDLE"
                with m.Elif(check.again):
                    m.next = "SEND"
                with m.Else():
                    m.d.comb += check.opens.eq(request.op == Op.HELLO)
                    m.d.sync += [
                        address.eq(request.address),
                        done.eq(0),
                        answer.status.eq(Status.OKAY),
                        answer.sequence.eq(request.sequence),
                    ]
                    m.next = "ACCESS"
                    with m.If(writes):
                        m.next = "FETCH"
                    with m.If(request.op == Op.HELLO):
                        m.next = "HELLO"
            self._carry_out(m, request, answer, words, manager, address, done, outside)
            with m.State("KEEP"):
                m.d.sync += [answer.count.eq(done), kept.eq(Mux(writes, 0, done))]
                m.next = "SEND"
            with m.State("SEND"):
                say(answer.status, answer.sequence, answer.count, kept)
                with m.If(framer.i.ready):
                    m.next = "IDLE"
        return m

    def _carry_out(self, m, request, answer, words, manager, address, done, outside) -> None:
        """The states HELLO, FETCH, FETCHED and ACCESS: words one by one, then KEEP."""
        writes = request.op == Op.WRITE

        def keep(word, when=1):
            """Into the answer, as word `done`. Address and word do not wait for `when`."""
            m.d.comb += [
                words.write.en.eq(when),
                words.write.addr.eq(Cat(done[:-1], 1)),
                words.write.data.eq(word),
            ]

        with m.State("HELLO"):
            told = (request.address, WORDS, self._rate.clock, self._rate.baud)
            with m.Switch(done):
                for n, word in enumerate(told):
                    with m.Case(n):
                        keep(word)
            m.d.sync += done.eq(done + 1)
            with m.If(done == len(told) - 1):
                m.next = "KEEP"
        # The memory's two cycles; its address stands until the word has been written.
        for state, following in (("FETCH", "FETCHED"), ("FETCHED", "ACCESS")):
            with m.State(state):
                m.d.comb += words.read0.addr.eq(done[:-1])
                m.next = following
        with m.State("ACCESS"):
            with m.If(writes):
                m.d.comb += words.read0.addr.eq(done[:-1])
            m.d.comb += manager.valid.eq(~outside)
            keep(manager.word, manager.done & ~writes)
            with m.If(outside):
                m.d.sync += answer.status.eq(Status.DECERR)
                m.next = "KEEP"
            with m.Elif(manager.done):
                m.d.sync += address.eq(address + Mux(request.fixed, 0, BYTES))
                with m.If(manager.response != Response.OKAY):
                    m.d.sync += answer.status.eq(manager.response)
                    m.next = "KEEP"
                with m.Else():
                    m.d.sync += done.eq(done + 1)
                    with m.If(done == request.count - 1):
                        m.next = "KEEP"
                    with m.Elif(writes):
                        m.next = "FETCH"
