"""From tiles to events, with the lines that the events need announced ahead."""

from amaranth.hdl import Module
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.scan import EventEmitter, LinePicker, event_layout

AHEAD = 16
"""Lines announced before their events: covers the fetch of a line's vector at one event a line."""


def same_event(target, source) -> list:
    """Statements that copy an event without its tag."""
    return [target[name].eq(source[name]) for name in ("i", "x", "first", "end", "hit")]


class Scan(wiring.Component):
    """Scans tiles; announces every line that is not empty, then emits its events.

    Latency: 3 cycles from tile to line, 5 to its first event. Throughput: one event and one line
    a cycle.

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
        wiring.connect(m, wiring.flipped(self.i), picker.i)
        wiring.connect(m, wiring.flipped(self.o_events), emitter.o)

        announced = picker.o.payload.some
        m.d.comb += [
            self.o_lines.payload.x.eq(picker.o.payload.x),
            self.o_lines.payload.tag.eq(picker.o.payload.tag),
            self.o_lines.valid.eq(picker.o.valid & announced & ahead.w_rdy),
            ahead.w_data.eq(picker.o.payload),
            ahead.w_en.eq(picker.o.valid & (self.o_lines.ready | ~announced)),
            picker.o.ready.eq(ahead.w_rdy & (self.o_lines.ready | ~announced)),
            emitter.i.valid.eq(ahead.r_rdy),
            emitter.i.payload.eq(ahead.r_data),
            ahead.r_en.eq(emitter.i.ready),
        ]
        return m
