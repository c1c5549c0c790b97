"""The feed-forward engine's front: from a task to events and weight rows."""

from amaranth.hdl import Cat, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import FORWARD
from backspike.gen.core.layout import EXTENT, block_bits, places_bits, spike_bits, window_bits
from backspike.gen.core.shared.gather_front import WHOLE, GatherFront
from backspike.gen.core.shared.source import (
    HEADER,
    edges_layout,
    edges_of,
    masked_tile,
    masks_of,
    span_masks,
)
from backspike.gen.core.shared.walk import TileWalk
from backspike.gen.core.weights import vector_port
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import read_signature


class ForwardFront(GatherFront):
    """For each block of a task: reads the sources' spike tiles, emits an event for each spike
    (entry of the block), and the weight row W[k, J] of each source k that spikes.

    Latency: about 10 cycles.
    """

    def __init__(self, machine: Machine):
        spikes, rows = spike_bits(machine), block_bits(machine)
        super().__init__(
            machine,
            FORWARD.on(machine),
            walk=TileWalk(
                blocks=spikes,
                sources=spikes,
                bases=spikes,
                rows=rows,
                entries=window_bits(machine),
                places=places_bits(machine),
            ),
            header=HEADER,
            reads={
                "spikes": read_signature(
                    machine.lanes * DEPTH, 2 * machine.spike_units, stalling=True
                )
            },
            scan_tag=data.StructLayout({"row": rows}),
            flags={"edges": edges_layout(machine.lanes)},
            ports={
                "extent": In(EXTENT),
                "buffer": In(1),  # which half of the spike memory
                "carry": In(1),  # the batch goes on with the samples of the one before
                "row": Out(vector_port(machine)),
            },
        )

    def walk_inputs(self):
        config, record = self.config, self.record
        return {
            "base_first": config.output_base,
            "by_set": config.readout & ~config.every,
            "connections": config.connections,
            "carry": self.carry,
            "connection": {
                "first": record.source_base,
                "tiles": record.source_tiles,
                "weights": record.weights,
                "tile_rows": record.source_tiles,
                "source_rows": 1,
                "diagonal": record.diagonal,
                "delay": record.delay,
                **self.where(record),
            },
        }

    def header(self, sum_header):
        return {name: sum_header[name] for name in HEADER.members}

    def request(self, step):
        edges = edges_of(self._machine.lanes, step, self.record, self.extent)
        address = Cat(step.source_base, self.buffer ^ step.other)
        return [address], {"row": step.row}, {"edges": edges}

    def masked_tile(self, m, rows, tag, taken):
        masks = masks_of(self._machine.lanes, tag.edges, span_masks(m, self.batch), self.extent)
        return Cat(masked_tile(m, rows[0], masks, "spike")), WHOLE

    def fetch(self, m, lines):
        tag = Signal(self._tag["scan"].shape, name="line_tag")
        m.d.comb += tag.eq(lines.payload.tag)
        self.fetch_weights(m, lines, tag.row, self.row)
