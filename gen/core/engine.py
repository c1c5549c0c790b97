"""An engine: its queue, its front, its lanes and its drain. One generator, three instances."""

from amaranth.hdl import Module
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.backward.drain import BackwardDrain
from backspike.gen.core.backward.front import BackwardFront
from backspike.gen.core.control.dispatch import Dispatcher
from backspike.gen.core.engines import BACKWARD, FORWARD, UPDATE, EngineKind
from backspike.gen.core.forward.drain import ForwardDrain
from backspike.gen.core.forward.front import ForwardFront
from backspike.gen.core.layout import BATCH, EXTENT
from backspike.gen.core.shared.accumulate import Accumulator
from backspike.gen.core.shared.sum_buffer import BLOCKS
from backspike.gen.core.update.drain import UpdateDrain
from backspike.gen.core.update.front import UpdateFront
from backspike.gen.machine import Machine

PARTS = {
    FORWARD.name: (ForwardFront, ForwardDrain),
    BACKWARD.name: (BackwardFront, BackwardDrain),
    UPDATE.name: (UpdateFront, UpdateDrain),
}
"""Where events and vectors come from, and what is done with a finished sum."""

SHARED = ("batch", "extent", "buffer", "carry", "config")
"""Inputs that parts have in common."""
FRONT_INSIDE = ("i", "o_headers", "o_events", "o_vectors", "refused", "connection", "record")
DRAIN_INSIDE = ("i_headers", "start", "busy", "entry", "sums", "touched", "done", "table")
QUEUE_INSIDE = ("batch", "config", "o", "done", "loaded", "table", "connection", "record")
HEADERS = 2 * BLOCKS
"""Blocks that the front may be ahead of the drain: its events may take as long to become sums as
BLOCKS short blocks."""


class Engine(wiring.Component):
    """acc[i] += value * vector, an event a cycle in all lanes, and what comes before and after.

    The product of a sparse and a dense matrix, see `engines`.

    Ports: those of `Dispatcher` as queue_*, of the front as front_*, of the drain as drain_*,
    except for what connects them, and the engine's own.
    """

    def __init__(self, machine: Machine, kind: EngineKind):
        front, drain = PARTS[kind.name]
        self._queue = Dispatcher(machine, kind)
        self._front = front(machine)
        self._drain = drain(machine)
        self._sums = Accumulator(
            lanes=machine.lanes,
            lines=kind.lines(machine),
            product=kind.product,
            width=kind.sum_width(machine),
            places=kind.places(machine),
        )
        self._inside = (
            (self._queue, "queue_", QUEUE_INSIDE),
            (self._front, "front_", FRONT_INSIDE),
            (self._drain, "drain_", DRAIN_INSIDE),
        )
        ports = {
            "batch": In(BATCH),
            "extent": In(EXTENT),
            "buffer": In(1),  # of the run, as `batch` and `extent`
            "carry": In(1),
            "busy": Out(1),  # a task is in work
            "loaded": Out(1),  # a layer's first task begins
            "event": Out(1),  # one was added
            "stall_vector": Out(1),  # the lanes wait for a vector
            "stall_drain": Out(1),  # the lanes wait for the drain to take a file
            "stall_port": Out(1),  # a vector's request was refused
        }
        for part, prefix, inside in self._inside:
            for port, member in part.signature.members.items():
                if port not in inside and port not in SHARED:
                    ports[prefix + port] = member
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        queue, front, drain, sums = self._queue, self._front, self._drain, self._sums
        m.submodules.queue = queue
        m.submodules.front = front
        m.submodules.lanes = sums
        m.submodules.drain = drain
        for part, prefix, inside in self._inside:
            for port, member in part.signature.members.items():
                if port in SHARED:
                    if port == "config" and part is queue:
                        continue
                    source = queue.config if port == "config" else getattr(self, port)
                    m.d.comb += getattr(part, port).eq(source)
                elif port not in inside:
                    outer, inner = getattr(self, prefix + port), getattr(part, port)
                    if member.dimensions:
                        m.d.comb += [to.eq(value) for to, value in zip(inner, outer, strict=True)]
                    elif member.is_signature:
                        wiring.connect(m, wiring.flipped(outer), inner)
                    elif member.flow == In:
                        m.d.comb += inner.eq(outer)
                    else:
                        m.d.comb += outer.eq(inner)

        wiring.connect(m, queue.o, front.i)
        wiring.connect(m, front.o_vectors, sums.i_vectors)
        wiring.connect(m, front.o_events, sums.i_events)
        shape = front.o_headers.payload.shape()
        m.submodules.headers = headers = fifo.SyncFIFO(width=shape.size, depth=HEADERS)
        m.d.comb += [
            headers.w_en.eq(front.o_headers.valid),
            headers.w_data.eq(front.o_headers.payload),
            front.o_headers.ready.eq(headers.w_rdy),
            drain.i_headers.valid.eq(headers.r_rdy),
            drain.i_headers.payload.eq(headers.r_data),
            headers.r_en.eq(drain.i_headers.ready),
            drain.start.eq(sums.start),
            sums.busy.eq(drain.busy),
            sums.entry.eq(drain.entry),
            drain.sums.eq(sums.sums),
            queue.done.eq(drain.done),
            self.busy.eq(queue.busy),
            self.loaded.eq(queue.loaded),
            self.event.eq(sums.event),
            self.stall_vector.eq(sums.stall_vector),
            self.stall_drain.eq(sums.stall_drain),
            self.stall_port.eq(front.refused),
        ]
        if "record" in front.signature.members:
            m.d.comb += [queue.connection.eq(front.connection), front.record.eq(queue.record)]
        if "touched" in drain.signature.members:
            m.d.comb += drain.touched.eq(sums.touched)
        if "table" in drain.signature.members:
            m.d.comb += drain.table.eq(queue.table)
        return m
