"""Scanning a bit matrix: from a tile of bits to one event a cycle, empty lines skipped."""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

PART = 4
"""Bits that are looked at together: what a LUT takes. A carry chain would be longer, and slower."""


def parts_of(bits) -> list:
    """Groups of PART bits, lowest first."""
    return [bits[n : n + PART] for n in range(0, len(bits), PART)]


def lowest(bits):
    """One-hot: the lowest bit that is set."""
    if len(bits) <= PART:
        return Cat(bits[n] & ~bits[:n].any() for n in range(len(bits)))
    parts = parts_of(bits)
    part = lowest(Cat(part.any() for part in parts))
    return Cat(
        lowest(bits) & chosen.replicate(len(bits)) for bits, chosen in zip(parts, part, strict=True)
    )


def few(bits, most: int):
    """Whether no more than `most` bits are set."""
    return ~at_least(bits, most + 1)[-1]


def at_least(bits, most: int) -> list:
    """Whether 1, 2, … `most` bits are set, or more."""
    if len(bits) <= PART:
        return [
            Cat(Cat(chosen).all() for chosen in itertools.combinations(bits, n)).any()
            for n in range(1, most + 1)
        ]
    low, high = (
        [Const(1), *at_least(Cat(half), most)]
        for half in (bits[: split_at(bits)], bits[split_at(bits) :])
    )
    return [
        Cat(low[n] & high[count - n] for n in range(count + 1)).any()
        for count in range(1, most + 1)
    ]


