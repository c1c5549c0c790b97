"""Windows of the host port onto the memories."""

import itertools
from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.numerics.half import is_half


def words_of(width: int) -> int:
    """Words that a row of `width` bits takes, up to a power of two."""
    words = -(-width // WORD)
    return 1 << (words - 1).bit_length()


def choosing(words: int) -> int:
    """Cycles that it takes to choose one of a row's words."""
    return int(words > 1)


class RowWindow(wiring.Component):
    """Shows rows of `width` bits as words, lowest first. The host writes single words.

    Latency: a read is answered latency + 1 cycles after its request, and one more (`choosing`)
    where a row has several words; a write 1 cycle after. Throughput: a read per cycle, a write
    every 2 cycles.

    Parameters: width in bits; depth in rows; latency of the memory's read; halves: words are pairs
    of FP16 numbers, and anything else (infinity, NaN, -0) is refused; allowed: function of a word,
    whether it may be written.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        latency: int,
        halves: bool = False,
        allowed: Callable[[Value], Value] | None = None,
    ):
        self._width, self._latency, self._halves = width, latency, halves
        self._allowed = allowed
        self._words = words_of(width)
        self.answered = latency + 1 + choosing(self._words)
        super().__init__(
            {
                "host": In(HostBus(ceil_log2(depth * self._words))),
                "address": Out(ceil_log2(depth)),
                "row": In(width),  # that was read
                "enable": Out(self._words),  # write: one bit per word of the row
                "data": Out(WORD),  # to write, beside address
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = ceil_log2(self._words)
        request, response = self.host.request, self.host.response
        address = Signal(len(self.address))
        data = Signal(WORD)
        writing = Signal()
        # A read passes the address register, then the memory. The word's place goes with it.
        reading = [Signal(name=f"reading{n}") for n in range(self.answered)]
        words = [Signal(max(1, bits), name=f"word{n}") for n in range(self._latency + 1)]
        refused = Signal(reset_less=True)  # the word in `data` must not be written
        # A word may be wider than the row. The bits above read as zero and must be written as zero.
        word, used = request.payload.data, min(WORD, self._width)
        wrong = word[used:].any() if used < WORD else Const(0)
        if self._halves:
            wrong |= ~is_half(word[:16]) | ~is_half(word[16:])
        if self._allowed is not None:
            wrong |= ~self._allowed(word)
        row = Cat(self.row, Const(0, self._words * WORD - self._width))
        m.d.comb += [
            self.address.eq(address),
            self.data.eq(data),
            response.payload.data.eq(self._word(m, row, words[-1])),
        ]
        # A write is answered in the next cycle. No request is taken before.
        m.d.comb += [
            request.ready.eq(~writing),
            response.valid.eq(writing | reading[-1]),
            response.payload.error.eq(writing & refused),
            self.enable.eq((writing & ~refused).replicate(self._words) & (1 << words[0])),
        ]
        m.d.sync += [
            address.eq(request.payload.address >> bits),
            data.eq(word),
            # The check runs beside the data's register: `enable` comes from registers alone.
            refused.eq(wrong),
            words[0].eq(request.payload.address[:bits]),
            writing.eq(request.valid & request.ready & request.payload.write),
            reading[0].eq(request.valid & request.ready & ~request.payload.write),
            *(later.eq(now) for now, later in itertools.pairwise(reading)),
            *(later.eq(now) for now, later in itertools.pairwise(words)),
        ]
        return m

    def _word(self, m: Module, row: Value, word: Value) -> Value:
        """A word of the row. Of several each has a register that is cleared unless it is the one:
        joining these takes a third of a choice's LUTs."""
        if self._words == 1:
            return row
        found = Const(0, WORD)
        for n in range(self._words):
            part = Signal(WORD, name=f"part{n}", reset_less=True)
            m.d.sync += part.eq(row.word_select(n, WORD))
            with m.If(word != n):
                m.d.sync += part.eq(0)
            found |= part
        return found
