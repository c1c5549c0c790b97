"""One front for all engines: from a task to events and the vectors that they need."""

from collections.abc import Iterable, Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import (
    BATCH,
    CONNECTION_BITS,
    HALF_BITS,
    places_bits,
    weight_bits,
    window_bits,
)
from backspike.gen.core.shared.events import SpikeScanner, event_layout, same_event
from backspike.gen.core.shared.window import table_signature
from backspike.gen.core.weights import VECTOR_LATENCY
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.elastic import TwoEntryFIFO
from backspike.gen.memory.prefetch import Prefetch, ReadPipe


class GatherFront(wiring.Component):
    """Walks a task's tiles, reads them, masks their bits, and scans what is left.

    walk -> requests -> tiles -> masked tile -> lines and events; a line's vector is fetched once.
    An engine's own front says what it walks (`walk_inputs`, `header`), what it reads (`request`),
    which bits count (`masked_tile`), where a line's vector comes from (`fetch`), and what an event
    carries (`events`).

    Throughput: one event a cycle; a tile a cycle. Latency: see the engine's front.

    Parameters: walk; header: layout of a sum's header; reads: read ports of tiles; scan_tag: what a
    line and its events need of their step; flags: what else the mask needs; ports: further ones.
    """

    def __init__(
        self,
        machine: Machine,
        kind: EngineKind,
        *,
        walk: wiring.Component,
        header: data.StructLayout,
        reads: Mapping[str, wiring.Signature],
        scan_tag: data.StructLayout,
        flags: Mapping[str, Any],
        ports: Mapping[str, Any],
    ):
        self._machine, self._kind, self._walk = machine, kind, walk
        self._lines = kind.lines(machine)
        self._reads = tuple(reads)
        shift = {"places": places_bits(machine)} if kind.places(machine) else {}
        scan_tag = data.StructLayout({**scan_tag.members, **shift})
        self._tag = data.StructLayout({"scan": scan_tag, "last": 1, **flags})
        event = event_layout(self._lines, DEPTH, 0)
        value = {"value": HALF_BITS} if kind.product else {}
        if shifts := kind.places(machine):
            value["places"] = range(shifts + 1)
        entries = window_bits(machine)
        super().__init__(
            {
                "i": In(stream.Signature(WORK)),
                "config": In(kind.config),
                "batch": In(BATCH),
                **{name: Out(signature) for name, signature in reads.items()},
                **self._record_ports(kind),
                # What tells of planes and windows, if the machine has any.
                **({"windows": Out(table_signature(entries))} if entries else {}),
                **ports,
                "refused": Out(1),  # a vector's request was refused
                "o_headers": Out(stream.Signature(header)),  # of a sum, before its events
                "o_events": Out(stream.Signature(data.StructLayout({"event": event, **value}))),
                "o_vectors": Out(stream.Signature(data.ArrayLayout(HALF_BITS, machine.lanes))),
            }
        )

    @staticmethod
    def _record_ports(kind: EngineKind) -> dict:
        if not kind.record_fields:
            return {}
        return {
            "connection": Out(CONNECTION_BITS),  # which one's record is asked for
            "record": In(kind.record),  # this one's, in the same cycle
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        step, reads = walk.o.payload, [getattr(self, name) for name in self._reads]
        wiring.connect(m, wiring.flipped(self.i), walk.i)
        m.d.comb += [
            self.o_headers.valid.eq(walk.o_headers.valid),
            walk.o_headers.ready.eq(self.o_headers.ready),
            walk.batch.eq(self.batch),
            *_assign_ports(walk, self.walk_inputs()),
            *_assign(self.o_headers.payload, self.header(walk.o_headers.payload)),
        ]

        if "record" in self.signature.members:
            m.d.comb += self.connection.eq(walk.index)
        if "windows" in self.signature.members:
            wiring.connect(m, walk.table, wiring.flipped(self.windows))
        m.submodules.tiles = tiles = ReadPipe(
            address_width=sum(len(port.addr) for port in reads),
            row_width=sum(len(port.data) for port in reads),
            tag_width=self._tag.size,
        )
        m.submodules.requests = requests = TwoEntryFIFO(tiles.i.payload.shape())
        wiring.connect(m, requests.o, tiles.i)
        tag, got = Signal(self._tag), Signal(self._tag)
        addresses, scan_tag, flags = self.request(step)
        if "places" in self._tag["scan"].shape.members:
            scan_tag = {**scan_tag, "places": step.places}
        m.d.comb += [
            *_assign(tag.scan, scan_tag),
            *_assign(tag, {"last": step.last, **flags}),
            requests.i.valid.eq(walk.o.valid),
            walk.o.ready.eq(requests.i.ready),
            requests.i.payload.address.eq(Cat(addresses)),
            requests.i.payload.tag.eq(tag),
            Cat(port.addr for port in reads).eq(tiles.address),
            *(port.en.eq(tiles.en) for port in reads),
            tiles.row.eq(Cat(port.data for port in reads)),
        ]

        m.submodules.scan = scan = SpikeScanner(
            lines=self._lines, length=DEPTH, tag_width=self._tag["scan"].width
        )
        m.d.comb += got.eq(tiles.o.payload.tag)
        taken = tiles.o.valid & tiles.o.ready
        rows = _split(tiles.o.payload.row, [len(port.data) for port in reads])
        masked, complete = self.masked_tile(m, rows, got, taken)
        m.d.comb += [
            scan.i.valid.eq(tiles.o.valid & complete),
            tiles.o.ready.eq(scan.i.ready | ~complete),
            scan.i.payload.tile.eq(masked),
            scan.i.payload.tag.eq(got.scan),
            scan.i.payload.last.eq(got.last),
        ]
        self.fetch(m, scan.o_lines)
        self.events(m, scan.o_events)
        return m

    def where(self, told, applies: Any = 1) -> dict[str, Any]:
        """`windows` of a walk, on a machine that has them, as a record or a layer's tells; the
        table begins with a point, which is what there is unless that `applies`."""
        bits = window_bits(self._machine)
        return {"windows": Mux(applies, told.windows[:bits], 0)} if bits else {}

    def walk_inputs(self) -> dict[str, Any]:
        """What the walk takes of the descriptor, by its ports; of a struct by its fields."""
        raise NotImplementedError

    def header(self, sum_header) -> dict[str, Any]:
        """Fields of a header, from the walk's."""
        raise NotImplementedError

    def request(self, step) -> tuple[list[Value], dict[str, Any], dict[str, Any]]:
        """Of a step: addresses of the read ports, the tag of its lines and events, its flags."""
        raise NotImplementedError

    def masked_tile(self, m: Module, rows: list[Value], tag, taken) -> tuple[Value, Value]:
        """The bits that count of what was read, and whether they are a tile, or a part of one.

        taken: the row moves on.
        """
        raise NotImplementedError

    def fetch(self, m: Module, lines) -> None:
        """Connects a line's number to its vector."""
        raise NotImplementedError

    def events(self, m: Module, events) -> None:
        """Connects the scanner's events to `o_events`."""
        m.d.comb += [
            self.o_events.valid.eq(events.valid),
            events.ready.eq(self.o_events.ready),
            *same_event(self.o_events.payload.event, events.payload),
            *self.shift(self.o_events.payload, events.payload.tag),
        ]

    def shift(self, target, tag) -> list:
        """Statements that copy by how many places a term is shifted, if it may be, out of a tag of
        the scan."""
        if not self._kind.places(self._machine):
            return []
        return [target.places.eq(data.View(self._tag["scan"].shape, tag).places)]

    def prefetch(self, m: Module, lines, address: Value, latency: int) -> Prefetch:
        """Makes a line's vector the row at `address` of a memory of that latency, which is to be
        connected."""
        m.submodules.fetch = fetch = Prefetch(
            address_width=len(address),
            row_width=self._machine.lanes * HALF_BITS,
            tag_width=0,
            latency=latency,
        )
        # A register before the memory: the queue of lines is as far from it as its own address.
        request_valid, move = Signal(), Signal()
        requested = Signal(len(address), name="address", reset_less=True)
        with m.If(move):
            m.d.sync += [request_valid.eq(lines.valid), requested.eq(address)]
        m.d.comb += [
            move.eq(~request_valid | fetch.i.ready),
            lines.ready.eq(move),
            fetch.i.valid.eq(request_valid),
            fetch.i.payload.address.eq(requested),
            self.o_vectors.valid.eq(fetch.o.valid),
            self.o_vectors.payload.eq(fetch.o.payload.row),
            fetch.o.ready.eq(self.o_vectors.ready),
        ]
        return fetch

    def fetch_weights(self, m: Module, lines, block: Value, port) -> None:
        """A line's vector is row or column x of a block of weights, through a port that others may
        use, too (see `vector_port`)."""
        address = Cat(lines.payload.x, block)[: weight_bits(self._machine)]
        fetch = self.prefetch(m, lines, address, VECTOR_LATENCY)
        m.d.comb += [
            port.address.eq(fetch.address),
            port.valid.eq(fetch.valid),
            fetch.grant.eq(port.grant),
            fetch.row.eq(port.vector),
            self.refused.eq(fetch.valid & ~port.grant),
        ]


WHOLE = Const(1)
"""What is read is a tile, see `masked_tile`."""


def _assign(target, values: Mapping[str, Any]) -> list:
    return [target[name].eq(value) for name, value in values.items()]


def _assign_ports(component: wiring.Component, values: Mapping[str, Any]) -> list:
    statements = []
    for name, value in values.items():
        port = getattr(component, name)
        statements += _assign(port, value) if isinstance(value, Mapping) else [port.eq(value)]
    return statements


def _split(row: Value, widths: Iterable[int]) -> list[Value]:
    """A row's parts, lowest first."""
    parts, begin = [], 0
    for width in widths:
        parts.append(row[begin : begin + width])
        begin += width
    return parts
