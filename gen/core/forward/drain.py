"""The feed-forward engine's drain: neurons through a block's steps."""

from amaranth.hdl import Cat, Mux
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import FORWARD
from backspike.gen.core.forward.unit import CODE, ForwardUnit
from backspike.gen.core.shared.block_drain import BlockDrain, tile_bits
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import write_signature


class ForwardDrain(BlockDrain):
    """Drains finished sums of the feed-forward engine into spikes, codes and logits."""

    kind = FORWARD
    unit = ForwardUnit
    reverse = False
    result = data.StructLayout({"active": 1, "code": CODE, "logit": 16})

    def __init__(self, machine: Machine):
        lanes = machine.lanes
        super().__init__(
            machine,
            {
                "carry": In(1),  # what neurons keep goes on from the batch before
                # A tile has lane n's bits at n * DEPTH; codes and logits are rows of all lanes.
                "spikes": Out(write_signature(lanes * DEPTH, 2 * machine.spike_units)),
                "active": Out(write_signature(DEPTH, machine.units)),
                "codes": Out(write_signature(lanes * CODE.size, machine.units * DEPTH)),
                "logits": Out(write_signature(lanes * 16, machine.readout_units * DEPTH)),
            },
        )

    def begin(self, m, sequencer):
        m.d.comb += sequencer.carry.eq(self.carry)
        return self.start

    def feed(self, m, pipeline, units):
        pass  # sums are all that its units need

    def found(self, unit):
        return [unit.active, unit.code, unit.spike, unit.logit]

    def rows(self, m, pipeline, row, written):
        slot, header, live = (pipeline.get(x, at=self.row_at) for x in ("slot", "header", "live"))
        readout = self.config.readout
        m.d.comb += [
            self.codes.en.eq(written & ~readout),
            self.codes.addr.eq(Cat(slot.entry, header.base)),
            self.codes.data.eq(Cat(result.code for result in row)),
            self.logits.en.eq(written & readout & (slot.final | self.config.every)),
            self.logits.addr.eq(Cat(Mux(self.config.every, slot.entry, slot.sample), header.base)),
            self.logits.data.eq(Cat(result.logit for result in row)),
        ]
        spikes = Cat(result.code.spike for result in row) & live
        active = Cat(result.active for result in row) & live
        return Cat(spikes, active.any())

    def tile(self, m, pipeline, tile, written):
        unit = pipeline.get("header", at=self.tile_at).base
        enable = written & ~self.config.readout
        m.d.comb += [
            self.spikes.en.eq(enable),
            self.spikes.addr.eq(Cat(unit[: len(self.spikes.addr) - 1], self.buffer)),
            self.spikes.data.eq(tile_bits(tile, self.lanes)),
            self.active.en.eq(enable),
            self.active.addr.eq(unit),
            self.active.data.eq(Cat(row[self.lanes] for row in tile)),
        ]
