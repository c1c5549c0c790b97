"""The weight-gradient engine's front: from a task to events and gradient rows."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.layout import BATCH, EXTENT, config_layout, unit_bits
from backspike.gen.core.shared.scan import event_layout
from backspike.gen.core.shared.scanner import Scan, same_event
from backspike.gen.core.shared.source import PLACE, cleaned, masks_of, place_of, whole_block
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.elastic import PingPong
from backspike.gen.memory.prefetch import ReadPipe
from backspike.gen.memory.rows import read_signature

ROWS_HEADER = data.StructLayout({"row": 16, "source": 13, "tile": 8, "last": 1})
"""What the drain needs to know of a block of DEPTH sources: the block of its first weights, its
first source, the tile of neurons, and whether the task ends with it."""


class GradientFront(wiring.Component):
    """For each DEPTH sources of a task, through the whole batch: an event for each spike that
    meets a gradient row that is not empty, and that row G[d, J].

    Throughput: one event a cycle; a block of DEPTH entries x DEPTH sources in DEPTH / P cycles.
    Latency: about 14 cycles.

    Ports: i: tile J of neurons; o_headers: one for each DEPTH sources, before their events;
    o_events, o_vectors: see `Accumulator` (lines are entries, entries of the file are sources);
    spikes, masks, gradients: read ports; parity: which half of the spike memory.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "config": In(config_layout("wg")),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "spikes": Out(
                    read_signature(lanes * DEPTH, 2 * machine.spike_units, stalling=True)
                ),
                "masks": Out(read_signature(lanes * DEPTH, machine.units, stalling=True)),
                "gradients": Out(read_signature(lanes * 16, machine.units * DEPTH, stalling=True)),
                "o_headers": Out(stream.Signature(ROWS_HEADER)),
                "o_events": Out(stream.Signature(event_layout(DEPTH, DEPTH, 0))),
                "o_vectors": Out(stream.Signature(data.ArrayLayout(16, lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config, batch = self._machine, self.config, self.batch
        lanes = machine.lanes
        parts = DEPTH // lanes  # spike tiles side by side in a block of DEPTH sources
        units, own = unit_bits(machine), exact_log2(machine.units)

        tag_layout = data.StructLayout({"place": PLACE, "unit": own, "final": 1, "last": 1})
        m.submodules.tiles = tiles = ReadPipe(
            address_width=units + 1 + own, row_width=2 * lanes * DEPTH, tag_width=tag_layout.size
        )
        m.submodules.asked = asked = PingPong(tiles.i.payload.shape())
        wiring.connect(m, asked.o, tiles.i)
        m.submodules.scan = scan = Scan(lines=DEPTH, length=DEPTH, tag_width=own)

        tile = Signal(8)
        first = Signal(10)  # first spike tile of these DEPTH sources
        part = Signal(range(parts + 1))
        block = Signal(10)
        source = Signal(10)
        first_unit = Signal(units, reset_less=True)  # spike tile of `first`, block 0
        address = Signal(units, reset_less=True)
        unit = Signal(own, reset_less=True)  # gradient tile of `tile`, block 0
        row = Signal(16, reset_less=True)
        tile_rows = Signal(16, reset_less=True)  # weight blocks of the layer before `tile`
        tile_units = Signal(own, reset_less=True)  # gradient tiles of the layer before `tile`
        last_part = part == parts - 1
        blocks_before = Signal(10)  # the last one
        m.d.sync += blocks_before.eq(batch.blocks - 1)  # a batch stays while anything runs
        last_block = block == blocks_before
        last_sources = first + parts >= config.source_tiles
        header = self.o_headers.payload
        tag = Signal(tag_layout)
        m.d.comb += source.eq(first + part)
        m.d.comb += [
            tag.place.eq(place_of(lanes, source, config.sources, block, self.extent)),
            tag.unit.eq(unit + block),
            tag.final.eq(last_part),
            tag.last.eq(last_block),
            asked.i.payload.address.eq(Cat(address, self.parity, tag.unit)),
            asked.i.payload.tag.eq(tag),
            Cat(self.spikes.addr, self.masks.addr).eq(tiles.address),
            self.spikes.en.eq(tiles.en),
            self.masks.en.eq(tiles.en),
            tiles.row.eq(Cat(self.spikes.data, self.masks.data)),
            header.row.eq(row),
            header.source.eq(first * lanes),
            header.tile.eq(tile),
            header.last.eq(last_sources),
        ]
        with m.FSM():
            with m.State("REST"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [tile.eq(self.i.payload), first.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    tile_units.eq(tile * batch.blocks),
                    tile_rows.eq(tile * config.source_tiles),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    unit.eq(config.gradient_unit + tile_units),
                    row.eq(config.weights + tile_rows),
                    first_unit.eq(config.source_unit),
                ]
                m.next = "SOURCES"
            with m.State("SOURCES"):
                m.d.comb += self.o_headers.valid.eq(1)
                m.d.sync += [block.eq(0), part.eq(0), address.eq(first_unit)]
                with m.If(self.o_headers.ready):
                    m.next = "BLOCKS"
            with m.State("BLOCKS"):
                m.d.comb += asked.i.valid.eq(1)
                with m.If(asked.i.ready):
                    m.d.sync += [part.eq(part + 1), address.eq(address + batch.blocks)]
                    with m.If(last_part):
                        m.d.sync += [
                            part.eq(0),
                            block.eq(block + 1),
                            address.eq(first_unit + block + 1),
                        ]
                        with m.If(last_block):
                            m.d.sync += [
                                first.eq(first + parts),
                                first_unit.eq(first_unit + batch.blocks * parts),
                                row.eq(row + parts),
                            ]
                            m.next = "SOURCES"
                            with m.If(last_sources):
                                m.next = "REST"

        # Put spike tiles side by side: a line for each entry, a bit for each of DEPTH sources.
        # Entries without a gradient are as good as absent.
        got = Signal(tag_layout)
        mask = Signal(lanes * DEPTH)  # of gradients, lines over entries
        m.d.comb += [
            got.eq(tiles.o.payload.tag),
            mask.eq(tiles.o.payload.row[lanes * DEPTH :]),
        ]
        whole = whole_block(m, batch)
        in_tile, bias, present = masks_of(
            lanes, got.place, config.sources, config.bias, whole, self.extent
        )
        met = present & Cat(mask[d::DEPTH].any() for d in range(DEPTH))
        spikes = tiles.o.payload.row[: lanes * DEPTH]
        lines = cleaned(m, spikes, (in_tile, bias, met), "spike")
        kept = [Signal(DEPTH, name=f"kept{n}", reset_less=True) for n in range(DEPTH - lanes)]
        sources = [*kept, *lines]
        with m.If(tiles.o.valid & tiles.o.ready):
            m.d.sync += [k.eq(line) for k, line in zip(kept, sources[lanes:], strict=True)]
        m.d.comb += [
            scan.i.valid.eq(tiles.o.valid & got.final),
            tiles.o.ready.eq(scan.i.ready | ~got.final),
            scan.i.payload.tile.eq(Cat(Cat(line[d] for line in sources) for d in range(DEPTH))),
            scan.i.payload.tag.eq(got.unit),
            scan.i.payload.last.eq(got.last),
        ]

        # A line is an entry d: its row of gradients, fetched once.
        m.submodules.fetch = fetch = ReadPipe(
            address_width=own + exact_log2(DEPTH), row_width=lanes * 16, tag_width=0
        )
        m.d.comb += [
            fetch.i.valid.eq(scan.o_lines.valid),
            scan.o_lines.ready.eq(fetch.i.ready),
            fetch.i.payload.address.eq(Cat(scan.o_lines.payload.x, scan.o_lines.payload.tag)),
            self.gradients.addr.eq(fetch.address),
            self.gradients.en.eq(fetch.en),
            fetch.row.eq(self.gradients.data),
            self.o_vectors.valid.eq(fetch.o.valid),
            self.o_vectors.payload.eq(fetch.o.payload.row),
            fetch.o.ready.eq(self.o_vectors.ready),
            self.o_events.valid.eq(scan.o_events.valid),
            scan.o_events.ready.eq(self.o_events.ready),
            *same_event(self.o_events.payload, scan.o_events.payload),
        ]
        return m
