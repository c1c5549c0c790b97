"""From tiles to events, and to the lines whose vectors the events need."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.scan import EventEmitter, LinePicker, event_layout
from backspike.gen.memory.elastic import RegisterSlice

AHEAD = 16
"""Places of both queues: covers the fetch of a line's vector at one event a line."""
MARGIN = 4
"""Of these, places that are kept for lines on their way (a power of two: so the level's upper bits
tell)."""


def same_event(target, source) -> list:
    """Statements that copy an event without its tag."""
    return [target[name].eq(source[name]) for name in ("i", "x", "first", "end", "hit")]


class Scan(wiring.Component):
    """Scans tiles; announces every line that is not empty, and emits its events.

    A line goes into both queues at once. So it is announced before its first event, unless whoever
    listens to lines makes them wait; then its events may come first, and have to be held.

    Latency: 4 cycles from tile to line, 6 to its first event. Throughput: one event and one line
    a cycle. Lines and events leave through queues, so no path leads from consumers back to tiles.

    Ports: i, see `LinePicker`; o_lines {x, tag}; o_events, see `event_layout`.
    """

    def __init__(self, *, lines: int, length: int, tag_width: int):
        self._lines, self._length, self._tag_width = lines, length, tag_width
        picker = LinePicker(lines=lines, length=length, tag_width=tag_width)
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
