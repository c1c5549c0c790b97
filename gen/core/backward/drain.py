"""The back-propagation engine's drain: errors become gradients, backward through the steps."""

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.gen.core.backward.loss import BACKWARD_HEADER, Loss
from backspike.gen.core.backward.unit import CODE_LATENCY, BackwardUnit
from backspike.gen.core.engines import BACKWARD
from backspike.gen.core.forward.unit import CODE
from backspike.gen.core.layout import HALF_BITS, gradient_bits
from backspike.gen.core.shared.block_drain import UNIT_AT, BlockDrain, tile_bits
from backspike.gen.core.shared.rows import delayed_or_mux
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature


class BackwardDrain(BlockDrain):
    """Drains finished sums of the back-propagation engine into gradients and their masks.

    Where gradients do not depend on those of the next step (no temporal path), steps do not wait
    for each other, and an entry without any error takes one cycle instead of `reuse`.

    A read-out's blocks come as headers alone, see `Loss`.
    """

    kind = BACKWARD
    unit = BackwardUnit
    reverse = True
    header = BACKWARD_HEADER
    result = data.StructLayout({"gradient": HALF_BITS, "nonzero": 1})

    def __init__(self, machine: Machine):
        lanes = machine.lanes
        self._loss = Loss(machine)
        super().__init__(
            machine,
            {
                "touched": In(DEPTH),  # beside start: see `Accumulator`
                "codes": Out(read_signature(lanes * CODE.size, machine.units * DEPTH)),
                "logits": Out(read_signature(lanes * 16, machine.readout_units * DEPTH)),
                "labels": Out(read_signature(16, 2 * machine.readout_units * DEPTH)),
                "gradients": Out(write_signature(lanes * 16, machine.gradients * DEPTH)),
                # A mask tile has lane n's bits at n * DEPTH.
                "masks": Out(write_signature(lanes * DEPTH, machine.gradients)),
            },
        )

    def begin(self, m, sequencer):
        config, loss = self.config, self._loss
        m.submodules.loss = loss
        begin = self.start | loss.begin
        touched = Signal(DEPTH, reset_less=True)  # entries that have an error
        with m.If(begin):
            m.d.sync += touched.eq(self.touched)
        free = config.loss | ~(config.temporal | config.current | config.integrate)
        instant = free & ~config.loss
        m.d.comb += [
            loss.waiting.eq(self.i_headers.valid & ~self.busy),
            sequencer.free.eq(free),
            sequencer.skips.eq(Mux(instant, ~touched, 0)),
        ]
        return begin

    def feed(self, m, pipeline, units):
        loss, lanes = self._loss, self.lanes
        slot, header = (pipeline.get(name, at=0) for name in ("slot", "header"))
        # A block's gradients lie as far from its codes as the layer's do.
        distance = Signal(gradient_bits(self.machine), reset_less=True)
        m.d.sync += distance.eq(self.config.gradient_base - self.config.output_base)
        unit = Signal(gradient_bits(self.machine))
        m.d.comb += unit.eq(header.base + distance)
        pipeline.register("unit", unit, at=1)
        m.d.comb += [
            loss.config.eq(self.config),
            loss.buffer.eq(self.buffer),
            loss.slot.eq(slot),
            loss.header.eq(header),
            self.codes.addr.eq(Cat(slot.entry, header.base)),
            self.logits.addr.eq(loss.logits.addr),
            loss.logits.data.eq(self.logits.data),
            self.labels.addr.eq(loss.labels.addr),
            loss.labels.data.eq(self.labels.data),
        ]
        # What memories hold is put where it exists, so it is an error if units need it earlier.
        codes = [self.codes.data.word_select(n, CODE.size) for n in range(lanes)]
        phase = pipeline.get("slot", at=READ_LATENCY).phase
        for n, unit in enumerate(units):
            code = delayed_or_mux(m, codes, n, phase, self.reuse, "code")
            pipeline.put(f"code{n}", code, at=READ_LATENCY + 1)
            pipeline.put(f"loss{n}", loss.o[n], at=loss.latency)
            terms = pipeline.get(f"loss{n}", at=UNIT_AT + CODE_LATENCY)
            m.d.comb += [
                unit.code.as_value().eq(pipeline.get(f"code{n}", at=UNIT_AT + CODE_LATENCY)),
                unit.logit.eq(terms.logit),
                unit.onehot.eq(terms.onehot),
            ]

    def found(self, unit):
        return [unit.gradient, unit.gradient.any()]

    def rows(self, m, pipeline, row, written):
        slot, unit = (pipeline.get(name, at=self.row_at) for name in ("slot", "unit"))
        m.d.comb += [
            self.gradients.en.eq(written),
            self.gradients.addr.eq(Cat(slot.entry, unit)),
            self.gradients.data.eq(Cat(result.gradient for result in row)),
        ]
        return Cat(result.nonzero for result in row)

    def tile(self, m, pipeline, tile, written):
        m.d.comb += [
            self.masks.en.eq(written),
            self.masks.addr.eq(pipeline.get("unit", at=self.tile_at)),
            self.masks.data.eq(tile_bits(tile, self.lanes)),
        ]
