"""The weight-gradient engine's drain: gradients become updated weights, row by row."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.layout import config_layout, weight_bits
from backspike.gen.core.shared.accumulate import sum_width
from backspike.gen.core.shared.drain import later, turn_of
from backspike.gen.core.shared.scan import encode, few, lowest
from backspike.gen.core.shared.sum_buffer import SUM_LATENCY
from backspike.gen.core.update.front import ROWS_HEADER
from backspike.gen.core.update.unit import SUM_TO_W, W_AT, WORD_AT, Scaled, UpdateUnit, scaled
from backspike.gen.core.weights import ROW_LATENCY, rotate
from backspike.gen.host.bus import WORD
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.numerics.half import Half

REQUEST_AT = 3
"""Cycles from a row's first slot to its request: the entry, its offset, its address."""


class UpdateDrain(wiring.Component):
    """Drains finished sums of DEPTH sources into their weights: each row that had a gradient is
    read, updated and written.

    Latency: SUM_TO_W + wg_share cycles from a row's first sum to its write, or one more.
    Throughput: a row every max(2, wg_share) cycles, its read and its write in different cycles of
    this rhythm, so they never meet at the memory's one address; the next block follows without a
    pause.

    The weights of a turn are rotated to their banks before the row is gathered, which takes a
    rotation of units instead of lanes. Its registers serve the host, too, so that the way to the
    memory needs no further multiplexer.

    Ports: i_headers; start, busy, entry, sums, touched: see `Accumulator`; row request: valid,
    address, turn, vector, write and data (never refused), data by banks (see `WeightMemory`); rest:
    nothing is drained: the host's `word` is row_data, in every pair of banks, a cycle later; rows:
    a row is updated (one cycle); done: a task is complete (one cycle); saturated.
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
                "sums": In(data.ArrayLayout(signed(sum_width(machine, "wg")), lanes)),
                "touched": In(DEPTH),
                "row_valid": Out(1),
                "row_write": Out(1),
                "row_address": Out(weight_bits(machine)),
                "row_turn": Out((lanes - 1).bit_length()),
                "row_data": Out(data.ArrayLayout(16, lanes)),
                "row_vector": In(data.ArrayLayout(16, lanes)),
                "rest": In(1),
                "word": In(WORD),
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
        row_now = Signal(DEPTH, reset_less=True)  # of these, the one in hand
        last_row = Signal(reset_less=True)  # it is the only one
        others = Signal(DEPTH)
        some = Signal()  # there is a row left
        turn = Signal(range(turns))  # never stops, so that reads and writes keep to their cycles
        begun = Signal()  # a row has begun in this round of turns
        reading = Signal()
        empty = Signal()  # a block without rows, for a cycle
        final = Signal()
        m.d.comb += [
            self.i_headers.ready.eq(self.start),
            others.eq(left & ~row_now),
            self.entry.eq(encode(row_now)),
            reading.eq(Mux(turn == 0, some, begun)),
            self.rows.eq(reading & (turn == 0)),
            final.eq(reading & (turn == turns - 1) & last_row),
            self.busy.eq(empty | (some & ~final)),
        ]
        m.d.sync += [
            turn.eq(Mux(turn == turns - 1, 0, turn + 1)),
            begun.eq(reading),
            empty.eq(self.start & ~self.touched.any()),
        ]
        with m.If(reading & (turn == turns - 1)):
            m.d.sync += [
                left.eq(others),
                some.eq(~last_row),
                row_now.eq(lowest(others)),
                last_row.eq(few(left, 2)),
            ]
        with m.If(self.start):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                left.eq(self.touched),
                row_now.eq(lowest(self.touched)),
                some.eq(self.touched.any()),
                last_row.eq(few(self.touched, 1)),
            ]

        # A slot: turn of a row.
        slot = Signal(data.StructLayout({"valid": 1, "turn": range(turns), "k": range(DEPTH)}))
        m.d.comb += [
            slot.valid.eq(reading & (turn < share)),
            slot.turn.eq(turn),
            slot.k.eq(self.entry),
        ]
        offset = Signal(weight_bits(machine), reset_less=True)
        address = Signal(weight_bits(machine), reset_less=True)
        m.d.sync += [
            offset.eq(later(m, slot.k, 1, "k") * config.tiles),
            address.eq(later(m, header.row, 2, "row_first") + offset),
        ]
        read_turn = later(m, slot.k, REQUEST_AT, "read_turn")[: len(self.row_turn)]

        # The old row: held in registers while its turns are served.
        read_valid = later(m, slot.valid & (turn == 0), REQUEST_AT, "read_valid")
        arrived = later(m, read_valid, ROW_LATENCY, "arrived")
        old = Signal(data.ArrayLayout(16, lanes), reset_less=True)
        old_at = SUM_LATENCY + W_AT
        early = old_at - (REQUEST_AT + ROW_LATENCY) - 1  # cycles that the row waits for its sums
        row_in = later(m, self.row_vector.as_value(), early, "row_in")
        with m.If(later(m, arrived, early, "row_arrived")):
            m.d.sync += old.as_value().eq(row_in)
        old_turn = later(m, slot.turn, old_at, "old_turn")

        rate = Signal(Scaled, reset_less=True)
        m.d.sync += rate.eq(scaled(Half(config.rate)))
        live = later(m, slot.valid, SUM_LATENCY, "live")
        sum_turn = later(m, slot.turn, SUM_LATENCY, "sum_turn")
        # A block begins with a multiple of DEPTH sources, and a tile with one of `lanes` neurons.
        words = later(
            m,
            Cat(turn[: exact_log2(share)], header.tile, slot.k, header.source[exact_log2(DEPTH) :]),
            SUM_LATENCY + WORD_AT,
            "words",
        )
        word_turn, tile = words[: exact_log2(share)], words[exact_log2(share) :][: len(header.tile)]
        source = words[exact_log2(share) + len(header.tile) :]
        units = []
        for n in range(lanes // share):
            m.submodules[f"unit{n}"] = unit = UpdateUnit(width=sum_width(machine, "wg"))
            neuron = Cat(word_turn, Const(n, exact_log2(lanes // share)), tile)
            m.d.comb += [
                unit.rate.eq(rate),
                unit.key.eq(config.key),
                unit.stochastic.eq(config.stochastic),
                unit.live.eq(live),
                unit.sum.eq(turn_of(self.sums, n, sum_turn, share)),
                unit.old.as_value().eq(turn_of(old, n, old_turn, share)),
                unit.word.eq(Cat(neuron, Const(0, 16 - len(neuron)), source)),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())

        # Lane n * share + turn of source k goes to bank (n * share + turn + k) mod P: the banks of
        # share n + k // share, one on if turn + k modulo share carries, which is the bank there.
        # A cycle later than need be if a row's write would meet another row's read.
        weight_at = SUM_LATENCY + SUM_TO_W
        weight_at += int((weight_at + share - REQUEST_AT) % turns == 0)
        done_slot = later(m, slot, weight_at, "slot")
        fine = exact_log2(share)
        place = Signal(fine + 1)
        amount = Signal(exact_log2(lanes // share))
        m.d.comb += [
            place.eq(done_slot.turn[:fine] + done_slot.k[:fine]),
            amount.eq(done_slot.k[fine:] + place[fine]),
        ]
        # Element g of a rotation by x is element g + x: what moves up by x is rotated by -x.
        idle = self.rest.replicate(16)
        weights = [
            later(m, unit.weight.as_value(), weight_at - SUM_LATENCY - SUM_TO_W, "late") & ~idle
            for unit in units
        ]
        weights = rotate(m, weights, (0 - amount)[: len(amount)], "weight")
        word = self.word & self.rest.replicate(WORD)
        row = []
        for b in range(lanes):
            element = Signal(16, name=f"weight_{b}", reset_less=True)
            with m.If(self.rest | (place[:fine] == b % share)):
                m.d.sync += element.eq(weights[b // share] | word.word_select(b % 2, 16))
            row.append(element)

        row_done = done_slot.valid & (done_slot.turn == share - 1)
        write = later(m, row_done, 1, "write")
        write_address = later(m, address, weight_at + share - REQUEST_AT, "address")
        m.d.comb += [
            self.row_valid.eq(read_valid | write),
            self.row_write.eq(write),
            self.row_address.eq(Mux(write, write_address, address)),
            self.row_turn.eq(read_turn),
            Value.cast(self.row_data).eq(Cat(row)),
        ]

        # A task is done when the last row of its last block has been written.
        tail = weight_at + share
        m.d.comb += self.done.eq(later(m, (final | empty) & header.last, tail + 1, "done"))
        return m
