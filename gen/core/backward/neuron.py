"""The back-propagation engine's drain: errors become gradients, backward through the steps."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.forward.neuron import CODE
from backspike.gen.core.layout import BATCH, EXTENT, TABLE, config_layout
from backspike.gen.core.shared.accumulate import sum_width
from backspike.gen.core.shared.drain import (
    TimeOrder,
    collect,
    gather,
    later,
    served,
    slot_layout,
    turn_of,
)
from backspike.gen.core.shared.source import HEADER, entries, lane_mask, whole_block
from backspike.gen.core.shared.sum_buffer import SUM_LATENCY
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature
from backspike.gen.numerics.half import FRACTION, ONE, PRODUCT_FIXED, Half
from backspike.gen.numerics.round import NEAREST_LATENCY, Round
from backspike.gen.numerics.unpack import Factor, UnpackProduct, factor

SUM_TO_E = NEAREST_LATENCY
"""Cycles from a sum to e: rounding."""
E_TO_G = UnpackProduct.latency + 1 + NEAREST_LATENCY
"""Cycles from e to g: products, addition; rounding."""
RECURRENCE = 2 + E_TO_G + 1
"""Cycles from the reading of g_{t+1} to that of g_t: out of its memory, a register; to g."""
CODE_LATENCY = 1
"""Cycles from a slot to its code, logit and label."""
MINUS_ONE = 0x8000 | ONE


class BackwardUnit(wiring.Component):
    """One backward neuron update a cycle: g = round(h e + κ g_{t+1}), e = round(sum).

    At a read-out e is the loss's error at the last step, and κ = 1: with the logit o and
    α in the place of h, e = round(α o - onehot) is the same sum of two products.

    Latency: SUM_TO_E + E_TO_G cycles from `slot` and `sum` to `gradient`. Throughput: one a cycle.

    Parameters: width: of the sum; share: lanes that it serves.

    Ports: table: a surrogate derivative h is written; slot; sum in units of 2^-48; live: the slot
    holds a neuron and a sample (if not, its gradient is 0); code, logit and onehot: CODE_LATENCY
    cycles after slot; gradient; saturated, beside gradient.
    """

    def __init__(self, *, width: int, share: int):
        self._width, self._share = width, share
        super().__init__(
            {
                "config": In(config_layout("bp")),
                "table": In(TABLE),
                "slot": In(slot_layout(share)),
                "live": In(1),
                "sum": In(signed(width)),
                "code": In(CODE),
                "logit": In(16),
                "onehot": In(1),
                "gradient": Out(16),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.round_e = round_e = Round(width=self._width, fraction=2 * FRACTION)
        m.d.comb += round_e.i.eq(self.sum)

        # What else depends on the step, beside e.
        wait = SUM_TO_E - CODE_LATENCY
        slot = later(m, self.slot, SUM_TO_E - 1, "slot")
        last = later(m, slot.last, 1, "last")
        live = later(m, self.live & self.slot.valid, SUM_TO_E - 1, "live")
        live_e = later(m, live, 1, "live_e")
        code = later(m, self.code, wait, "code")
        logit = later(m, self.logit, wait, "logit")
        onehot = later(m, self.onehot, wait - 1, "onehot")

        # The factors h and κ (at a read-out, α or 1, and 1), a cycle after e.
        leak = Signal(Factor, reset_less=True)
        m.d.sync += leak.eq(factor(Half(config.leak)))
        one = Signal(Factor)
        m.d.comb += one.eq(factor(Half(Const(ONE, 16))))
        row = data.StructLayout({"factor": Factor, "nonzero": 1})
        m.submodules.derivatives = table = memory.Memory(shape=row, depth=16, init=[])
        h_read, h_write = table.read_port(domain="comb"), table.write_port()
        given = Half(self.table.half)
        m.d.comb += [
            h_write.en.eq(self.table.write),
            h_write.addr.eq(self.table.index),
            h_write.data.factor.eq(factor(given)),
            h_write.data.nonzero.eq(given.as_value().any()),
            h_read.addr.eq(code.code),
        ]
        h = Signal(row, reset_less=True)
        kappa = Signal(Factor, reset_less=True)
        m.d.sync += [
            h.nonzero.eq(h_read.data.nonzero),
            h.factor.eq(Mux(config.loss, Mux(config.squared, leak, one), h_read.data.factor)),
            kappa.eq(Mux(config.loss, one, leak)),
        ]
        with m.If(~live_e | Mux(config.loss, ~last, config.spikes_only & ~code.spike)):
            m.d.sync += h.eq(0)
        with m.If(~config.loss & ~(config.temporal & (config.soft | ~code.spike))):
            m.d.sync += kappa.eq(0)

        # g_{t+1}, beside e (at a read-out's last step, the label's -1). It is read RECURRENCE
        # cycles after it was written or later, so never meanwhile.
        turn_bits = (self._share - 1).bit_length()
        gradients = memory.Memory(
            shape=16,
            depth=DEPTH << turn_bits,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        m.submodules.gradients = gradients
        read, write = gradients.read_port(), gradients.write_port()
        asked = later(m, self.slot, SUM_TO_E - 2, "asked")
        next_g = Signal(Half, reset_less=True)
        first = Mux(config.loss & config.squared & onehot, MINUS_ONE, 0)
        m.d.comb += read.addr.eq(Cat(asked.sample, asked.turn[:turn_bits]))
        m.d.sync += next_g.as_value().eq(Mux(slot.last, first, read.data))
        with m.If(~live):
            m.d.sync += next_g.eq(0)

        # h e + κ g as ±(|h e| ± κ |g|): one product has no sign, and the result may get one.
        e = Signal(Half)
        m.submodules.product_e = product_e = UnpackProduct()
        m.submodules.product_g = product_g = UnpackProduct()
        total = Signal(signed(PRODUCT_FIXED + 1), reset_less=True)
        m.submodules.round_g = round_g = Round(width=PRODUCT_FIXED + 1, fraction=2 * FRACTION)
        negative = later(m, e.sign, 1, "negative") ^ h.factor.sign
        m.d.comb += [
            e.as_value().eq(Mux(config.loss, logit, round_e.o)),
            product_e.i_half.eq(e),
            product_e.i_half.sign.eq(0),
            product_e.i_factor.eq(h.factor),
            product_e.i_factor.sign.eq(0),
            product_g.i_half.eq(next_g),
            product_g.i_half.sign.eq(next_g.sign ^ e.sign),
            product_g.i_factor.eq(kappa),
            product_g.i_factor.sign.eq(h.factor.sign),
            round_g.i.eq(total),
            round_g.i_negate.eq(later(m, negative, UnpackProduct.latency, "negate")),
        ]
        m.d.sync += total.eq(product_e.o + product_g.o + product_g.carry)

        written = later(m, slot, 1 + E_TO_G, "written")
        # e counts as saturated where it is used: lanes and tiles that skip it must not differ.
        e_saturated = later(m, round_e.saturated & ~config.loss, 1, "beyond") & h.nonzero
        m.d.comb += [
            self.gradient.eq(round_g.o),
            write.en.eq(written.valid),
            write.addr.eq(Cat(written.sample, written.turn[:turn_bits])),
            write.data.eq(self.gradient),
            self.saturated.eq(round_g.saturated | later(m, e_saturated, E_TO_G - 1, "e_saturated")),
        ]
        return m


class BackwardDrain(wiring.Component):
    """Drains finished sums of the back-propagation engine into gradients and their masks.

    Where gradients do not depend on those of the next step (no temporal path), an entry without
    any error takes one cycle instead of `share`.

    Latency: a block takes T * max(samples * share, RECURRENCE) + 1 cycles at the most; its results
    are written up to 16 cycles later, while the next block drains. Throughput: P / share neurons a
    cycle.

    Ports: table: a surrogate derivative h is written, while no block drains; i_headers; start,
    busy, entry, sums, touched: see `Accumulator` (a read-out's blocks come as
    headers alone); codes, logits, labels: read ports; gradients, masks: write ports (a mask tile
    has lane n's bits at n * DEPTH); done: a task is complete (one cycle); saturated.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        self._width = sum_width(machine, "bp")
        super().__init__(
            {
                "config": In(config_layout("bp")),
                "table": In(TABLE),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "i_headers": In(stream.Signature(HEADER)),
                "start": In(1),
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(self._width), lanes)),
                "touched": In(DEPTH),
                "codes": Out(read_signature(lanes * CODE.size, machine.units * DEPTH)),
                "logits": Out(read_signature(lanes * 16, machine.readout_units * DEPTH)),
                "labels": Out(read_signature(16, 2 * machine.readout_units * DEPTH)),
                "gradients": Out(write_signature(lanes * 16, machine.units * DEPTH)),
                "masks": Out(write_signature(lanes * DEPTH, machine.units)),
                "done": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config = self._machine, self.config
        lanes, share = machine.lanes, machine.bp_share
        header = Signal(HEADER, reset_less=True)
        present = Signal(DEPTH, reset_less=True)  # entries that hold a sample
        touched = Signal(DEPTH, reset_less=True)  # entries that have an error
        o_unit = Signal(13, reset_less=True)  # read-out tile

        m.submodules.time = time = TimeOrder(share=share, recurrence=RECURRENCE, reverse=True)
        begin = Signal()
        loss = Signal()
        m.d.comb += [
            loss.eq(self.i_headers.valid & config.loss & ~self.busy),
            begin.eq(self.start | loss),
            time.start.eq(begin),
            time.batch.eq(self.batch),
            time.free.eq(~config.loss & ~config.temporal),
            time.skips.eq(Mux(time.free, ~touched, 0)),
            self.busy.eq(time.busy),
            self.entry.eq(time.o.entry),
            self.i_headers.ready.eq(begin),
        ]
        full = whole_block(m, self.batch)
        with m.If(begin):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                touched.eq(self.touched),
                present.eq(entries(full, self.extent, self.i_headers.payload.block)),
                o_unit.eq(self.i_headers.payload.unit - config.output_unit),
            ]

        m.d.comb += [
            self.codes.addr.eq(Cat(time.o.entry, header.unit)),
            self.logits.addr.eq(Cat(time.o.sample, o_unit)),
            self.labels.addr.eq(
                Cat(Cat(time.o.sample, header.block)[: len(self.labels.addr) - 1], self.parity)
            ),
        ]
        # A sum comes SUM_LATENCY cycles after it was asked for, what a memory holds READ_LATENCY
        # cycles; then its unit's turn takes one. The next block may have begun then, so what
        # belongs to this one comes along.
        ahead = SUM_LATENCY + 1
        if ahead + CODE_LATENCY != READ_LATENCY + 1:
            raise AssertionError("codes do not come when they are expected")
        turn_bits, lane_bits = (share - 1).bit_length(), exact_log2(lanes)
        sum_turn = later(m, time.o.turn, SUM_LATENCY, "sum_turn")
        read_turn = later(m, time.o.turn, READ_LATENCY, "read_turn")
        tile = later(m, header.tile, READ_LATENCY, "tile")
        label = Signal(lane_bits, reset_less=True)
        here = Signal(reset_less=True)  # the label is in this tile
        label_turn = later(m, read_turn, 1, "label_turn")
        m.d.sync += [
            label.eq(self.labels.data[:lane_bits]),
            here.eq(self.labels.data[lane_bits:] == tile),
        ]
        slot = later(m, time.o, ahead, "slot")
        live = Signal(lanes)  # lanes that hold a neuron, in an entry that holds a sample
        neurons = Signal(lanes, reset_less=True)
        m.d.sync += neurons.eq(lane_mask(lanes, header.tile, config.size))
        m.d.comb += live.eq(neurons & present.bit_select(time.o.entry, 1).replicate(lanes))
        live = later(m, live, ahead, "live")
        kept = [
            Cat(self.codes.data.word_select(n, CODE.size), self.logits.data.word_select(n, 16))
            for n in range(lanes)
        ]
        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = BackwardUnit(width=self._width, share=share)
            mine = Cat(label_turn[:turn_bits], Const(n, lane_bits - turn_bits))
            m.d.comb += [
                unit.config.eq(config),
                unit.table.eq(self.table),
                unit.slot.eq(slot),
                unit.sum.eq(served(m, self.sums, n, sum_turn, share, "sum")),
                unit.live.eq(turn_of(live, n, slot.turn, share)),
                Cat(unit.code, unit.logit).eq(served(m, kept, n, read_turn, share, "kept")),
                unit.onehot.eq(here & (label == mine)),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        slot = later(m, slot, SUM_TO_E + E_TO_G, "slot_out")
        results = [Cat(unit.gradient, unit.gradient.any()) for unit in units]
        row = gather(m, results, slot.turn, share, "gradient", slot.skip)
        whole = later(m, slot, 1, "whole")
        late = later(m, header, ahead + SUM_TO_E + E_TO_G + 1, "header")
        last = later(m, late, 1, "last")
        complete = Signal()
        finishing = Signal()
        tile = collect(m, Cat(r[16] for r in row), whole.entry, complete, whole.final, "tile")
        m.d.comb += [
            complete.eq(whole.valid & whole.whole),
            self.gradients.en.eq(complete),
            self.gradients.addr.eq(Cat(whole.entry, late.unit)),
            self.gradients.data.eq(Cat(r[:16] for r in row)),
            self.masks.en.eq(finishing),
            self.masks.addr.eq(last.unit),
            self.masks.data.eq(Cat(tile[d][n] for n in range(lanes) for d in range(DEPTH))),
            self.done.eq(finishing & last.last),
        ]
        m.d.sync += finishing.eq(complete & whole.final)
        return m
