"""Windows of the host port onto the memories."""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.numerics.half import is_half


def words_of(width: int) -> int:
    """Words that a row of `width` bits takes, up to a power of two."""
    words = -(-width // WORD)
    return 1 << (words - 1).bit_length()


class RowWindow(wiring.Component):
    """Shows rows of `width` bits as words, lowest first; single words can be written.

    Latency: a read answers latency + 1 cycles after its request, a write 1 cycle after.

    Parameters: width in bits; depth in rows; latency of the memory's read; halves: words are pairs
    of halves, and a write of anything else (infinity, NaN, -0) is refused.

    Ports: host; address, row (read); enable (a bit for each word), data (write, beside address).
    """

    def __init__(self, *, width: int, depth: int, latency: int, halves: bool = False):
        self._width, self._latency, self._halves = width, latency, halves
        self._words = words_of(width)
        super().__init__(
            {
                "host": In(HostBus(exact_log2(depth * self._words))),
                "address": Out(exact_log2(depth)),
                "row": In(width),
                "enable": Out(self._words),
                "data": Out(WORD),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = exact_log2(self._words)
        request, response = self.host.request, self.host.response
        word = Signal(max(1, bits))
        address = Signal(len(self.address))
        write = Signal()
        data = Signal(WORD)
        wait = Signal(range(self._latency + 1))
        refused = Signal()
        # Bits of the word above the row's are not there: they read as zero and must be written so.
        used = min(WORD, self._width)
        beyond = data[used:].any() if used < WORD else Const(0)
        if self._halves:
            m.d.comb += refused.eq(beyond | ~is_half(data[:16]) | ~is_half(data[16:]))
        else:
            m.d.comb += refused.eq(beyond)
        row = Cat(self.row, Const(0, self._words * WORD - self._width))
        m.d.comb += [
            self.address.eq(address),
            self.data.eq(data),
            response.payload.data.eq(
                Array(row.word_select(n, WORD) for n in range(self._words))[word]
            ),
        ]
        with m.FSM():
            with m.State("REST"):
                m.d.comb += request.ready.eq(1)
                m.d.sync += [
                    address.eq(request.payload.address >> bits),
                    word.eq(request.payload.address[:bits]),
                    data.eq(request.payload.data),
                    write.eq(request.payload.write),
                    wait.eq(0),
                ]
                with m.If(request.valid & request.payload.write):
                    m.next = "WRITE"
                with m.Elif(request.valid):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == self._latency):
                    m.d.sync += wait.eq(wait)
                    m.d.comb += response.valid.eq(1)
                    with m.If(response.ready):
                        m.next = "REST"
            with m.State("WRITE"):
                m.d.comb += [
                    response.valid.eq(1),
                    response.payload.error.eq(refused),
                ]
                with m.If(response.ready):
                    m.d.comb += self.enable.eq(~refused.replicate(self._words) & (1 << word))
                    m.next = "REST"
        return m
