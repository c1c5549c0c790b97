"""What both ends of the link agree on. docs/link.md tells why."""

from amaranth.lib import data
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.enum import Enum

from backspike.gen.host.bus import WORD

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
"""RFC 1662: a flag begins and ends a frame; a byte of a frame that equals one of the first two is
sent as the escape and the byte with the bits of `FLIP` inverted."""
CRC = CRC32_ISO_HDLC
"""Over the whole frame before stuffing, and sent after it, lowest byte first: RFC 1662's FCS-32,
`zlib.crc32`."""
CRC_BYTES = 4
VERSION = 1
WORDS = 256
"""Words that a frame carries at most: with as many of an answer they fill a block RAM."""


class Op(Enum, shape=2):
    """What a request asks for.

    HELLO opens the link, and is always carried out; its answer has four words: the request's
    `address`, WORDS, the core's clock in Hz, and the bits a second. REPEAT carries nothing out: it
    asks for the answer to the request of its sequence number again, or for MISSED.
    """

    HELLO = 0
    READ = 1
    WRITE = 2
    REPEAT = 3


class Status(Enum, shape=4):
    """What an answer says; the first four are AXI's responses."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3
    DAMAGED = 4
    LENGTH = 5
    ALIEN = 6
    CLOSED = 7
    MISSED = 8


STATUS_TEXT = {
    Status.DAMAGED: "a frame came whose CRC is wrong",
    Status.LENGTH: f"the frame is not as long as its header says, or has more than {WORDS} words",
    Status.ALIEN: f"the request is unknown, or not of version {VERSION} of the link",
    Status.CLOSED: "no hello has come since the reset",
    Status.MISSED: "the request of that sequence number was not the last one carried out",
}

REQUEST = data.StructLayout(
    {
        "op": Op,
        "fixed": 1,  # all words at one address
        "spare": 1,
        "version": 4,
        "sequence": 8,
        "count": 16,  # words to read or write; otherwise 0
        "address": WORD,  # in bytes; for HELLO any number, which the answer repeats
    }
)
"""Header of a request, lowest byte first; a write's words follow."""

ANSWER = data.StructLayout(
    {
        "status": Status,
        "version": 4,
        "sequence": 8,  # of the request; with DAMAGED of the one last carried out
        "count": 16,  # words read or written
    }
)
"""Header of an answer, lowest byte first; the words read follow, or those of HELLO."""
