"""The feed-forward engine's front: from a task to events and weight rows."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import (
    BATCH,
    EXTENT,
    block_bits,
    config_layout,
    unit_bits,
    weight_bits,
)
from backspike.gen.core.shared.scan import event_layout
from backspike.gen.core.shared.scanner import Scan, same_event
from backspike.gen.core.shared.source import HEADER, PLACE, cleaned, masks_of, place_of, whole_block
from backspike.gen.core.shared.walk import BlockWalk
from backspike.gen.core.weights import VECTOR_LATENCY
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.elastic import PingPong
from backspike.gen.memory.prefetch import Prefetch, ReadPipe
from backspike.gen.memory.rows import read_signature


class ForwardFront(wiring.Component):
    """For each block of a task: reads the sources' spike tiles, emits an event for each spike
    (entry of the block) and the weight row W[k, J] of each source k that spikes.

    Throughput: one event a cycle; a spike tile a cycle. Latency: about 10 cycles.

    Ports: i: output tile J; o_headers: one for each block, before its events; o_events,
    o_vectors: see `Accumulator`; spikes: read port; row: request for weights,
    granted or not, answered VECTOR_LATENCY cycles after; parity: which half of the spike memory.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "config": In(config_layout("fp")),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "spikes": Out(
                    read_signature(lanes * DEPTH, 2 * machine.spike_units, stalling=True)
                ),
                "row_address": Out(weight_bits(machine)),
                "row_valid": Out(1),
                "row_grant": In(1),
                "row_vector": In(data.ArrayLayout(16, lanes)),
                "o_headers": Out(stream.Signature(HEADER)),
                "o_events": Out(stream.Signature(event_layout(lanes, DEPTH, 0))),
                "o_vectors": Out(stream.Signature(data.ArrayLayout(16, lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config, batch = self._machine, self.config, self.batch
        lanes = machine.lanes
        rows, units = block_bits(machine), unit_bits(machine)

        m.submodules.walk = walk = BlockWalk(units=units, rows=rows)
        step = walk.o.payload
        wiring.connect(m, wiring.flipped(self.i), walk.i)
        wiring.connect(m, walk.o_headers, wiring.flipped(self.o_headers))
        m.d.comb += [
            walk.batch.eq(batch),
            walk.own_unit.eq(Mux(config.readout, 0, config.output_unit)),
            walk.source_unit.eq(config.source_unit),
            walk.source_tiles.eq(config.source_tiles),
            walk.weights.eq(config.weights),
            walk.tile_rows.eq(config.source_tiles),
            walk.source_rows.eq(1),
        ]

        # The tile's tag: where it is, and its block of weights.
        tag_layout = data.StructLayout({"place": PLACE, "row": rows, "last": 1})
        m.submodules.tiles = tiles = ReadPipe(
            address_width=units + 1, row_width=lanes * DEPTH, tag_width=tag_layout.size
        )
        m.submodules.asked = asked = PingPong(tiles.i.payload.shape())
        wiring.connect(m, asked.o, tiles.i)
        m.submodules.scan = scan = Scan(lines=lanes, length=DEPTH, tag_width=rows)
        tag = Signal(tag_layout)
        place = place_of(lanes, step.source, config.sources, step.block, self.extent)
        m.d.comb += [
            tag.place.eq(place),
            tag.row.eq(step.row),
            tag.last.eq(step.last),
            asked.i.valid.eq(walk.o.valid),
            walk.o.ready.eq(asked.i.ready),
            asked.i.payload.address.eq(Cat(step.unit, self.parity)),
            asked.i.payload.tag.eq(tag),
            self.spikes.addr.eq(tiles.address),
            self.spikes.en.eq(tiles.en),
            tiles.row.eq(self.spikes.data),
        ]

        got = Signal(tag_layout)
        whole = whole_block(m, batch)
        masks = masks_of(lanes, got.place, config.sources, config.bias, whole, self.extent)
        m.d.comb += [
            got.eq(tiles.o.payload.tag),
            scan.i.valid.eq(tiles.o.valid),
            tiles.o.ready.eq(scan.i.ready),
            scan.i.payload.tile.eq(Cat(cleaned(m, tiles.o.payload.row, masks, "spike"))),
            scan.i.payload.tag.eq(got.row),
            scan.i.payload.last.eq(got.last),
        ]

        # A line is a source: its weights' row, fetched once.
        m.submodules.fetch = fetch = Prefetch(
            address_width=weight_bits(machine),
            row_width=lanes * 16,
            tag_width=0,
            latency=VECTOR_LATENCY,
        )
        known, move = Signal(), Signal()
        line = scan.o_lines.payload
        address = Signal(weight_bits(machine), reset_less=True)
        with m.If(move):
            m.d.sync += [known.eq(scan.o_lines.valid), address.eq(Cat(line.x, line.tag))]
        m.d.comb += [
            move.eq(~known | fetch.i.ready),
            scan.o_lines.ready.eq(move),
            fetch.i.valid.eq(known),
            fetch.i.payload.address.eq(address),
            self.row_address.eq(fetch.address),
            self.row_valid.eq(fetch.valid),
            fetch.grant.eq(self.row_grant),
            fetch.row.eq(self.row_vector),
            self.o_vectors.valid.eq(fetch.o.valid),
            self.o_vectors.payload.eq(fetch.o.payload.row),
            fetch.o.ready.eq(self.o_vectors.ready),
            self.o_events.valid.eq(scan.o_events.valid),
            scan.o_events.ready.eq(self.o_events.ready),
        ]
        m.d.comb += same_event(self.o_events.payload, scan.o_events.payload)
        return m
