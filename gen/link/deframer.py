"""From bytes to requests: byte stuffing undone, CRC verified."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.bus import WORD
from backspike.gen.link.protocol import CRC, CRC_BYTES, ESCAPE, FLAG, FLIP, REQUEST, WORDS
from backspike.gen.link.uart import RECEIVED
from backspike.gen.memory.rows import write_signature

HEADER_BYTES = REQUEST.size // 8
LONGEST = HEADER_BYTES + WORDS * WORD // 8 + CRC_BYTES
"""Bytes of the longest request, before stuffing."""


class Deframer(wiring.Component):
    """Takes frames apart: `done`, with a verdict, at the flag that ends one.

    Header and words are not known to be good before `done`. Two flags in a row hold no frame. While
    `hold` is high, header and words stay as they are. A frame of which a byte came meanwhile is
    dropped, without `done`.

    Latency: `done` comes in the cycle after the flag. Throughput: a byte every second cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED, always_ready=True)),
                "hold": In(1),
                "header": Out(REQUEST),
                "words": Out(write_signature(WORD, WORDS)),  # the words that follow the header
                "done": Out(1),
                # With `done`: a wrong CRC, a byte without stop bit, or a flag behind an escape.
                "damaged": Out(1),
                # With `done`: bytes, those of the CRC too. LONGEST + 1 stands for all above.
                "length": Out(range(LONGEST + 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC(data_width=4).create()
        escaped, bad, skip = Signal(), Signal(), Signal()
        # What came, and what it is, a cycle later.
        came, error, flag, escape = (Signal(name=n) for n in ("came", "error", "flag", "escape"))
        byte = Signal(8, reset_less=True)
        given = self.i.payload
        m.d.sync += [
            came.eq(self.i.valid),
            byte.eq(given.data),
            error.eq(given.error),
            flag.eq(~given.error & (given.data == FLAG)),
            escape.eq(given.data == ESCAPE),
        ]
        plain = Signal(8)
        end = Signal()
        take = Signal()
        second, upper = Signal(), Signal(4, reset_less=True)  # half of the byte before
        m.d.sync += [second.eq(take), upper.eq(plain[4:])]
        m.d.comb += [
            plain.eq(byte ^ Mux(escaped, FLIP, 0)),
            end.eq(came & flag),
            take.eq(came & ~flag & (~escape | escaped)),
            # A byte's halves, one after the other: that takes two thirds of the LUTs.
            crc.start.eq(end),
            crc.valid.eq(take | second),
            crc.data.eq(Mux(second, upper, plain[:4])),
            self.damaged.eq(bad | escaped | ~crc.match_detected),
            self.done.eq(end & ~skip & ~self.hold & ((self.length != 0) | bad | escaped)),
        ]
        with m.If(came):
            m.d.sync += [
                escaped.eq(~escaped & escape),
                bad.eq(bad | error),
                skip.eq(skip | self.hold),
            ]
        with m.If(take & (self.length != LONGEST + 1)):
            m.d.sync += self.length.eq(self.length + 1)
        with m.If(end):
            m.d.sync += [self.length.eq(0), escaped.eq(0), bad.eq(0), skip.eq(0)]

        # The last word's place may be the CRC's: it is written too, and nobody reads it.
        last = Signal(WORD - 8, reset_less=True)
        after = Signal(self.length.shape())
        m.d.comb += [
            after.eq(self.length - HEADER_BYTES),
            self.words.data.eq(Cat(last, plain)),
            self.words.addr.eq(after >> 2),
        ]
        with m.If(take & ~self.hold & ~skip):
            m.d.sync += last.eq(Cat(last, plain)[8:])
            with m.If(self.length < HEADER_BYTES):
                m.d.sync += self.header.eq(Cat(self.header.as_value()[8:], plain))
            with m.Elif((after[:2] == 3) & (after < WORDS * WORD // 8)):
                m.d.comb += self.words.en.eq(1)
        return m
