"""The skewed weight memory: rows and columns from one copy."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from backspike.gen.core.layout import HALF_BITS, row_width, weight_bits
from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.machine import Machine
from backspike.gen.memory.window import RowWindow, words_of
from backspike.gen.pipeline import Pipeline

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
    """Rows W[k, J], as the user drives it. A write is by banks: neuron j's is (k + j) mod P. Banks
    have registers for what is written, which may be loaded one after the other."""
    return wiring.Signature(
        {
            "address": Out(weight_bits(machine)),  # of the row: {block, k mod P}
            "vector": In(data.ArrayLayout(HALF_BITS, machine.lanes)),  # VECTOR_LATENCY cycles later
            "write": Out(1),
            "load": Out(machine.lanes),  # before a write: banks whose registers take their data
            "data": Out(data.ArrayLayout(HALF_BITS, machine.lanes)),  # by banks; at rest zero
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

    At rest (no engine asks for anything) the host has the rows, by banks. What it writes goes
    through the registers of rows that are written, so it takes no multiplexer; the rest of its
    accesses comes a cycle later, too.

    Latency: VECTOR_LATENCY cycles. Throughput: a row read or write, and a column read, every cycle.
    A column must not be read in the cycle that writes one of its weights (tokens see to that).
    """

    def __init__(self, machine: Machine):
        self._machine = machine
        words = machine.weight_rows * words_of(row_width(machine))
        super().__init__(
            {
                "row": In(row_port(machine)),
                "column": In(column_port(machine)),
                "rest": In(1),
                "host": In(HostBus(ceil_log2(words))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, rows = self._machine.lanes, self._machine.weight_rows
        row, column = self.row, self.column
        bits = exact_log2(lanes)
        m.submodules.window = window = RowWindow(
            width=row_width(self._machine), depth=rows, latency=VECTOR_LATENCY + 1, halves=True
        )
        wiring.connect(m, wiring.flipped(self.host), window.host)
        pipeline = Pipeline(m)  # from cycle 0, that of an access; the host's is at -1
        pipeline.put("host_address", window.address, at=-1)
        pipeline.put("host_enable", window.enable, at=-1, reset=True)
        word = window.data & self.rest.replicate(WORD)
        address, write = Signal(weight_bits(self._machine)), Signal(lanes)
        m.d.comb += [address.eq(row.address), write.eq(row.write.replicate(lanes))]
        host_address, host_enable = (
            pipeline.get(name, at=0) for name in ("host_address", "host_enable")
        )
        with m.If(self.rest):
            m.d.comb += [
                address.eq(host_address),
                write.eq(Cat(enable.replicate(2) for enable in host_enable)),
            ]

        skew, block = column.address[:bits], column.address[bits:]
        rows_out, columns_out = [], []
        for b in range(lanes):
            bank = memory.Memory(shape=HALF_BITS, depth=rows, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"bank{b}"] = bank
            written = Signal(HALF_BITS, name=f"written{b}", reset_less=True)
            with m.If(self.rest | row.load[b]):
                m.d.sync += written.eq(row.data[b] | word.word_select(b % 2, HALF_BITS))
            port = bank.write_port()
            read_row = bank.read_port()
            read_column = bank.read_port()
            m.d.comb += [
                port.addr.eq(address),
                port.en.eq(write[b]),
                port.data.eq(written),
                read_row.addr.eq(address),
                read_row.en.eq(~write[b]),
                read_column.addr.eq(Cat((b - skew)[:bits], block)),
            ]
            rows_out.append(pipeline.register(f"row{b}", read_row.data, at=2))
            columns_out.append(pipeline.register(f"column{b}", read_column.data, at=2))

        # Lane n gets bank (n + skew) mod P.
        pipeline.put("row_skew", Mux(self.rest, 0, address[:bits]), at=0)
        pipeline.put("column_skew", skew, at=0)
        for port, banks, name in ((row, rows_out, "row"), (column, columns_out, "column")):
            vector = rotate(m, banks, pipeline.get(f"{name}_skew", at=2), name)
            for n, element in enumerate(vector):
                element = pipeline.register(f"{name}_vector{n}", element, at=VECTOR_LATENCY)
                m.d.comb += port.vector[n].eq(element)
        m.d.comb += window.row.eq(row.vector.as_value())
        return m
