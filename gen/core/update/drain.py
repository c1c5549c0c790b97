"""The weight-gradient engine's drain: gradients become updated weights, row by row."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.layout import HALF_BITS, part_bits, row_width, weight_bits
from backspike.gen.core.shared.rows import gather, select_phase
from backspike.gen.core.shared.sum_buffer import SUM_LATENCY
from backspike.gen.core.shared.window import TAP_BITS
from backspike.gen.core.update.front import rows_header
from backspike.gen.core.update.row_sequencer import RowSequencer, phases
from backspike.gen.core.update.unit import (
    D_AT,
    SUM_TO_W,
    W_AT,
    WORD_AT,
    Scaled,
    UpdateUnit,
    later_by,
    scaled,
)
from backspike.gen.core.weights import VECTOR_LATENCY, rotate
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature
from backspike.gen.numerics.half import Half
from backspike.gen.numerics.half_product import Factor, factor
from backspike.gen.pipeline import Pipeline

ADDRESS_AT = 3
"""Cycles from a row's first slot to its address: the entry, its offset, their sum."""
PARTS_LATENCY = ADDRESS_AT + READ_LATENCY - SUM_LATENCY
"""Cycles that a sum waits for what others have of it, on a machine with partial sums."""


def sum_at(machine: Machine) -> int:
    """Cycles from a slot until its sum is with its unit."""
    return SUM_LATENCY + (PARTS_LATENCY if machine.parts else 0)


