"""The feed-forward engine's drain: leaky integrate-and-fire neurons through a block's steps."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.accumulate import SUM_LATENCY, sum_width
from backspike.gen.core.drain import TimeOrder, gather, later, slot_layout, turn_of
from backspike.gen.core.layout import BATCH, EXTENT, config_layout
from backspike.gen.core.source import HEADER, entries
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import write_signature
from backspike.gen.numerics.half import FRACTION, HALF_FIXED, Half, to_fixed
from backspike.gen.numerics.round import NEAREST_LATENCY, Round
from backspike.gen.numerics.unpack import Product

CODE = data.StructLayout({"code": 4, "spike": 1})
"""What is kept of a neuron and step for the way back: surrogate code and spike."""

LEAKED = 67
"""Bits of λ v in units of 2^-48: |λ v| ≤ 65504, below 2^(16 + 48), the sign, and one to spare."""
SUM_TO_U = 3 + NEAREST_LATENCY
"""Cycles from a sum to u: product, alignment, addition; rounding."""
U_TO_CODE = 2
"""Cycles from u to spike and code: comparisons; counting."""
U_TO_V = 2 + NEAREST_LATENCY
"""Cycles from u to v, for a soft reset: alignment, subtraction; rounding."""
RECURRENCE = 1 + (1 + SUM_TO_U + U_TO_V)
"""Cycles from the use of v_{t-1} to that of v_t."""


def order(half) -> Value:
    """An unsigned key that orders halves (there is no -0) as numbers."""
    bits = Value.cast(half)
    return Mux(bits[15], ~bits, bits | 0x8000)[:16]


class NeuronUnit(wiring.Component):
    """One neuron update a cycle: u = round(sum + λ v), spike, code, and v by the reset.

    Latency: 1 + SUM_TO_U cycles from `slot` to u, U_TO_CODE more to `spike`, `code` and
    `logit` (which is u), and U_TO_V from u until v can be used. Throughput: one a cycle.

    Ports: slot; sum (of `width` bits) in units of 2^-24, SUM_LATENCY cycles after slot;
    saturated: a rounding has saturated (with `spike`; of a slot that counts, see `live`); live: the
    slot holds a neuron and a sample.
    """

    def __init__(self, *, share: int, width: int):
        self._share = share
        self._width = width
        super().__init__(
            {
                "config": In(config_layout("fp")),
                "slot": In(slot_layout(share)),
                "live": In(1),
                "sum": In(signed(width)),
                "spike": Out(1),
                "code": Out(4),
                "logit": Out(16),
                "active": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, slot = self.config, self.slot
        leak, threshold = Half(config.leak), Half(config.threshold)

        states = memory.Memory(shape=16, depth=DEPTH * 2 ** (self._share - 1).bit_length(), init=[])
        m.submodules.states = states
        read, write = states.read_port(domain="comb"), states.write_port()
        m.d.comb += read.addr.eq(Cat(slot.sample, slot.turn[: (self._share - 1).bit_length()]))

        # v and the sum | λ v | aligned | added | rounded: u
        m.submodules.leaked = leaked = Product()
        total4 = Signal(signed(self._width + FRACTION + 1), reset_less=True)
        sum3 = later(m, self.sum, 3 - SUM_LATENCY, "sum")
        m.d.comb += [
            leaked.i_a.eq(leak),
            leaked.i_b.eq(Mux(slot.first, 0, read.data)),
        ]
        m.d.sync += [
            total4.eq((sum3 << FRACTION) + leaked.o[:LEAKED].as_signed()),
        ]
        m.submodules.round_u = round_u = Round(width=len(total4), fraction=2 * FRACTION)
        m.d.comb += round_u.i.eq(total4)
        u = round_u.o

        # u | compared, and u - θ in fixed point | counted | rounded: v
        edges = [config[f"edge{n}"] for n in range(15)]
        key = order(u)
        reached = Signal(15, reset_less=True)
        fires = Signal(reset_less=True)
        fixed = Signal(signed(HALF_FIXED), reset_less=True)
        difference = Signal(signed(HALF_FIXED + 1), reset_less=True)
        m.d.sync += [
            reached.eq(Cat(key >= order(edge) for edge in edges)),
            fires.eq((key >= order(threshold)) & ~config.readout),
            fixed.eq(to_fixed(u)),
            difference.eq(fixed - to_fixed(threshold)),
            self.code.eq(sum(reached)),
            self.spike.eq(fires),
        ]
        m.submodules.round_v = round_v = Round(width=len(difference), fraction=FRACTION)
        m.d.comb += [
            round_v.i.eq(difference),
            self.active.eq(
                config.nonzero.bit_select(self.code, 1) & (~config.spikes_only | self.spike)
            ),
            self.logit.eq(later(m, Value.cast(u), U_TO_CODE, "u")),
        ]
        kept = later(m, self.logit, NEAREST_LATENCY, "kept")
        spiked = later(m, self.spike, NEAREST_LATENCY, "spiked")
        written = later(m, slot, 1 + SUM_TO_U + U_TO_V, "slot")
        m.d.comb += [
            write.en.eq(written.valid),
            write.addr.eq(Cat(written.sample, written.turn[: (self._share - 1).bit_length()])),
            write.data.eq(Mux(spiked, Mux(config.soft, round_v.o, 0), kept)),
        ]
        live_u = later(m, self.live & slot.valid, 1 + SUM_TO_U, "live_u")
        live_v = later(m, live_u, U_TO_V, "live_v")
        m.d.comb += self.saturated.eq(
            (round_u.saturated & live_u) | (round_v.saturated & live_v & spiked & config.soft)
        )
        return m


class NeuronDrain(wiring.Component):
    """Drains finished sums of the feed-forward engine into spikes, codes and logits.

    Latency: a block takes T * max(samples * share, RECURRENCE) cycles at the most; its results are
    written up to 12 cycles later, while the next block drains. Throughput: P / share neurons a
    cycle.

    Ports: i_headers; start, busy, entry, sums: see `Accumulator`; spikes, active, codes, logits:
    write ports (a spike tile has lane n's bits at n * DEPTH; codes and logits are rows of all
    lanes); done: a task is complete (one cycle); saturated.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        super().__init__(
            {
                "config": In(config_layout("fp")),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "i_headers": In(stream.Signature(HEADER)),
                "start": In(1),
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(sum_width(machine, "fp")), lanes)),
                "spikes": Out(write_signature(lanes * DEPTH, 2 * machine.spike_units)),
                "active": Out(write_signature(DEPTH, machine.units)),
                "codes": Out(write_signature(lanes * CODE.size, machine.units * DEPTH)),
                "logits": Out(write_signature(lanes * 16, machine.readout_units * DEPTH)),
                "done": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config = self._machine, self.config
        lanes, share = machine.lanes, machine.fp_share
        header = Signal(HEADER, reset_less=True)
        present = Signal(DEPTH, reset_less=True)  # entries that hold a sample
        neurons = Signal(lanes, reset_less=True)  # lanes that hold a neuron

        m.submodules.time = time = TimeOrder(share=share, recurrence=RECURRENCE, reverse=False)
        finishing = Signal()
        m.d.comb += [
            time.start.eq(self.start),
            time.batch.eq(self.batch),
            self.busy.eq(time.busy),
            self.entry.eq(time.o.entry),
            self.i_headers.ready.eq(self.start),
        ]
        left = Signal(signed(14))
        m.d.comb += left.eq(config.size - self.i_headers.payload.tile * lanes)
        with m.If(self.start):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                present.eq(entries(self.batch, self.extent, self.i_headers.payload.block)),
                neurons.eq(Cat(left > n for n in range(lanes))),
            ]

        sum_turn = later(m, time.o.turn, SUM_LATENCY, "sum_turn")
        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = NeuronUnit(
                share=share, width=sum_width(machine, "fp")
            )
            m.d.comb += [
                unit.config.eq(config),
                unit.slot.eq(time.o),
                unit.live.eq(
                    turn_of(neurons, n, time.o.turn, share) & present.bit_select(time.o.entry, 1)
                ),
            ]
            m.d.comb += unit.sum.eq(turn_of(self.sums, n, sum_turn, share))
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        # Results of all turns make a row; rows of spikes make the block's tile.
        # The next block may have begun, so what belongs to this one comes along.
        wait = 1 + SUM_TO_U + U_TO_CODE
        slot = later(m, time.o, wait, "slot")
        late = later(m, header, wait + 1, "header")
        here = neurons & present.bit_select(time.o.entry, 1).replicate(lanes)
        valid = later(m, here, wait + 1, "valid")
        results = [Cat(unit.active, unit.code, unit.spike, unit.logit) for unit in units]
        row = gather(m, results, slot.turn, share, "result")
        whole = later(m, slot, 1, "whole")
        complete = Signal()
        m.d.comb += complete.eq(whole.valid & whole.whole)
        row_active = Cat(r[0] for r in row) & valid
        row_spikes = Cat(r[5] for r in row) & valid
        tile = Signal(data.ArrayLayout(lanes, DEPTH))
        active = Signal(DEPTH)
        with m.If(finishing):
            m.d.sync += [tile.eq(0), active.eq(0)]
        with m.If(complete):
            m.d.sync += [
                tile[whole.entry].eq(row_spikes),
                active.bit_select(whole.entry, 1).eq(row_active.any()),
            ]
        m.d.comb += [
            self.codes.en.eq(complete & ~config.readout),
            self.codes.addr.eq(late.unit * DEPTH + whole.entry),
            self.codes.data.eq(Cat(r[1:6] for r in row)),
            self.logits.en.eq(complete & config.readout & whole.last),
            self.logits.addr.eq(late.unit * DEPTH + whole.sample),
            self.logits.data.eq(Cat(r[6:] for r in row)),
        ]

        m.d.sync += finishing.eq(complete & whole.final)
        last = later(m, late, 1, "last")
        m.d.comb += [
            self.spikes.en.eq(finishing & ~config.readout),
            self.spikes.addr.eq(Cat(last.unit[: len(self.spikes.addr) - 1], self.parity)),
            self.spikes.data.eq(Cat(tile[d][n] for n in range(lanes) for d in range(DEPTH))),
            self.active.en.eq(finishing & ~config.readout),
            self.active.addr.eq(last.unit),
            self.active.data.eq(active),
            self.done.eq(finishing & last.last),
        ]
        return m