def split_at(bits) -> int:
    """Where whole parts are cut in half."""
    parts = -(-len(bits) // PART)
    return (parts + 1) // 2 * PART


def without_lowest(bits):
    """The bits but for the lowest one that is set."""
    parts = parts_of(bits)
    some = Cat(part.any() for part in parts)
    return Cat(
        Mux(some[:n].any(), part, part & ~lowest(part)) if n else part & ~lowest(part)
        for n, part in enumerate(parts)
    )


def encode(one_hot):
    """Index of the only bit that is set; 0 if none is."""
    width = max(1, (len(one_hot) - 1).bit_length())
    return Cat(
        Cat(one_hot[i] for i in range(len(one_hot)) if i >> n & 1).any() for n in range(width)
    )


def one_of(values, one_hot):
    """The value whose bit is set; 0 if none is. Takes half of the LUTs of a multiplexer."""
    return Cat(
        Cat(
            v[bit] & chosen for v, chosen in zip(values, one_hot, strict=True) if bit < len(v)
        ).any()
        for bit in range(max(map(len, values)))
    )


def line_layout(lines: int, length: int, tag_width: int) -> data.StructLayout:
    """One line of a tile: its number x, its bits, the tile's tag, whether a sum ends with it, and
    whether any bit is set.

    Only the line that ends a sum may be empty.
    """
    return data.StructLayout(
        {"x": (lines - 1).bit_length(), "word": length, "tag": tag_width, "last": 1, "some": 1}
    )


class LinePicker(wiring.Component):
    """Takes tiles of `lines` x `length` bits apart into their lines that are not empty.

    A tile waits beside the one in work, and an empty one makes way in two cycles, or in one if no
    tile is in work: so it costs a cycle only where its predecessor has no more than two lines.

    Latency: 3 cycles. Throughput: one line a cycle; a tile follows its predecessor's last line
    without a pause.

    Ports: i {tile (line x at bits x * length), tag, last: a sum ends with this tile};
    room: a line may be picked; o, see `line_layout`, not to be refused.
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
                "room": In(1),
                "o": Out(
                    wiring.Signature(
                        {"valid": Out(1), "payload": Out(line_layout(lines, length, tag_width))}
                    )
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        o = self.o.payload
        shape = self.i.payload.shape()
        waiting, work = Signal(shape, reset_less=True), Signal(shape, reset_less=True)
        coming = Signal(self._lines)  # lines of the waiting tile that are not empty
        left = Signal(self._lines)  # lines still to be picked
        ahead, busy = Signal(), Signal()  # is there a tile waiting, in work
        done = Signal()  # the tile in work has been picked, or there is none
        move = Signal()  # the waiting tile goes into work
        pick = Signal(self._lines)
        final = Signal()  # at most one line left
        useless = Signal()  # the waiting tile has no line; it is known a cycle late
        wanted = coming.any() | waiting.last
        m.d.comb += [
            pick.eq(lowest(left)),
            done.eq(~busy | (self.room & final)),
            move.eq(ahead & wanted & done),
            self.i.ready.eq(~ahead | useless | done),
        ]
        m.d.sync += self.o.valid.eq(busy & self.room)

        # A register for each line, zero unless it is picked: then to choose one takes no more than
        # to put them together, and a register that can be reset takes no logic.
        chosen = [
            Signal(self._length, name=f"chosen{x}", reset_less=True) for x in range(self._lines)
        ]
        for x, line in enumerate(chosen):
            m.d.sync += line.eq(work.tile.word_select(x, self._length))
            with m.If(~pick[x]):
                m.d.sync += line.eq(0)
        m.d.comb += o.word.eq(
            Cat(Cat(line[bit] for line in chosen).any() for bit in range(self._length))
        )
        x, tag, last, some = (
            Signal.like(o[name], name=name, reset_less=True)
            for name in ("x", "tag", "last", "some")
        )
        m.d.comb += [o.x.eq(x), o.tag.eq(tag), o.last.eq(last), o.some.eq(some)]
        m.d.sync += [
            x.eq(encode(pick)),
            tag.eq(work.tag),
            last.eq(work.last & final),
            some.eq(left.any()),
        ]
        with m.If(self.room):
            m.d.sync += [left.eq(left & ~pick), final.eq(few(left, 2))]
        with m.If(done):
            m.d.sync += [busy.eq(move), work.eq(waiting)]
            m.d.sync += [left.eq(coming), final.eq(few(coming, 1))]
        m.d.sync += useless.eq(ahead & ~wanted & ~self.i.ready)
        arriving = self.i.payload.tile
        with m.If(self.i.ready):
            m.d.sync += [
                ahead.eq(self.i.valid),
                waiting.eq(self.i.payload),
                coming.eq(
                    Cat(arriving.word_select(x, self._length).any() for x in range(self._lines))
                ),
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

    Parameters: length of a line, a multiple of PART.

    Ports: i, see `line_layout`; o, see `event_layout`.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        if length % PART:
            raise ValueError(f"length is {length}, must be a multiple of {PART}")
        self._length = length
        super().__init__(
            {
                "i": In(stream.Signature(line_layout(lines, length, tag_width))),
                "o": Out(stream.Signature(event_layout(lines, length, tag_width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        o = self.o.payload
        line = Signal(self.i.payload.shape(), reset_less=True)
        word = Signal(self._length, reset_less=True)
        busy = Signal()
        first = Signal(reset_less=True)
        rest = Signal(self._length)  # the word without its lowest bit
        final = Signal(reset_less=True)  # no more than one bit is left
        step, load = Signal(), Signal()

        # Only the lowest part that is not empty counts, and loses its lowest bit.
        parts = parts_of(word)
        some = Signal(len(parts))
        chosen = lowest(some)
        inner = [encode(lowest(part)) for part in parts]
        m.d.comb += [
            some.eq(Cat(part.any() for part in parts)),
            rest.eq(without_lowest(word)),
            self.o.valid.eq(busy),
            o.i.eq(Cat(one_of(inner, chosen), encode(chosen))),
            o.x.eq(line.x),
            o.tag.eq(line.tag),
            o.first.eq(first),
            o.hit.eq(some.any()),
            o.end.eq(line.last & final),
            step.eq(~busy | self.o.ready),
            load.eq(~busy | (self.o.ready & final)),
            self.i.ready.eq(load),
        ]
        with m.If(step):
            m.d.sync += [word.eq(rest), final.eq(few(word, 2)), first.eq(load)]
        with m.If(load):
            come = self.i.payload.word
            m.d.sync += [word.eq(come), final.eq(few(come, 1))]
            m.d.sync += [busy.eq(self.i.valid), line.eq(self.i.payload)]
        return m
