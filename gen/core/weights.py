"""The skewed weight memory: rows and columns from one copy."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import HALF_BITS, weight_bits
from backspike.gen.machine import Machine
from backspike.gen.pipeline import delay

VECTOR_LATENCY = 3
"""Cycles from the address of a row or a column to its vector: block RAM, register, rotation."""


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


def vector_port(machine: Machine) -> wiring.Signature:
    """Requests for rows or columns, as their user drives them."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "grant": In(1),  # the request is taken
            "address": Out(weight_bits(machine)),
            "vector": In(data.ArrayLayout(HALF_BITS, machine.lanes)),  # VECTOR_LATENCY cycles later
        }
    )


def row_port(machine: Machine) -> wiring.Signature:
    """Rows W[k, J], as the user drives it. A write is by banks: neuron j's is (k + j) mod P."""
    return wiring.Signature(
        {
            "address": Out(weight_bits(machine)),  # of the row: {block, k mod P}
            "raw": Out(1),  # the vector is by banks, too
            "vector": In(data.ArrayLayout(HALF_BITS, machine.lanes)),  # VECTOR_LATENCY cycles later
            "write": Out(machine.lanes),  # the banks that a write changes
            "data": Out(data.ArrayLayout(HALF_BITS, machine.lanes)),  # by banks
        }
    )


def column_port(machine: Machine) -> wiring.Signature:
    """Columns W[K, j], as the user drives it: element n is source n of the block's P sources."""
    return wiring.Signature(
        {
            "address": Out(weight_bits(machine)),  # of the column: {block, j mod P}
            "vector": In(data.ArrayLayout(HALF_BITS, machine.lanes)),  # VECTOR_LATENCY cycles later
        }
    )


class WeightMemory(wiring.Component):
    """Weights in blocks of P sources by P neurons, in P banks of halves.

    Row r of a block is a source; its neuron c lies in bank (r + c) mod P. So a row and a column
    touch every bank once. A row has one address in all banks. Column c of a block lies at
    {block, (b - c) mod P} in bank b: that takes no sum over more than the bits of P.

    A bank's port A reads and writes rows, its port B reads columns: one true dual-port block RAM
    for 1024 halves.

    Latency: VECTOR_LATENCY cycles. Throughput: a row read or write, and a column read, every cycle.
    A column must not be read in the cycle that writes one of its weights (tokens see to that).
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        super().__init__({"row": In(row_port(machine)), "column": In(column_port(machine))})

    def elaborate(self, platform):
        m = Module()
        lanes, rows = self._machine.lanes, self._machine.weight_rows
        row, column = self.row, self.column
        bits = (lanes - 1).bit_length()
        skew, block = column.address[:bits], column.address[bits:]

        rows_out, columns_out = [], []
        for b in range(lanes):
            bank = memory.Memory(shape=HALF_BITS, depth=rows, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"bank{b}"] = bank
            write = bank.write_port()
            read_row = bank.read_port()
            read_column = bank.read_port()
            m.d.comb += [
                write.addr.eq(row.address),
                write.en.eq(row.write[b]),
                write.data.eq(row.data[b]),
                read_row.addr.eq(row.address),
                read_row.en.eq(~row.write[b]),
                read_column.addr.eq(Cat((b - skew)[:bits], block)),
            ]
            for name, vector, port in (
                ("row", rows_out, read_row),
                ("column", columns_out, read_column),
            ):
                register = Signal(HALF_BITS, name=f"{name}_data{b}", reset_less=True)
                m.d.sync += register.eq(port.data)
                vector.append(register)

        # Lane n gets bank (n + skew) mod P.
        row_skew = Mux(row.raw, 0, row.address[:bits])
        for port, banks, amount, name in (
            (row, rows_out, row_skew, "row"),
            (column, columns_out, skew, "column"),
        ):
            vector = rotate(m, banks, delay(m, amount, VECTOR_LATENCY - 1, f"{name}_skew"), name)
            m.d.sync += [port.vector[n].eq(vector[n]) for n in range(lanes)]
        return m
