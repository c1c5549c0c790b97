"""From answers to bytes: CRC and byte stuffing."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.bus import WORD
from backspike.gen.link.protocol import ANSWER, CRC, ESCAPE, FLAG, FLIP, WORDS
from backspike.gen.memory.rows import read_signature

OUTGOING = data.StructLayout({"header": ANSWER, "words": range(WORDS + 1)})
"""An answer's header, and how many words of the memory follow it."""
CLOSING = 2
"""Flags at the end: if the line loses one, the frame ends all the same."""


class Framer(wiring.Component):
    """Sends frames: a flag, header, words from address 0 on, CRC, and two flags.

    Latency: 1 cycle to the first flag. Throughput: a byte every 3 cycles, and 3 more per word.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(OUTGOING)),  # ready when the frame before has been sent
                "words": Out(read_signature(WORD, WORDS)),  # must not change until then
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # It takes a byte's halves, one after the other: so it has two thirds of the LUTs.
        m.submodules.crc = crc = CRC(data_width=4).create()
        # What it takes comes a cycle later, out of registers.
        starts, takes, half = Signal(), Signal(), Signal(4)
        m.d.sync += [crc.start.eq(starts), crc.valid.eq(takes), crc.data.eq(half)]
        held = Signal(OUTGOING, reset_less=True)
        part = Signal(range(WORDS + 2), reset_less=True)  # header, words, CRC
        rest = Signal(WORD, reset_less=True)
        bytes_left = Signal(range(WORD // 8), reset_less=True)
        escaped = Signal(reset_less=True)
        byte = rest[:8]
        special = Signal(reset_less=True)  # the byte has to be escaped
        last = Signal(reset_less=True)  # the part is
        m.d.comb += self.words.addr.eq(part - 1)
        m.d.sync += [
            special.eq((byte == FLAG) | (byte == ESCAPE)),
            last.eq(part == held.words + 1),
        ]

        flags = Signal(range(CLOSING))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [held.eq(self.i.payload), part.eq(0)]
                with m.If(self.i.valid):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG), starts.eq(1)]
                m.d.sync += [rest.eq(held.header), bytes_left.eq(3), escaped.eq(0)]
                with m.If(self.o.ready):
                    m.next = "INSPECT"
            with m.State("INSPECT"):
                m.d.comb += [takes.eq(1), half.eq(byte[:4])]
                m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += [self.o.valid.eq(1), half.eq(byte[4:])]
                with m.If(special & ~escaped):
                    m.d.comb += self.o.payload.eq(ESCAPE)
                    with m.If(self.o.ready):
                        m.d.sync += escaped.eq(1)
                with m.Else():
                    m.d.comb += self.o.payload.eq(byte ^ Mux(escaped, FLIP, 0))
                    with m.If(self.o.ready):
                        m.d.comb += takes.eq(1)
                        m.d.sync += [
                            escaped.eq(0),
                            rest.eq(rest >> 8),
                            bytes_left.eq(bytes_left - 1),
                        ]
                        m.next = "INSPECT"
                        with m.If(bytes_left == 0):
                            m.d.sync += part.eq(part + 1)
                            m.next = "LOOK"
                            with m.If(last):
                                m.next = "CLOSE"
            # The memory's two cycles, in which the CRC takes the last byte, too.
            with m.State("LOOK"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    rest.eq(Mux(last, crc.crc, self.words.data)),
                    bytes_left.eq(3),
                ]
                m.next = "INSPECT"
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.d.sync += flags.eq(flags + 1)
                    with m.If(flags == CLOSING - 1):
                        m.d.sync += flags.eq(0)
                        m.next = "IDLE"
        return m
