"""From a tile of bits to one event a cycle: empty lines are skipped, and full ones announced."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.bitops import (
    PART,
    at_most,
    clear_lowest,
    encode,
    first_index,
    lowest,
)
from backspike.gen.memory.elastic import RegisterSlice

AHEAD = 16
"""Places of both queues: covers the fetch of a line's vector at one event a line."""
MARGIN = 4
"""Places of these that are kept for lines on their way. A power of two: the level's upper bits
tell."""


def line_layout(lines: int, length: int, tag_width: int) -> data.StructLayout:
    """One line of a tile: its number x, its bits, the tile's tag, whether a sum ends with it, and
    whether any bit is set.

    Only the line that ends a sum may be empty.
    """
    return data.StructLayout(
        {"x": (lines - 1).bit_length(), "word": length, "tag": tag_width, "last": 1, "some": 1}
    )


def tile_layout(lines: int, length: int, tag_width: int) -> data.StructLayout:
    """A tile of bits: line x at bits x * length; its tag; whether a sum ends with it."""
    return data.StructLayout({"tile": lines * length, "tag": tag_width, "last": 1})


class RowCompactor(wiring.Component):
    """Takes tiles of `lines` x `length` bits apart into their lines that are not empty.

    A tile waits beside the one in work. An empty one makes way in two cycles, or in one if no tile
    is in work, so it costs a cycle only where its predecessor has no more than two lines.

    Latency: 3 cycles. Throughput: one line a cycle; a tile follows its predecessor's last line
    without a pause.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        self._lines = lines
        self._length = length
        super().__init__(
            {
                "i": In(stream.Signature(tile_layout(lines, length, tag_width))),
                "room": In(1),  # a line may be picked
                "o": Out(  # not to be refused
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
        waiting_valid, work_valid = Signal(), Signal()  # a tile is there
        waiting_lines = Signal(self._lines)  # lines that are not empty
        work_lines = Signal(self._lines)  # lines still to be picked
        done = Signal()  # the tile in work has been picked, or there is none
        move = Signal()  # the waiting tile goes into work
        pick = Signal(self._lines)
        last_line = Signal()  # at most one line is left
        waiting_empty = Signal()  # the waiting tile has no line; known a cycle late
        wanted = waiting_lines.any() | waiting.last
        m.d.comb += [
            pick.eq(lowest(work_lines)),
            done.eq(~work_valid | (self.room & last_line)),
            move.eq(waiting_valid & wanted & done),
            self.i.ready.eq(~waiting_valid | waiting_empty | done),
        ]
        m.d.sync += self.o.valid.eq(work_valid & self.room)

        # Each line has a register that is reset unless the line is picked. An OR of all is the
        # choice, and a register's reset takes no logic.
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
            last.eq(work.last & last_line),
            some.eq(work_lines.any()),
        ]
        with m.If(self.room):
            m.d.sync += [work_lines.eq(work_lines & ~pick), last_line.eq(at_most(work_lines, 2))]
        with m.If(done):
            m.d.sync += [work_valid.eq(move), work.eq(waiting)]
            m.d.sync += [work_lines.eq(waiting_lines), last_line.eq(at_most(waiting_lines, 1))]
        m.d.sync += waiting_empty.eq(waiting_valid & ~wanted & ~self.i.ready)
        arriving = self.i.payload.tile
        with m.If(self.i.ready):
            m.d.sync += [
                waiting_valid.eq(self.i.valid),
                waiting.eq(self.i.payload),
                waiting_lines.eq(
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

        m.d.comb += [
            rest.eq(clear_lowest(word)),
            self.o.valid.eq(busy),
            o.i.eq(first_index(word)),
            o.x.eq(line.x),
            o.tag.eq(line.tag),
            o.first.eq(first),
            o.hit.eq(word.any()),
            o.end.eq(line.last & final),
            step.eq(~busy | self.o.ready),
            load.eq(~busy | (self.o.ready & final)),
            self.i.ready.eq(load),
        ]
        with m.If(step):
            m.d.sync += [word.eq(rest), final.eq(at_most(word, 2)), first.eq(load)]
        with m.If(load):
            come = self.i.payload.word
            m.d.sync += [word.eq(come), final.eq(at_most(come, 1))]
            m.d.sync += [busy.eq(self.i.valid), line.eq(self.i.payload)]
        return m


def same_event(target, source) -> list:
    """Statements that copy an event without its tag."""
    return [target[name].eq(source[name]) for name in ("i", "x", "first", "end", "hit")]


class SpikeScanner(wiring.Component):
    """Scans tiles; announces every line that is not empty, and emits its events.

    A line goes into both queues at once, so it is announced before its first event. If the lines'
    consumer makes them wait, events may come first and have to be held.

    Latency: 4 cycles from tile to line, 6 to its first event. Throughput: one event and one line
    a cycle. Lines and events leave through queues, so no path leads from consumers back to tiles.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        self._lines, self._length, self._tag_width = lines, length, tag_width
        picker = RowCompactor(lines=lines, length=length, tag_width=tag_width)
        line = data.StructLayout({"x": (lines - 1).bit_length(), "tag": tag_width})
        super().__init__(
            {
                "i": In(stream.Signature(picker.i.payload.shape())),
                "o_lines": Out(stream.Signature(line)),
                "o_events": Out(stream.Signature(event_layout(lines, length, tag_width))),
            }
        )
        self._picker = picker

    def elaborate(self, platform):
        m = Module()
        m.submodules.picker = picker = self._picker
        shape = picker.o.payload.shape()
        m.submodules.ahead = ahead = fifo.SyncFIFO(width=shape.size, depth=AHEAD)
        m.submodules.emitter = emitter = EventEmitter(
            lines=self._lines, length=self._length, tag_width=self._tag_width
        )
        m.submodules.lines = lines = fifo.SyncFIFO(
            width=self.o_lines.payload.shape().size, depth=AHEAD
        )
        m.submodules.events = events = RegisterSlice(self.o_events.payload.shape())
        wiring.connect(m, wiring.flipped(self.i), picker.i)
        wiring.connect(m, emitter.o, events.i)
        wiring.connect(m, events.o, wiring.flipped(self.o_events))

        # Between `room` and its line in a queue there are two cycles, and so two lines.
        queues = lines, ahead
        picked = picker.o.payload
        m.d.sync += picker.room.eq(Cat(queue.level < AHEAD - MARGIN for queue in queues).all())
        m.d.comb += [
            lines.w_en.eq(picker.o.valid & picked.some),
            lines.w_data.eq(Cat(picked.x, picked.tag)),
            self.o_lines.valid.eq(lines.r_rdy),
            Value.cast(self.o_lines.payload).eq(lines.r_data),
            lines.r_en.eq(self.o_lines.ready),
            ahead.w_en.eq(picker.o.valid),
            ahead.w_data.eq(picked),
            emitter.i.valid.eq(ahead.r_rdy),
            emitter.i.payload.eq(ahead.r_data),
            ahead.r_en.eq(emitter.i.ready),
        ]
        return m
