"""Scanning a bit matrix: from a tile of bits to one event a cycle, empty lines skipped."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def lowest(bits):
    """One-hot: the lowest bit that is set."""
    return bits & (~bits + 1)[: len(bits)]


def encode(one_hot):
    """Index of the only bit that is set; 0 if none is."""
    width = max(1, (len(one_hot) - 1).bit_length())
    return Cat(
        Cat(one_hot[i] for i in range(len(one_hot)) if i >> n & 1).any() for n in range(width)
    )


def line_layout(lines: int, length: int, tag_width: int) -> data.StructLayout:
    """One line of a tile: its number x, its bits, the tile's tag, and whether a sum ends with it.

    Only the line that ends a sum may be empty.
    """
    return data.StructLayout(
        {"x": (lines - 1).bit_length(), "word": length, "tag": tag_width, "last": 1}
    )


class LinePicker(wiring.Component):
    """Takes tiles of `lines` x `length` bits apart into their lines that are not empty.

    A tile waits beside the one in work, and an empty one makes way at once: so it costs a cycle
    only where its predecessor has no more than one line.

    Latency: 2 cycles. Throughput: one line a cycle; a tile follows its predecessor's last line
    without a pause.

    Ports: i {tile (line x at bits x * length), tag, last: a sum ends with this tile};
    o, see `line_layout`.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        self._lines = lines
        self._length = length
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout({"tile": lines * length, "tag": tag_width, "last": 1})
                    )
                ),
                "o": Out(stream.Signature(line_layout(lines, length, tag_width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = data.StructLayout(
            {
                "tile": data.ArrayLayout(self._length, self._lines),
                "tag": self.o.payload.shape()["tag"].shape,
                "last": 1,
            }
        )
        waiting, work = Signal(shape, reset_less=True), Signal(shape, reset_less=True)
        coming = Signal(self._lines)  # lines of the waiting tile that are not empty
        left = Signal(self._lines)  # lines still to leave
        ahead, busy = Signal(), Signal()  # is there a tile waiting, in work
        move = Signal()  # the waiting tile goes into work
        done = Signal()  # the tile in work has left, or there is none
        pick = Signal(self._lines)
        final = Signal()  # at most one line left
        wanted = coming.any() | waiting.last
        m.d.comb += [
            pick.eq(lowest(left)),
            final.eq((left & (left - 1)[: self._lines]) == 0),
            self.o.valid.eq(busy),
            self.o.payload.x.eq(encode(pick)),
            self.o.payload.word.eq(
                Cat(
                    Cat(work.tile[x][bit] & pick[x] for x in range(self._lines)).any()
                    for bit in range(self._length)
                )
            ),
            self.o.payload.tag.eq(work.tag),
            self.o.payload.last.eq(work.last & final),
            done.eq(~busy | (self.o.ready & final)),
            move.eq(ahead & wanted & done),
            self.i.ready.eq(~ahead | ~wanted | done),
        ]
        with m.If(busy & self.o.ready):
            m.d.sync += left.eq(left & ~pick)
        with m.If(done):
            m.d.sync += [busy.eq(move), work.eq(waiting), left.eq(coming)]
        arriving = Signal(shape["tile"].shape)
        m.d.comb += arriving.eq(self.i.payload.tile)
        with m.If(self.i.ready):
            m.d.sync += [
                ahead.eq(self.i.valid),
                waiting.tile.eq(arriving),
                waiting.tag.eq(self.i.payload.tag),
                waiting.last.eq(self.i.payload.last),
                coming.eq(Cat(arriving[x].any() for x in range(self._lines))),
            ]
        return m


def event_layout(lines: int, length: int, tag_width: int) -> data.StructLayout:
    """One event: entry i of line x; first of its line; `end` of its sum; hit: there is one.

    hit is 0 only in the event that ends a sum whose last tile is empty.
    """
    return data.StructLayout(
        {
            "i": (length - 1).bit_length(),
            "x": (lines - 1).bit_length(),
            "tag": tag_width,
            "first": 1,
            "end": 1,
            "hit": 1,
        }
    )


class EventEmitter(wiring.Component):
    """Turns lines into events, one a cycle, lowest bit first.

    Latency: 1 cycle. Throughput: one event a cycle, lines follow each other without a pause.

    Ports: i, see `line_layout`; o, see `event_layout`.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        self._length = length
        super().__init__(
            {
                "i": In(stream.Signature(line_layout(lines, length, tag_width))),
                "o": Out(stream.Signature(event_layout(lines, length, tag_width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(self.i.payload.shape(), reset_less=True)
        word = Signal(self._length, reset_less=True)
        busy = Signal()
        first = Signal(reset_less=True)
        pick = Signal(self._length)
        rest = Signal(self._length)
        m.d.comb += [
            pick.eq(lowest(word)),
            rest.eq(word & ~pick),
            self.o.valid.eq(busy),
            self.o.payload.i.eq(encode(pick)),
            self.o.payload.x.eq(line.x),
            self.o.payload.tag.eq(line.tag),
            self.o.payload.first.eq(first),
            self.o.payload.hit.eq(word.any()),
            self.o.payload.end.eq(line.last & (rest == 0)),
            self.i.ready.eq(~busy | (self.o.ready & (rest == 0))),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [word.eq(rest), first.eq(0)]
        with m.If(self.i.ready):
            m.d.sync += [
                busy.eq(self.i.valid),
                line.eq(self.i.payload),
                word.eq(self.i.payload.word),
                first.eq(1),
            ]
        return m
