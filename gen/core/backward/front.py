"""The back-propagation engine's front: from a task to events, values and weight columns."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.layout import BATCH, block_bits, config_layout, weight_bits
from backspike.gen.core.shared.scan import event_layout, one_of
from backspike.gen.core.shared.scanner import Scan, same_event
from backspike.gen.core.shared.source import HEADER
from backspike.gen.core.shared.walk import BlockWalk
from backspike.gen.core.weights import VECTOR_LATENCY
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.elastic import PingPong, RegisterSlice
from backspike.gen.memory.prefetch import Prefetch, ReadPipe
from backspike.gen.memory.rows import read_signature


class BackwardFront(wiring.Component):
    """For each block of a task: reads the masks of the next layer's gradients, drops the entries
    that this tile of neurons does not need (no surrogate derivative in the whole tile), and emits
    an event for each gradient left, with its value and the weight column W[K0, j] of its neuron j.

    A read-out layer has no next layer: its blocks go to the drain without events.

    Throughput: one event a cycle. Latency: about 14 cycles.

    Ports: i: tile K0 of this layer's neurons; o_headers: one for each block, before its events;
    o_events {event, value}, o_vectors: see `Accumulator`; masks, active, gradients: read ports;
    column: request for weights, answered VECTOR_LATENCY cycles later.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        event = event_layout(lanes, DEPTH, 0)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "config": In(config_layout("bp")),
                "batch": In(BATCH),
                "masks": Out(read_signature(lanes * DEPTH, machine.units, stalling=True)),
                "active": Out(read_signature(DEPTH, machine.units, stalling=True)),
                "gradients": Out(read_signature(lanes * 16, machine.units * DEPTH, stalling=True)),
                "column_address": Out(weight_bits(machine)),
                "column_vector": In(data.ArrayLayout(16, lanes)),
                "o_headers": Out(stream.Signature(HEADER)),
                "o_events": Out(stream.Signature(data.StructLayout({"event": event, "value": 16}))),
                "o_vectors": Out(stream.Signature(data.ArrayLayout(16, lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config, batch = self._machine, self.config, self.batch
        lanes = machine.lanes
        rows, units = block_bits(machine), exact_log2(machine.units)

        m.submodules.walk = walk = BlockWalk(units=units, rows=rows)
        step = walk.o.payload
        wiring.connect(m, wiring.flipped(self.i), walk.i)
        wiring.connect(m, walk.o_headers, wiring.flipped(self.o_headers))
        m.d.comb += [
            walk.batch.eq(batch),
            walk.own_unit.eq(config.output_unit),
            walk.source_unit.eq(config.next_unit),
            walk.source_tiles.eq(config.next_tiles),
            walk.weights.eq(config.next_weights),
            walk.tile_rows.eq(1),
            walk.source_rows.eq(config.next_source_tiles),
            walk.skip.eq(config.loss),
        ]

        # A tile's tag: its block of weights, and its unit for its values.
        scan_tag = data.StructLayout({"row": rows, "unit": units})
        tag_layout = data.StructLayout({"scan": scan_tag, "last": 1})
        m.submodules.tiles = tiles = ReadPipe(
            address_width=2 * units, row_width=lanes * DEPTH + DEPTH, tag_width=tag_layout.size
        )
        m.submodules.asked = asked = PingPong(tiles.i.payload.shape())
        wiring.connect(m, asked.o, tiles.i)
        m.submodules.scan = scan = Scan(lines=lanes, length=DEPTH, tag_width=scan_tag.size)
        tag = Signal(tag_layout)
        m.d.comb += [
            tag.scan.row.eq(step.row),
            tag.scan.unit.eq(step.unit),
            tag.last.eq(step.last),
            asked.i.valid.eq(walk.o.valid),
            walk.o.ready.eq(asked.i.ready),
            asked.i.payload.address.eq(Cat(step.unit, step.own)),
            asked.i.payload.tag.eq(tag),
            Cat(self.masks.addr, self.active.addr).eq(tiles.address),
            self.masks.en.eq(tiles.en),
            self.active.en.eq(tiles.en),
            tiles.row.eq(Cat(self.masks.data, self.active.data)),
        ]

        got = Signal(tag_layout)
        mask = Signal(lanes * DEPTH)
        needed = Signal(DEPTH)
        m.d.comb += [
            Cat(mask, needed).eq(tiles.o.payload.row),
            got.eq(tiles.o.payload.tag),
            scan.i.valid.eq(tiles.o.valid),
            tiles.o.ready.eq(scan.i.ready),
            scan.i.payload.tile.eq(mask & needed.replicate(lanes)),
            scan.i.payload.tag.eq(got.scan),
            scan.i.payload.last.eq(got.last),
        ]

        # A line is a neuron j of the next layer: its column of weights, fetched once.
        line = Signal(scan_tag)
        m.submodules.fetch = fetch = Prefetch(
            address_width=weight_bits(machine),
            row_width=lanes * 16,
            tag_width=0,
            latency=VECTOR_LATENCY,
        )
        known, move = Signal(), Signal()
        address = Signal(weight_bits(machine), reset_less=True)
        with m.If(move):
            m.d.sync += [
                known.eq(scan.o_lines.valid),
                address.eq(Cat(scan.o_lines.payload.x, line.row)),
            ]
        m.d.comb += [
            line.eq(scan.o_lines.payload.tag),
            move.eq(~known | fetch.i.ready),
            scan.o_lines.ready.eq(move),
            fetch.i.valid.eq(known),
            fetch.i.payload.address.eq(address),
            self.column_address.eq(fetch.address),
            fetch.row.eq(self.column_vector),
            self.o_vectors.valid.eq(fetch.o.valid),
            self.o_vectors.payload.eq(fetch.o.payload.row),
            fetch.o.ready.eq(self.o_vectors.ready),
        ]

        # An event is a gradient: its value comes from the row of its entry.
        event = scan.o_events.payload
        event_tag = Signal(scan_tag)
        plain = Signal(event_layout(lanes, DEPTH, 0))
        m.submodules.values = values = ReadPipe(
            address_width=units + exact_log2(DEPTH),
            row_width=lanes * 16,
            tag_width=len(plain.as_value()),
        )
        m.submodules.valued_events = valued_events = RegisterSlice(self.o_events.payload.shape())
        wiring.connect(m, valued_events.o, wiring.flipped(self.o_events))
        valued = Signal(plain.shape())
        m.d.comb += [
            event_tag.eq(event.tag),
            *same_event(plain, event),
            values.i.valid.eq(scan.o_events.valid),
            scan.o_events.ready.eq(values.i.ready),
            values.i.payload.address.eq(Cat(event.i, event_tag.unit)),
            values.i.payload.tag.eq(plain),
            self.gradients.addr.eq(values.address),
            self.gradients.en.eq(values.en),
            values.row.eq(self.gradients.data),
            valued_events.i.valid.eq(values.o.valid),
            values.o.ready.eq(valued_events.i.ready),
            valued.eq(values.o.payload.tag),
            valued_events.i.payload.event.eq(valued),
            valued_events.i.payload.value.eq(
                one_of(
                    [values.o.payload.row.word_select(n, 16) for n in range(lanes)],
                    [valued.x == n for n in range(lanes)],
                )
            ),
        ]
        return m
