"""The back-propagation engine's drain: errors become gradients, backward through the steps."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.accumulate import SUM_LATENCY, sum_width
from backspike.gen.core.drain import TimeOrder, gather, later, slot_layout, turn_of
from backspike.gen.core.layout import BATCH, EXTENT, config_layout
from backspike.gen.core.neuron import CODE
from backspike.gen.core.source import HEADER, entries
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature
from backspike.gen.numerics.half import FRACTION, ONE, PRODUCT_FIXED
from backspike.gen.numerics.round import NEAREST_LATENCY, Round
from backspike.gen.numerics.unpack import Product

SUM_TO_E = SUM_LATENCY + 1 + NEAREST_LATENCY
"""Cycles from a slot to e: the sum; a register; rounding."""
E_TO_G = 4 + NEAREST_LATENCY
"""Cycles from e to g: operands, products, alignment, addition; rounding."""
RECURRENCE = 1 + E_TO_G
"""Cycles from the use of g_{t+1} to that of g_t."""
MINUS_ONE = 0x8000 | ONE


class BackwardUnit(wiring.Component):
    """One backward neuron update a cycle: g = round(h e + κ g_{t+1}), e = round(sum).

    At a read-out e is the loss's error at the last step, and κ = 1: with the logit o and
    α in the place of h, e = round(α o - onehot) is the same sum of two products.

    Latency: SUM_TO_E + E_TO_G cycles from `slot` to `gradient`. Throughput: one a cycle.

    Ports: slot; sum (of `width` bits) in units of 2^-48, SUM_LATENCY cycles after slot; live: the
    slot holds a neuron and a sample; code, logit and onehot: READ_LATENCY cycles after
    slot; gradient; saturated, beside gradient.
    """

    def __init__(self, *, share: int, width: int):
        self._share = share
        self._width = width
        super().__init__(
            {
                "config": In(config_layout("bp")),
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
        turn_bits = (self._share - 1).bit_length()

        m.submodules.round_e = round_e = Round(width=self._width, fraction=2 * FRACTION)
        m.d.comb += round_e.i.eq(later(m, self.sum, 1, "sum"))

        # The code's derivative, and what else depends on the step, beside e.
        wait = SUM_TO_E - READ_LATENCY
        slot = later(m, self.slot, SUM_TO_E, "slot")
        spike = later(m, self.code.spike, wait, "spike")
        logit = later(m, self.logit, wait, "logit")
        onehot = later(m, self.onehot, wait, "onehot")
        h = Signal(16, reset_less=True)
        with m.Switch(self.code.code):
            for c in range(16):
                with m.Case(c):
                    m.d.sync += h.eq(config[f"h{c}"])
        derivative = later(m, h, wait - 1, "derivative")

        gradients = memory.Memory(shape=16, depth=DEPTH * 2**turn_bits, init=[])
        m.submodules.gradients = gradients
        read, write = gradients.read_port(domain="comb"), gradients.write_port()
        m.d.comb += read.addr.eq(Cat(slot.sample, slot.turn[:turn_bits]))

        # h e + κ g, or at a read-out α o - onehot
        products = [Product() for _ in range(2)]
        m.submodules.product_e, m.submodules.product_g = products
        h_e, e = products[0].i_a.as_value(), products[0].i_b.as_value()
        kappa, next_g = products[1].i_a.as_value(), products[1].i_b.as_value()
        with m.If(config.loss):
            m.d.comb += [
                h_e.eq(Mux(slot.last, Mux(config.squared, config.leak, ONE), 0)),
                e.eq(logit),
                kappa.eq(ONE),
                next_g.eq(Mux(slot.last, Mux(config.squared & onehot, MINUS_ONE, 0), read.data)),
            ]
        with m.Else():
            m.d.comb += [
                h_e.eq(Mux(config.spikes_only & ~spike, 0, derivative)),
                e.eq(round_e.o),
                kappa.eq(Mux(config.temporal & (config.soft | ~spike), config.leak, 0)),
                next_g.eq(Mux(slot.last, 0, read.data)),
            ]
        total = Signal(signed(PRODUCT_FIXED + 1), reset_less=True)
        m.d.sync += total.eq(products[0].o + products[1].o)
        m.submodules.round_g = round_g = Round(width=PRODUCT_FIXED + 1, fraction=2 * FRACTION)

        written = later(m, slot, E_TO_G, "written")
        live = later(m, self.live & self.slot.valid, SUM_TO_E + E_TO_G, "live")
        # e counts as saturated where it is used: lanes and tiles that skip it must not differ.
        e_saturated = Signal(reset_less=True)
        m.d.sync += e_saturated.eq(
            round_e.saturated & ~config.loss & (derivative != 0) & ~(config.spikes_only & ~spike)
        )
        m.d.comb += [
            round_g.i.eq(total),
            self.gradient.eq(Mux(live, Value.cast(round_g.o), 0)),
            write.en.eq(written.valid),
            write.addr.eq(Cat(written.sample, written.turn[:turn_bits])),
            write.data.eq(self.gradient),
            self.saturated.eq(
                live & (round_g.saturated | later(m, e_saturated, E_TO_G - 1, "e_saturated"))
            ),
        ]
        return m


class BackwardDrain(wiring.Component):
    """Drains finished sums of the back-propagation engine into gradients and their masks.

    Latency: a block takes T * max(samples * share, RECURRENCE) cycles at the most; its results are
    written up to 13 cycles later, while the next block drains. Throughput: P / share neurons a
    cycle.

    Ports: i_headers; start, busy, entry, sums: see `Accumulator` (a read-out's blocks come as
    headers alone); codes, logits, labels: read ports; gradients, masks: write ports (a mask tile
    has lane n's bits at n * DEPTH); done: a task is complete (one cycle); saturated.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        super().__init__(
            {
                "config": In(config_layout("bp")),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "i_headers": In(stream.Signature(HEADER)),
                "start": In(1),
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(sum_width(machine, "bp")), lanes)),
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
        neurons = Signal(lanes, reset_less=True)  # lanes that hold a neuron
        o_unit = Signal(13, reset_less=True)  # read-out tile

        m.submodules.time = time = TimeOrder(share=share, recurrence=RECURRENCE, reverse=True)
        begin = Signal()
        loss = Signal()
        left = Signal(signed(14))
        m.d.comb += [
            loss.eq(self.i_headers.valid & config.loss & ~self.busy),
            begin.eq(self.start | loss),
            time.start.eq(begin),
            time.batch.eq(self.batch),
            self.busy.eq(time.busy),
            self.entry.eq(time.o.entry),
            self.i_headers.ready.eq(begin),
            left.eq(config.size - self.i_headers.payload.tile * lanes),
        ]
        with m.If(begin):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                present.eq(entries(self.batch, self.extent, self.i_headers.payload.block)),
                neurons.eq(Cat(left > n for n in range(lanes))),
                o_unit.eq(self.i_headers.payload.unit - config.output_unit),
            ]

        m.d.comb += [
            self.codes.addr.eq(header.unit * DEPTH + time.o.entry),
            self.logits.addr.eq(o_unit * DEPTH + time.o.sample),
            self.labels.addr.eq(
                Cat(
                    (header.block * DEPTH + time.o.sample)[: len(self.labels.addr) - 1], self.parity
                )
            ),
        ]
        sum_turn = later(m, time.o.turn, SUM_LATENCY, "sum_turn")
        read_turn = later(m, time.o.turn, READ_LATENCY, "read_turn")
        read_tile = later(m, header.tile, READ_LATENCY, "read_tile")
        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = BackwardUnit(
                share=share, width=sum_width(machine, "bp")
            )
            lane = Signal(range(lanes), name=f"lane{n}")
            m.d.comb += [
                lane.eq(n * share + read_turn),
                unit.config.eq(config),
                unit.slot.eq(time.o),
                unit.sum.eq(turn_of(self.sums, n, sum_turn, share)),
                unit.live.eq(
                    turn_of(neurons, n, time.o.turn, share) & present.bit_select(time.o.entry, 1)
                ),
                unit.code.eq(self.codes.data.word_select(lane, CODE.size)),
                unit.logit.eq(self.logits.data.word_select(lane, 16)),
                unit.onehot.eq(self.labels.data == read_tile * lanes + lane),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        slot = later(m, time.o, SUM_TO_E + E_TO_G, "slot")
        row = gather(m, [unit.gradient for unit in units], slot.turn, share, "gradient")
        whole = later(m, slot, 1, "whole")
        # The next block may have begun, so what belongs to this one comes along.
        late = later(m, header, SUM_TO_E + E_TO_G + 1, "header")
        last = later(m, late, 1, "last")
        complete = Signal()
        finishing = Signal()
        tile = Signal(data.ArrayLayout(lanes, DEPTH))
        m.d.comb += [
            complete.eq(whole.valid & whole.whole),
            self.gradients.en.eq(complete),
            self.gradients.addr.eq(late.unit * DEPTH + whole.entry),
            self.gradients.data.eq(Cat(row)),
            self.masks.en.eq(finishing),
            self.masks.addr.eq(last.unit),
            self.masks.data.eq(Cat(tile[d][n] for n in range(lanes) for d in range(DEPTH))),
            self.done.eq(finishing & last.last),
        ]
        m.d.sync += finishing.eq(complete & whole.final)
        with m.If(finishing):
            m.d.sync += tile.eq(0)
        with m.If(complete):
            m.d.sync += tile[whole.entry].eq(Cat(g.any() for g in row))
        return m
