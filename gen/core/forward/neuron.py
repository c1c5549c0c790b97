"""The feed-forward engine's drain: leaky integrate-and-fire neurons through a block's steps."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.forward.surrogate import CodeSearch, order
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
from backspike.gen.memory.rows import write_signature
from backspike.gen.numerics.excess import Excess
from backspike.gen.numerics.half import FRACTION, Half
from backspike.gen.numerics.round import NEAREST_LATENCY, Round
from backspike.gen.numerics.unpack import UnpackProduct, factor

CODE = data.StructLayout({"code": 4, "spike": 1})
"""What is kept of a neuron and step for the way back: surrogate code and spike."""

LEAKED = 67
"""Bits of λ v in units of 2^-48: |λ v| ≤ 65504, below 2^(16 + 48), the sign, and one to spare."""
BELOW = 2
"""Bits below 2^-24 that u is rounded from: whether λ v has a half there, and anything else. The
sum has none."""
SUM_TO_U = 2 + UnpackProduct.latency + 1 + NEAREST_LATENCY
"""Cycles from a sum to u: v out of its memory, a register; product; addition; rounding."""
U_TO_CODE = CodeSearch.latency
"""Cycles from u to spike and code."""
U_TO_V = max(Excess.latency, U_TO_CODE)
"""Cycles from u to v, for a soft reset."""
RECURRENCE = SUM_TO_U + U_TO_V + 1
"""Cycles from the use of v_{t-1} to that of v_t."""


class NeuronUnit(wiring.Component):
    """One neuron update a cycle: u = round(sum + λ v), spike, code, and v by the reset.

    Latency: SUM_TO_U cycles from `slot` and `sum` to u, U_TO_CODE more to `spike`, `code` and
    `logit` (which is u), and U_TO_V from u until v can be used. Throughput: one a cycle.

    Parameters: width: of the sum; share: lanes that it serves.

    Ports: table: an edge of the surrogate is written; slot; sum in units of 2^-24; saturated: a
    rounding has saturated (u's or v's, each when it is known; of a slot that counts, see `live`);
    live: the slot holds a neuron and a sample.
    """

    def __init__(self, *, width: int, share: int):
        self._width, self._share = width, share
        super().__init__(
            {
                "config": In(config_layout("fp")),
                "table": In(TABLE),
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

        # A state is read RECURRENCE cycles after it was written or later, so never meanwhile.
        turn_bits = (self._share - 1).bit_length()
        states = memory.Memory(
            shape=16,
            depth=DEPTH << turn_bits,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        m.submodules.states = states
        read, write = states.read_port(), states.write_port()
        m.d.comb += read.addr.eq(Cat(slot.sample, slot.turn[:turn_bits]))
        first = later(m, slot.first, 1, "first")
        v = Signal(Half, reset_less=True)
        m.d.sync += v.as_value().eq(Mux(first, 0, read.data))

        # λ v. Of what it has below 2^-24 only matters whether it is a half of that, more or less:
        # a one in the place of all that is below 2^-25 tells it.
        m.submodules.leaked = leaked = UnpackProduct()
        leak = Signal.like(leaked.i_factor, reset_less=True)
        m.d.sync += leak.eq(factor(Half(config.leak)))
        m.d.comb += [leaked.i_half.eq(v), leaked.i_factor.eq(leak)]
        cut = FRACTION - BELOW
        inexact = Signal()
        upper = Signal(signed(LEAKED - cut))
        total = Signal(signed(self._width + BELOW + 1), reset_less=True)
        late_sum = Signal(signed(self._width))
        m.d.comb += [
            inexact.eq(leaked.o[:cut] != leaked.carry.replicate(cut)),
            upper.eq(Cat(leaked.o[cut] | inexact, leaked.o[cut + 1 : LEAKED])),
            late_sum.eq(later(m, self.sum, SUM_TO_U - NEAREST_LATENCY - 1, "sum")),
        ]
        m.d.sync += total.eq((late_sum << BELOW) + upper + (leaked.carry & ~inexact))
        m.submodules.round_u = round_u = Round(width=len(total), fraction=FRACTION + BELOW)
        m.d.comb += round_u.i.eq(total)
        u = round_u.o

        # Beside each other: the code and the spike; v after a soft reset.
        key = Signal(16)
        fires = Signal(reset_less=True)
        threshold = Half(config.threshold)
        m.submodules.search = search = CodeSearch()
        m.submodules.excess = excess = Excess()
        m.d.comb += [
            key.eq(order(u)),
            search.table.eq(self.table),
            search.i_key.eq(key),
            excess.i_a.eq(u),
            excess.i_b.eq(threshold),
            self.code.eq(search.o),
            self.spike.eq(later(m, fires, U_TO_CODE - 1, "fires")),
            self.active.eq(
                config.nonzero.bit_select(self.code, 1) & (~config.spikes_only | self.spike)
            ),
            self.logit.eq(later(m, Value.cast(u), U_TO_CODE, "u")),
        ]
        m.d.sync += fires.eq((key >= order(threshold)) & ~config.readout)
        kept = later(m, self.logit, U_TO_V - U_TO_CODE, "kept")
        spiked = later(m, self.spike, U_TO_V - U_TO_CODE, "spiked")
        written = later(m, slot, SUM_TO_U + U_TO_V, "slot")
        m.d.comb += [
            write.en.eq(written.valid),
            write.addr.eq(Cat(written.sample, written.turn[:turn_bits])),
            write.data.eq(Mux(spiked, Mux(config.soft, excess.o, 0), kept)),
        ]
        live_u = later(m, self.live & slot.valid, SUM_TO_U, "live_u")
        live_v = later(m, live_u, U_TO_V, "live_v")
        m.d.comb += self.saturated.eq(
            (round_u.saturated & live_u) | (excess.saturated & live_v & spiked & config.soft)
        )
        return m


class NeuronDrain(wiring.Component):
    """Drains finished sums of the feed-forward engine into spikes, codes and logits.

    Latency: a block takes T * max(samples * share, RECURRENCE) + 1 cycles at the most; its results
    are written up to 18 cycles later, while the next block drains. Throughput: P / share neurons a
    cycle.

    Ports: table: an edge of the surrogate is written, while no block drains; i_headers; start,
    busy, entry, sums: see `Accumulator`; spikes, active, codes, logits:
    write ports (a spike tile has lane n's bits at n * DEPTH; codes and logits are rows of all
    lanes); done: a task is complete (one cycle); saturated.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        self._width = sum_width(machine, "fp")
        super().__init__(
            {
                "config": In(config_layout("fp")),
                "table": In(TABLE),
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "parity": In(1),
                "i_headers": In(stream.Signature(HEADER)),
                "start": In(1),
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(self._width), lanes)),
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

        m.submodules.time = time = TimeOrder(share=share, recurrence=RECURRENCE, reverse=False)
        finishing = Signal()
        m.d.comb += [
            time.start.eq(self.start),
            time.batch.eq(self.batch),
            self.busy.eq(time.busy),
            self.entry.eq(time.o.entry),
            self.i_headers.ready.eq(self.start),
        ]
        full = whole_block(m, self.batch)
        with m.If(self.start):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                present.eq(entries(full, self.extent, self.i_headers.payload.block)),
            ]

        # A sum comes SUM_LATENCY cycles after it was asked for, and its unit's turn takes one.
        # The next block may have begun then, so what belongs to this one comes along.
        turn = later(m, time.o.turn, SUM_LATENCY, "turn")
        slot = later(m, time.o, SUM_LATENCY + 1, "slot")
        here = Signal(lanes)  # lanes that hold a neuron, in an entry that holds a sample
        neurons = Signal(lanes, reset_less=True)
        m.d.sync += neurons.eq(lane_mask(lanes, header.tile, config.size))
        m.d.comb += here.eq(neurons & present.bit_select(time.o.entry, 1).replicate(lanes))
        live = later(m, here, SUM_LATENCY + 1, "live")
        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = NeuronUnit(width=self._width, share=share)
            m.d.comb += [
                unit.config.eq(config),
                unit.table.eq(self.table),
                unit.slot.eq(slot),
                unit.live.eq(turn_of(live, n, slot.turn, share)),
                unit.sum.eq(served(m, self.sums, n, turn, share, "sum")),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        # Results of all turns make a row; rows of spikes make the block's tile.
        wait = SUM_TO_U + U_TO_CODE
        slot = later(m, slot, wait, "slot_out")
        late = later(m, header, SUM_LATENCY + 1 + wait + 1, "header")
        valid = later(m, live, wait + 1, "valid")
        results = [Cat(unit.active, unit.code, unit.spike, unit.logit) for unit in units]
        row = gather(m, results, slot.turn, share, "result")
        whole = later(m, slot, 1, "whole")
        complete = Signal()
        m.d.comb += complete.eq(whole.valid & whole.whole)
        row_active = Cat(r[0] for r in row) & valid
        row_spikes = Cat(r[5] for r in row) & valid
        tile = collect(
            m, Cat(row_spikes, row_active.any()), whole.entry, complete, whole.final, "tile"
        )
        m.d.comb += [
            self.codes.en.eq(complete & ~config.readout),
            self.codes.addr.eq(Cat(whole.entry, late.unit)),
            self.codes.data.eq(Cat(r[1:6] for r in row)),
            self.logits.en.eq(complete & config.readout & whole.last),
            self.logits.addr.eq(Cat(whole.sample, late.unit)),
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
            self.active.data.eq(Cat(spikes_active[lanes] for spikes_active in tile)),
            self.done.eq(finishing & last.last),
        ]
        return m
