"""Lanes: files of exact sums, accumulating one event a cycle in all lanes at once."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import HALF_BITS
from backspike.gen.core.shared.events import event_layout
from backspike.gen.core.shared.lane import STEP, Lane
from backspike.gen.core.shared.sum_buffer import SumBuffer
from backspike.gen.machine import DEPTH
from backspike.gen.numerics.half import Half
from backspike.gen.numerics.half_product import HalfProduct, factor, shift_factor, shifted_factor
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.gen.pipeline import Pipeline


class Accumulator(wiring.Component):
    """All lanes of an engine: joins events with the vectors of their lines and adds them up.

    Every sum goes into a buffer as well as into its lane's file, so when a block ends it is there
    for the drain and the lanes go on with the next. There is room for BLOCKS blocks: so long and
    short ones even out.

    Throughput: one event a cycle, as long as vectors are there and the buffer has room for a
    block that ends. Latency: `latency` cycles from the event that ends a block to `start`.

    Parameters: lanes, lines, product, width, places: see `Lane`.

    Ports: i_events (see `event_layout`; with `value` if product, with `places` by which the term is
    shifted if it may be), i_vectors {row of P halves}, one
    for each line. drain: start (one cycle; the sums of a block are there from the next cycle
    on), touched (beside start and the cycle before: entries that had a term; the others are zero),
    busy (the drain's answer, from the next cycle until the one in which it asks for the last sum),
    entry, sums (SUM_LATENCY cycles after entry).
    stall_vector, stall_drain: the event stream waits for this, this cycle; event: one is added.
    """

    def __init__(self, *, lanes: int, lines: int, product: bool, width: int, places: int = 0):
        self._product, self._places = product, places
        self._lanes = [Lane(product=product, width=width, places=places) for _ in range(lanes)]
        self._term_at = (HalfProduct.latency if product else HalfToFixed.latency) - 1
        self.latency = self._term_at + self._lanes[0].latency + 1
        self.width = width
        event = event_layout(lines, DEPTH, 0)
        payload = {"event": event, **({"value": Half} if product else {})}
        if places:
            payload["places"] = range(places + 1)
        super().__init__(
            {
                "i_events": In(stream.Signature(data.StructLayout(payload))),
                "i_vectors": In(stream.Signature(data.ArrayLayout(HALF_BITS, lanes))),
                "start": Out(1),
                "busy": In(1),
                "entry": In(range(DEPTH)),
                "sums": Out(data.ArrayLayout(signed(width), lanes)),
                "touched": Out(DEPTH),
                "stall_vector": Out(1),
                "stall_drain": Out(1),
                "event": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # An event enters with its line's vector, and if it ends a block, there is room for that.
        # So nothing has to stop behind it. After the last stage its term is there to be added.
        enter = Signal()
        pipeline = Pipeline(m)  # from cycle 0, in which an event enters
        head = pipeline.put("event", self.i_events.payload.event, at=0)
        pipeline.put("valid", self.i_events.valid & enter, at=0, reset=True)
        tail = pipeline.get("event", at=self._term_at)
        tail_valid = pipeline.get("valid", at=self._term_at)
        take = self.i_events.valid & head.hit & head.first
        end = self.i_events.valid & head.end
        finish = Signal()  # a block ends
        accumulated = Signal(DEPTH)  # entries that have a term
        accumulated_now = Signal(DEPTH)
        step = Signal(STEP)
        m.submodules.buffer = buffer = SumBuffer(
            lanes=len(self._lanes), width=self.width, latency=self._lanes[0].latency
        )
        m.d.comb += [
            self.stall_vector.eq(take & ~self.i_vectors.valid),
            self.stall_drain.eq(end & buffer.full),
            enter.eq(~self.stall_vector & ~self.stall_drain),
            self.i_events.ready.eq(enter),
            self.i_vectors.ready.eq(take & ~self.stall_drain),
            self.event.eq(tail_valid & tail.hit),
            finish.eq(tail_valid & tail.end),
            accumulated_now.eq(accumulated | Mux(self.event, 1 << tail.i, 0)),
        ]
        m.d.sync += [
            accumulated.eq(Mux(finish, 0, accumulated_now)),
            step.write.eq(self.event),
            step.replace.eq(~accumulated.bit_select(tail.i, 1)),
            step.entry.eq(tail.i),
            step.block.eq(buffer.block),
        ]

        first = pipeline.get("event", at=1)
        multiplier = None
        if self._product:
            value = self._factor()
            multiplier = pipeline.register("multiplier", value, at=1)
        for n, lane in enumerate(self._lanes):
            m.submodules[f"lane{n}"] = lane
            m.d.comb += [
                lane.load.eq(take),  # again and again until the event enters
                lane.element.eq(self.i_vectors.payload[n]),
                lane.step.eq(step),
                buffer.totals[n].eq(lane.total),
            ]
            if multiplier is not None:
                m.d.comb += lane.factor.eq(multiplier)
            else:
                if self._places:
                    m.d.comb += lane.places.eq(self.i_events.payload.places)
                m.d.comb += lane.shift.eq(pipeline.get("valid", at=1) & first.hit & first.first)

        m.d.comb += [
            buffer.reserve.eq(enter & end),
            buffer.step.eq(step),
            buffer.finish.eq(finish),
            buffer.i_touched.eq(accumulated_now),
            buffer.busy.eq(self.busy),
            buffer.entry.eq(self.entry),
            self.start.eq(buffer.start),
            self.sums.eq(buffer.sums),
            self.touched.eq(buffer.touched),
        ]
        return m

    def _factor(self):
        """An event's value as a factor."""
        value = self.i_events.payload.value
        if not self._places:
            return factor(value)
        shift = self.i_events.payload.places
        return data.View(shifted_factor(self._places), shift_factor(value, shift, self._places))
