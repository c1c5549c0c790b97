"""The skewed weight memory: rows and columns from one copy."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import weight_bits
from backspike.gen.core.shared.drain import later
from backspike.gen.machine import Machine

ROW_LATENCY = 3
"""Cycles from a row's address to its vector: block RAM, register, rotation."""
COLUMN_LATENCY = 6
"""Cycles from a column's address to its vector: a product, a sum, and the banks' addresses; block
RAM, register, rotation."""


def rotate(m: Module, vector: list, amount, name: str) -> list:
    """Combinational rotation: element n of the result is element (n + amount) mod P of `vector`."""
    lanes = len(vector)
    for k in range((lanes - 1).bit_length()):
        turned = [Signal(len(vector[n]), name=f"{name}{k}_{n}") for n in range(lanes)]
        m.d.comb += [
            turned[n].eq(Mux(amount[k], vector[(n + (1 << k)) % lanes], vector[n]))
            for n in range(lanes)
        ]
        vector = turned
    return vector


def row_port(machine: Machine) -> wiring.Signature:
    """Row tiles W[k, J], as the user drives it: `turn` is k mod P; `vector` comes ROW_LATENCY
    cycles after a read. `write` says which banks a write changes; its `data` is by banks, not by
    lanes: neuron j's element is (k + j) mod P.
    """
    return wiring.Signature(
        {
            "write": Out(machine.lanes),
            "address": Out(weight_bits(machine)),
            "turn": Out((machine.lanes - 1).bit_length()),
            "data": Out(data.ArrayLayout(16, machine.lanes)),
            "vector": In(data.ArrayLayout(16, machine.lanes)),
        }
    )


def column_port(machine: Machine) -> wiring.Signature:
    """Column tiles W[K0, j], as the user drives it: element n is source k0 + n of neuron j.

    address: row tile of (k0, j); turn: j mod P; stride: row tiles between a source and the next.
    `vector` comes COLUMN_LATENCY cycles later.
    """
    return wiring.Signature(
        {
            "address": Out(weight_bits(machine)),
            "stride": Out(9),
            "turn": Out((machine.lanes - 1).bit_length()),
            "vector": In(data.ArrayLayout(16, machine.lanes)),
        }
    )


class WeightMemory(wiring.Component):
    """P banks; the weight of source k and neuron j lies in bank (k + j) mod P.

    So any row tile and any column tile touches every bank once. A bank's port A reads and writes
    rows (one address), its port B reads columns: one true dual-port block RAM a 1024 halves.

    Throughput: a row read or write, and a column read, every cycle. A column must not be read in
    the cycle that writes one of its weights (tokens see to that).

    Ports: row, see `row_port`; column, see `column_port`.
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        super().__init__({"row": In(row_port(machine)), "column": In(column_port(machine))})

    def elaborate(self, platform):
        m = Module()
        lanes, rows = self._machine.lanes, self._machine.weight_rows
        row, column = self.row, self.column
        bits = (lanes - 1).bit_length()

        # Of a column, bank b holds element (b - turn) mod P, so its address is (b - turn) strides
        # on, or P more if b < turn.
        width = weight_bits(self._machine)

        def stage(name: str, value) -> Signal:
            register = Signal(width, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        back = stage("back", column.stride * column.turn)
        first = stage("first", column.address)
        last = stage("last", column.address + (column.stride << bits))
        first, last = stage("first_1", first - back), stage("last_1", last - back)
        steps = [stage(f"step{b}", column.stride * b) for b in range(lanes)]

        row_turn = later(m, row.turn, ROW_LATENCY - 1, "row_turn")
        column_turn = later(m, column.turn, 2, "column_turn")

        rows_out, columns_out = [], []
        for b in range(lanes):
            bank = memory.Memory(shape=16, depth=rows, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"bank{b}"] = bank
            write = bank.write_port()
            read_row = bank.read_port()
            read_column = bank.read_port()
            address = Signal(weight_bits(self._machine), name=f"column_address{b}", reset_less=True)
            m.d.sync += address.eq(Mux(b < column_turn, last, first) + steps[b])
            m.d.comb += [
                write.addr.eq(row.address),
                write.en.eq(row.write[b]),
                write.data.eq(row.data[b]),
                read_row.addr.eq(row.address),
                read_row.en.eq(~row.write[b]),
                read_column.addr.eq(address),
            ]
            for name, vector, port in (
                ("row", rows_out, read_row),
                ("column", columns_out, read_column),
            ):
                register = Signal(16, name=f"{name}_data{b}", reset_less=True)
                m.d.sync += register.eq(port.data)
                vector.append(register)

        # Lane n gets bank (n + turn) mod P.
        column_turn = later(m, column_turn, COLUMN_LATENCY - 3, "column_turn_out")
        row_vector = rotate(m, rows_out, row_turn, "row")
        column_vector = rotate(m, columns_out, column_turn, "column")
        m.d.sync += [row.vector[n].eq(row_vector[n]) for n in range(lanes)]
        m.d.sync += [column.vector[n].eq(column_vector[n]) for n in range(lanes)]
        return m
