"""The weight-gradient engine's drain: gradients become updated weights, row by row."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.accumulate import HALVES_SUM
from backspike.gen.core.drain import gather, later, turn_of
from backspike.gen.core.gradient_front import ROWS_HEADER
from backspike.gen.core.layout import config_layout, weight_bits
from backspike.gen.core.scan import encode, lowest
from backspike.gen.core.weights import ROW_LATENCY
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.numerics.half import FRACTION, HALF_FIXED, PRODUCT_FIXED, Half, to_fixed
from backspike.gen.numerics.hash import Mix
from backspike.gen.numerics.round import NEAREST_LATENCY, RANDOM, STOCHASTIC_LATENCY, Round
from backspike.gen.numerics.unpack import Product

SUM_TO_W = 1 + NEAREST_LATENCY + 4 + STOCHASTIC_LATENCY
"""Cycles from a sum to its weight: a register; rounding to d; operands, product, alignment,
subtraction; rounding."""
W_AT = 1 + NEAREST_LATENCY + 2
"""Cycles from a sum until its old weight is needed, as a half."""


class UpdateUnit(wiring.Component):
    """One weight update a cycle: w = round(w - η d), d = round(sum).

    Latency: SUM_TO_W cycles from `sum` to `weight`. Throughput: one a cycle.

    Ports: live: this slot counts; sum in units of 2^-24; old: the weight, W_AT cycles after sum;
    source k and neuron j beside sum; weight; saturated, beside weight.
    """

    def __init__(self):
        super().__init__(
            {
                "config": In(config_layout("wg")),
                "live": In(1),
                "sum": In(signed(HALVES_SUM)),
                "source": In(16),
                "neuron": In(16),
                "old": In(16),
                "weight": Out(16),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.round_d = round_d = Round(width=HALVES_SUM, fraction=FRACTION)
        m.d.comb += round_d.i.eq(later(m, self.sum, 1, "sum"))

        m.submodules.change = change = Product()
        m.d.comb += [change.i_a.eq(config.rate), change.i_b.eq(round_d.o)]
        old = Signal(signed(HALF_FIXED), reset_less=True)
        total = Signal(signed(PRODUCT_FIXED + 1), reset_less=True)
        m.d.sync += [
            old.eq(to_fixed(Half(self.old))),
            total.eq((old << FRACTION) - change.o),
        ]
        m.submodules.round_w = round_w = Round(
            width=PRODUCT_FIXED + 1, fraction=2 * FRACTION, stochastic=True
        )
        m.submodules.mix = mix = Mix()
        before = SUM_TO_W - STOCHASTIC_LATENCY - Mix.latency
        random = mix.o[32 - RANDOM :]
        if before < 0:
            raise AssertionError("the hash takes longer than the sum's way to its rounding")
        m.d.comb += [
            mix.i_key.eq(config.key),
            mix.i_word.eq(later(m, Cat(self.neuron, self.source), before, "counter")),
            round_w.i.eq(total),
            round_w.i_random.eq(random),
            round_w.i_stochastic.eq(config.stochastic),
            self.weight.eq(round_w.o),
        ]
        live_d = later(m, self.live, 1 + NEAREST_LATENCY, "live_d")
        saturated_d = later(m, live_d & round_d.saturated, 4 + STOCHASTIC_LATENCY, "saturated_d")
        live = later(m, live_d, 4 + STOCHASTIC_LATENCY, "live")
        m.d.comb += self.saturated.eq(saturated_d | (live & round_w.saturated))
        return m


class UpdateDrain(wiring.Component):
    """Drains finished sums of DEPTH sources into their weights: each row that had a gradient is
    read, updated and written.

    Latency: SUM_TO_W + share cycles from a row's first sum to its write, with share 1 one more.
    Throughput: a row every max(2, share) cycles, its read and its write in different cycles of
    this rhythm, so they never meet at the memory's one address; the next block follows without a
    pause.

    Ports: i_headers; start, busy, entry, sums, touched: see `Accumulator`; row request: valid,
    address, turn, vector, write and data (never refused); rows: a row is updated (one cycle);
    done: a task is complete (one cycle); saturated.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        lanes = machine.lanes
        super().__init__(
            {
                "config": In(config_layout("wg")),
                "i_headers": In(stream.Signature(ROWS_HEADER)),
                "start": In(1),
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(HALVES_SUM), lanes)),
                "touched": In(DEPTH),
                "row_valid": Out(1),
                "row_write": Out(1),
                "row_address": Out(weight_bits(machine)),
                "row_turn": Out((lanes - 1).bit_length()),
                "row_data": Out(data.ArrayLayout(16, lanes)),
                "row_vector": In(data.ArrayLayout(16, lanes)),
                "rows": Out(1),
                "done": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine, config = self._machine, self.config
        lanes, share = machine.lanes, machine.wg_share
        turns = max(2, share)
        header = Signal(ROWS_HEADER, reset_less=True)
        left = Signal(DEPTH)  # rows to update
        turn = Signal(range(turns))  # never stops, so that reads and writes keep to their cycles
        begun = Signal()  # a row has begun in this round of turns
        reading = Signal()
        empty = Signal()  # a block without rows, for a cycle
        final = Signal()
        m.d.comb += [
            self.i_headers.ready.eq(self.start),
            self.entry.eq(encode(lowest(left))),
            reading.eq(Mux(turn == 0, left.any(), begun)),
            self.rows.eq(reading & (turn == 0)),
            final.eq(reading & (turn == turns - 1) & ((left & ~lowest(left)) == 0)),
            self.busy.eq(empty | (left.any() & ~final)),
        ]
        m.d.sync += [
            turn.eq(Mux(turn == turns - 1, 0, turn + 1)),
            begun.eq(reading),
            empty.eq(self.start & ~self.touched.any()),
        ]
        with m.If(reading & (turn == turns - 1)):
            m.d.sync += left.eq(left & ~lowest(left))
        with m.If(self.start):
            m.d.sync += [header.eq(self.i_headers.payload), left.eq(self.touched)]

        # A slot: turn of a row. The row's address takes a cycle; its vector ROW_LATENCY more.
        slot = Signal(data.StructLayout({"valid": 1, "turn": range(turns), "k": range(DEPTH)}))
        m.d.comb += [
            slot.valid.eq(reading & (turn < share)),
            slot.turn.eq(turn),
            slot.k.eq(self.entry),
        ]
        address = Signal(weight_bits(machine), reset_less=True)
        read_turn = Signal((lanes - 1).bit_length(), reset_less=True)
        m.d.sync += [
            address.eq(header.row + self.entry * config.tiles),
            read_turn.eq(self.entry[: (lanes - 1).bit_length()]),
        ]

        # The old row: held in registers while its turns are served.
        read_valid = later(m, slot.valid & (turn == 0), 1, "read_valid")
        arrived = later(m, read_valid, ROW_LATENCY, "arrived")
        old = Signal(data.ArrayLayout(16, lanes), reset_less=True)
        early = W_AT - (1 + ROW_LATENCY) - 1  # cycles that the row waits beside the sums
        row_in = later(m, self.row_vector.as_value(), early, "row_in")
        with m.If(later(m, arrived, early, "row_arrived")):
            m.d.sync += old.as_value().eq(row_in)
        old_turn = later(m, slot.turn, W_AT, "old_turn")

        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = UpdateUnit()
            m.d.comb += [
                unit.config.eq(config),
                unit.live.eq(slot.valid),
                unit.sum.eq(turn_of(self.sums, n, turn, share)),
                unit.source.eq(header.source + self.entry),
                unit.neuron.eq(header.tile * lanes + n * share + turn),
                unit.old.eq(turn_of(old, n, old_turn, share)),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        done_slot = later(m, slot, SUM_TO_W, "slot")
        row = gather(m, [unit.weight for unit in units], done_slot.turn, share, "weight")
        row_done = done_slot.valid & (done_slot.turn == share - 1)
        # From a row's read (1) to its write (SUM_TO_W + 1, after share - 1 turns): a cycle more if
        # it would meet another row's read.
        rest = int((SUM_TO_W + share - 1) % turns == 0)
        write = later(m, row_done, 1 + rest, "write")
        write_address = later(m, address, SUM_TO_W + rest, "address")
        write_turn = later(m, read_turn, SUM_TO_W + rest, "write_turn")
        m.d.comb += [
            self.row_valid.eq(read_valid | write),
            self.row_write.eq(write),
            self.row_address.eq(Mux(write, write_address, address)),
            self.row_turn.eq(Mux(write, write_turn, read_turn)),
            Value.cast(self.row_data).eq(later(m, Cat(row), rest, "row")),
        ]

        # A task is done when the last row of its last block has been written.
        tail = SUM_TO_W + share + rest
        m.d.comb += self.done.eq(later(m, (final | empty) & header.last, tail + 1, "done"))
        return m
