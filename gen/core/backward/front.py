"""The back-propagation engine's front: from a task to events, values and weight columns."""

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from backspike.gen.core.backward.loss import BACKWARD_HEADER
from backspike.gen.core.engines import BACKWARD
from backspike.gen.core.layout import (
    HALF_BITS,
    block_bits,
    code_bits,
    gradient_bits,
    places_bits,
    readout_bits,
    row_width,
    window_bits,
)
from backspike.gen.core.shared.bitops import select_onehot
from backspike.gen.core.shared.events import same_event
from backspike.gen.core.shared.gather_front import WHOLE, GatherFront
from backspike.gen.core.shared.source import HEADER
from backspike.gen.core.shared.walk import TileWalk
from backspike.gen.core.weights import vector_port
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.elastic import RegisterSlice
from backspike.gen.memory.prefetch import ReadPipe
from backspike.gen.memory.rows import read_signature


class BackwardFront(GatherFront):
    """For each block of a task: reads the masks of the next layer's gradients, drops the entries
    that this tile of neurons does not need (no surrogate derivative in the whole tile), and emits
    an event for each gradient left, with its value and the weight column W[K, j] of its neuron j.

    A read-out layer has no next layer: its blocks go to the drain without events.

    Latency: about 12 cycles.
    """

    def __init__(self, machine: Machine):
        bases, codes = gradient_bits(machine), code_bits(machine)
        rows = max(block_bits(machine), readout_bits(machine))
        width = row_width(machine)
        super().__init__(
            machine,
            BACKWARD.on(machine),
            walk=TileWalk(
                blocks=max(bases, codes),
                sources=bases,
                bases=codes,
                rows=rows,
                reverse=True,
                entries=window_bits(machine),
                places=places_bits(machine),
            ),
            header=BACKWARD_HEADER,
            reads={
                "masks": read_signature(machine.lanes * DEPTH, machine.gradients, stalling=True),
                "active": read_signature(DEPTH, machine.units, stalling=True),
            },
            scan_tag=data.StructLayout({"row": rows, "base": bases}),
            flags={"void": 1},
            ports={
                "gradients": Out(read_signature(width, machine.gradients * DEPTH, stalling=True)),
                "column": Out(vector_port(machine)),
            },
        )

    def walk_inputs(self):
        config, record = self.config, self.record
        loss = config.loss
        return {
            "base_first": config.output_base,
            "skip": loss,
            "connections": Mux(loss, 1, config.connections),
            # A loss has no weights above it: what is walked are its logits.
            "connection": {
                "first": record.next_base,
                "tiles": record.next_tiles,
                "weights": Mux(loss, config.logits, record.next_weights),
                "tile_rows": Mux(loss, self.batch.sets, 1),
                "source_rows": record.next_source_tiles,
                "diagonal": record.diagonal & ~loss,
                "delay": record.delay & ~loss,
                **self.where(record, ~loss),
            },
        }

    def header(self, sum_header):
        return {
            **{name: sum_header[name] for name in HEADER.members},
            "logits": sum_header.row + sum_header.set,
        }

    def request(self, step):
        return (
            [step.source_base, step.base],
            {"row": step.row, "base": step.source_base},
            {"void": step.void},
        )

    def masked_tile(self, m, rows, tag, taken):
        mask, active = rows
        needed = (active | self.config.integrate.replicate(DEPTH)) & (~tag.void).replicate(DEPTH)
        return mask & needed.replicate(self._machine.lanes), WHOLE

    def fetch(self, m, lines):
        tag = Signal(self._tag["scan"].shape, name="line_tag")
        m.d.comb += tag.eq(lines.payload.tag)
        self.fetch_weights(m, lines, tag.row, self.column)

    def events(self, m, events):
        """An event is a gradient: its value comes from the row of its entry."""
        machine = self._machine
        tag = Signal(self._tag["scan"].shape, name="event_tag")
        members = self.o_events.payload.shape().members
        carried = data.StructLayout({n: s for n, s in members.items() if n != "value"})
        plain, read = (Signal(carried, name=name) for name in ("event", "event_read"))
        m.submodules.values = values = ReadPipe(
            address_width=gradient_bits(machine) + exact_log2(DEPTH),
            row_width=row_width(machine),
            tag_width=len(plain.as_value()),
        )
        m.submodules.valued = valued = RegisterSlice(self.o_events.payload.shape())
        m.d.comb += [
            tag.eq(events.payload.tag),
            *same_event(plain.event, events.payload),
            *self.shift(plain, events.payload.tag),
            values.i.valid.eq(events.valid),
            events.ready.eq(values.i.ready),
            values.i.payload.address.eq(Cat(events.payload.i, tag.base)),
            values.i.payload.tag.eq(plain),
            self.gradients.addr.eq(values.address),
            self.gradients.en.eq(values.en),
            values.row.eq(self.gradients.data),
            valued.i.valid.eq(values.o.valid),
            values.o.ready.eq(valued.i.ready),
            read.eq(values.o.payload.tag),
            *(valued.i.payload[name].eq(read[name]) for name in members if name != "value"),
            valued.i.payload.value.eq(
                select_onehot(
                    [values.o.payload.row.word_select(n, HALF_BITS) for n in range(machine.lanes)],
                    [read.event.x == n for n in range(machine.lanes)],
                )
            ),
            self.o_events.valid.eq(valued.o.valid),
            self.o_events.payload.eq(valued.o.payload),
            valued.o.ready.eq(self.o_events.ready),
        ]