class UpdateDrain(wiring.Component):
    """Drains finished sums of DEPTH sources into their weights: each row that had a gradient (or
    `all` that there are) is read, updated and written. With `hand` d is written in the place of w:
    as 0 - η d, of which the host makes η -1.

    With partial sums: with `take` those of all rows are added to the sums. With `keep` the sums
    become the partial sums, and no weight, nor moment, is read or written: of all rows, but with
    `take` only of those that had a gradient, as the others stay as they are.

    Latency: SUM_TO_W + wg_reuse cycles from a row's first sum to its write, or one more; with
    momentum `later` more, with partial sums PARTS_LATENCY.
    Throughput: a row every max(2, wg_reuse) cycles, its read and its write in different cycles of
    this rhythm, so they never meet at the memory's one address; the next block follows without a
    pause.

    The weights of a phase are rotated to their banks before the row is gathered, which takes a
    rotation of units instead of lanes.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = self._lanes = machine.lanes
        self._header = rows_header(lanes, planes=bool(machine.windows))
        self._reuse = machine.wg_reuse
        self._momentum, self._parts = bool(machine.momentum), bool(machine.parts)
        # Everything that comes after d.
        later = later_by(self._momentum)
        self._sum_at = sum_at(machine)
        self._moment_at = self._sum_at + D_AT
        self._request_at = ADDRESS_AT + self._sum_at - SUM_LATENCY + later
        self._old_at = self._sum_at + W_AT + later
        self._word_at = self._sum_at + WORD_AT + later
        self._weight_at = self._sum_at + SUM_TO_W + later
        row, rows, part_row = row_width(machine), machine.weight_rows, lanes * part_bits(machine)
        moments = {
            "moments_read": Out(read_signature(row, rows)),
            "moments_write": Out(write_signature(row, rows)),
        }
        parts = {
            "take": In(1),  # of the run, as `keep`
            "keep": In(1),
            "parts_read": Out(read_signature(part_row, rows)),
            "parts_write": Out(write_signature(part_row, rows)),
        }
        super().__init__(
            {
                "config": In(UPDATE.on(machine).config),
                "i_headers": In(stream.Signature(self._header)),
                "start": In(1),  # start to touched: see `Accumulator`; the header beside touched
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(UPDATE.sum_width(machine)), lanes)),
                "touched": In(DEPTH),
                # A row request, never refused, and what is written by banks: see `WeightMemory`.
                "row_valid": Out(1),
                "row_write": Out(1),
                "row_address": Out(weight_bits(machine)),
                "row_load": Out(lanes),
                "row_data": Out(data.ArrayLayout(HALF_BITS, lanes)),
                "row_vector": In(data.ArrayLayout(HALF_BITS, lanes)),
                **(moments if self._momentum else {}),
                **(parts if self._parts else {}),
                "rows": Out(1),  # a row is updated (one cycle)
                "done": Out(1),  # a task is complete (one cycle)
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        reuse = self._reuse
        m.submodules.sequencer = sequencer = RowSequencer(reuse=reuse)
        header = Signal(self._header, reset_less=True)
        every = self.config.all
        if self._parts:
            every = Mux(self.keep, ~self.take, every | self.take)
        there = Cat(bit.replicate(self._lanes) for bit in self.i_headers.payload.tiles)
        # The header of the next block, and what it touched, are there a cycle before its start.
        rows = Signal(DEPTH, reset_less=True)
        m.d.sync += rows.eq(self.touched | Mux(every, there, 0))
        with m.If(self.start):
            m.d.sync += header.eq(self.i_headers.payload)
        m.d.comb += [
            self.i_headers.ready.eq(self.start),
            sequencer.start.eq(self.start),
            sequencer.touched.eq(rows),
            self.busy.eq(sequencer.busy),
            self.entry.eq(sequencer.o.k),
            self.rows.eq(sequencer.row),
        ]

        pipeline = Pipeline(m)  # from cycle 0, that of a slot
        pipeline.put("slot", sequencer.o, at=0)
        pipeline.put("header", header, at=0)
        pipeline.put("read", sequencer.row, at=0)
        place = exact_log2(self._lanes)  # bits of a row's place in its block
        k, first = pipeline.get("slot", at=2).k, pipeline.get("header", at=2).row
        address = Cat(k[:place], first + k[place:])[: weight_bits(self._machine)]
        pipeline.register("address", address, at=ADDRESS_AT)
        address = pipeline.get("address", at=self._request_at)

        self._units(m, pipeline)
        write_at = self._gather(m, pipeline)
        read, write = (
            pipeline.get("read", at=self._request_at),
            pipeline.get("row_end", at=write_at),
        )
        if self._parts:
            read, write = read & ~self.keep, write & ~self.keep
        m.d.comb += [
            self.row_valid.eq(read | write),
            self.row_write.eq(write),
            self.row_address.eq(Mux(write, pipeline.get("address", at=write_at), address)),
        ]

        # A task is done when the last row of its last block has been written: in a block without
        # rows, that of the block before.
        pipeline.put("done", sequencer.last & header.last, at=0)
        m.d.comb += self.done.eq(pipeline.get("done", at=write_at + reuse))
        return m

    def _units(self, m: Module, pipeline: Pipeline) -> None:
        """The drain units; puts their weights as `weight0`, `weight1` …"""
        reuse, config, units = self._reuse, self.config, self._lanes // self._reuse
        row = self.row_vector.as_value()
        row = row & (~config.hand).replicate(len(row))
        pipeline.put("row", row, at=self._request_at + VECTOR_LATENCY)
        old = self._held(m, pipeline, "row", at=self._old_at)
        old_phase = pipeline.get("slot", at=self._old_at).phase
        moments = None
        if self._momentum:
            address_at = ADDRESS_AT + self._sum_at - SUM_LATENCY
            address = pipeline.get("address", at=address_at)
            m.d.comb += self.moments_read.addr.eq(address)
            pipeline.put("moments", self.moments_read.data, at=address_at + READ_LATENCY)
            moments = self._held(m, pipeline, "moments", at=self._moment_at)
            mu = Signal(Factor, reset_less=True)
            m.d.sync += mu.eq(factor(Half(config.momentum)))

        # What each weight's random bits are made of: its source and its neuron. A block begins with
        # a multiple of DEPTH sources, and a tile with one of `lanes` neurons.
        slot, header = (pipeline.get(name, at=self._word_at) for name in ("slot", "header"))
        source = Cat(slot.k, header.source[exact_log2(DEPTH) :])
        if self._machine.windows:  # a group begins with any tile
            source = self._number(pipeline)

        rate = Signal(Scaled, reset_less=True)
        m.d.sync += rate.eq(scaled(Half(config.rate)))
        first, now = (pipeline.get("slot", at=at) for at in (SUM_LATENCY, self._sum_at))
        flags, live = [], now.valid
        if self._parts:
            live = live & ~self.keep
            m.d.comb += self.parts_read.addr.eq(pipeline.get("address", at=ADDRESS_AT))
        for n in range(units):
            m.submodules[f"unit{n}"] = unit = UpdateUnit(
                width=UPDATE.sum_width(self._machine),
                momentum=self._momentum,
                parts=self._parts,
                fine=self._machine.scale_down,
            )
            pipeline.put(f"sum{n}", select_phase(self.sums, n, first.phase, reuse), at=SUM_LATENCY)
            if self._parts:
                layout = data.ArrayLayout(part_bits(self._machine), self._lanes)
                others = data.View(layout, self.parts_read.data)
                others = select_phase(others, n, now.phase, reuse)
                m.d.comb += unit.others.eq(Mux(self.take, others, 0))
                pipeline.put(f"part{n}", unit.part, at=self._sum_at + 1)
            if moments is not None:
                phase = pipeline.get("slot", at=self._moment_at).phase
                moment = select_phase(moments, n, phase, reuse)
                m.d.comb += [unit.mu.eq(mu), unit.old_moment.as_value().eq(moment)]
                pipeline.put(f"moment{n}", unit.moment.as_value(), at=self._weight_at)
            neuron = Cat(slot.phase[: exact_log2(reuse)], Const(n, exact_log2(units)), header.tile)
            m.d.comb += [
                unit.rate.eq(rate),
                unit.key.eq(config.key),
                unit.stochastic.eq(config.stochastic),
                unit.live.eq(live),
                unit.sum.eq(pipeline.get(f"sum{n}", at=self._sum_at)),
                unit.old.as_value().eq(select_phase(old, n, old_phase, reuse)),
                unit.word.eq(Cat(neuron, Const(0, 16 - len(neuron)), source)),
            ]
            pipeline.put(f"weight{n}", unit.weight.as_value(), at=self._weight_at)
            flags.append(unit.saturated)
        m.d.comb += self.saturated.eq(Cat(flags).any())

    def _number(self, pipeline: Pipeline) -> Value:
        """Of a source and tap, as golden counts them: source * taps + tap, in three cycles."""
        slot, header = (pipeline.get(n, at=self._word_at - 3) for n in ("slot", "header"))
        source = pipeline.register("source", header.source + slot.k, at=self._word_at - 2)
        taps = pipeline.get("header", at=self._word_at - 2).taps
        product = pipeline.register("product", (source * taps)[:TAP_BITS], at=self._word_at - 1)
        tap = pipeline.get("header", at=self._word_at - 1).tap
        return pipeline.register("number", (product + tap)[:TAP_BITS], at=self._word_at)

    def _held(self, m: Module, pipeline: Pipeline, name: str, *, at: int) -> Signal:
        """A row that was read, in registers while its phases are served, from cycle `at` on."""
        held = Signal(data.ArrayLayout(HALF_BITS, self._lanes), name=f"old_{name}", reset_less=True)
        row, arrived = (pipeline.get(each, at=at - 1) for each in (name, "read"))
        with m.If(arrived):
            m.d.sync += held.as_value().eq(row)
        return held

    def _gather(self, m: Module, pipeline: Pipeline) -> int:
        """Loads the new row by banks; returns the cycle in which it is written, and puts `row_end`
        beside it.

        Lane n * reuse + phase of source k goes to bank (n * reuse + phase + k) mod P: the banks of
        reuse * n + k // reuse, one on if phase + k modulo reuse carries, which is the bank there.
        """
        reuse, lanes = self._reuse, self._lanes
        # A cycle later than need be if a row's write would meet another row's read.
        weight_at = self._weight_at
        weight_at += int((weight_at + reuse - self._request_at) % phases(reuse) == 0)
        slot = pipeline.get("slot", at=weight_at)
        pipeline.put("row_end", slot.valid & (slot.phase == reuse - 1), at=weight_at)
        fine = exact_log2(reuse)
        place = Signal(fine + 1)
        amount = Signal(exact_log2(lanes // reuse))
        m.d.comb += [
            place.eq(slot.phase[:fine] + slot.k[:fine]),
            amount.eq(slot.k[fine:] + place[fine]),
        ]
        # Element g of a rotation by x is element g + x: what moves up by x is rotated by -x.
        weights = [
            pipeline.get(f"weight{n}", at=weight_at) & slot.valid.replicate(16)
            for n in range(lanes // reuse)
        ]
        weights = rotate(m, weights, (0 - amount)[: len(amount)], "weight")
        for b in range(lanes):
            m.d.comb += [
                self.row_load[b].eq(place[:fine] == b % reuse),
                self.row_data[b].eq(weights[b // reuse]),
            ]
        if self._momentum:
            parts = [pipeline.get(f"moment{n}", at=weight_at) for n in range(lanes // reuse)]
            row = gather(m, parts, slot.phase, reuse, "moment")
            end = pipeline.get("row_end", at=weight_at + 1)
            m.d.comb += [
                self.moments_write.en.eq(end & ~self.keep if self._parts else end),
                self.moments_write.addr.eq(pipeline.get("address", at=weight_at + 1)),
                self.moments_write.data.eq(Cat(row)),
            ]
        if self._parts:
            self._keep_parts(m, pipeline)
        return weight_at + 1

    def _keep_parts(self, m: Module, pipeline: Pipeline) -> None:
        """Writes a row of sums where it was read, if they are kept: long before the task is done.

        A memory of rows reads and writes in one cycle; rows of one task are different ones.
        """
        reuse, at = self._reuse, self._sum_at + 1
        parts = [pipeline.get(f"part{n}", at=at) for n in range(self._lanes // reuse)]
        slot = pipeline.get("slot", at=at)
        row = gather(m, parts, slot.phase, reuse, "part")
        pipeline.put("part_end", slot.valid & (slot.phase == reuse - 1), at=at)
        m.d.comb += [
            self.parts_write.en.eq(pipeline.get("part_end", at=at + 1) & self.keep),
            self.parts_write.addr.eq(pipeline.get("address", at=at + 1)),
            self.parts_write.data.eq(Cat(row)),
        ]
