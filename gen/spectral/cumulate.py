"""Cumulative sums of spectra, down the columns and over the columns before."""

import itertools

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.memory.rows import READ_LATENCY, RowMemory
from backspike.gen.spectral.column_pairs import PLACE
from backspike.gen.spectral.layout import cumulative_width, flow, separated_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.separate import parts_layout

NAMES = ("image", "reference")


class Cumulate(wiring.Component):
    """2-D cumulative sums of two images' spectra, over each half from its first row and column on.

    A running sum down the column is added to the last column's sum, which a memory keeps for each
    row and part. The results fit their width, so what is added on the way may wrap.

    Latency: `latency` cycles. Throughput: a part (real, then imaginary) of both images a cycle.

    Ports: i, o: `flow` of `parts_layout`. Two equal rows of i are at least 5 cycles
    apart.
    """

    latency = READ_LATENCY + 1

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        self.width = cumulative_width(machine)
        separated = parts_layout(separated_width(machine))
        cumulative = parts_layout(self.width)
        super().__init__(
            {
                "i": In(flow(separated)),
                "o": Out(flow(cumulative)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = before = RowMemory(width=2 * self.width, depth=2 * self._machine.size)
        # An entry for each row, in the order of their coming, and part.
        entry = Signal(range(2 * self._machine.size))
        address = Signal.like(entry)
        begins = self.i.payload.place.start & self.i.payload.place.lower
        m.d.comb += [
            address.eq(Mux(begins, self.i.payload.imaginary, entry)),
            before.read0.addr.eq(address),
        ]
        with m.If(self.i.valid):
            m.d.sync += entry.eq(address + 1)

        # What goes with the numbers: 1, as the memory reads; 2, its row is here; 3, the results.
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i.valid, valid))
        tag_shape = data.StructLayout({"imaginary": 1, "place": PLACE, "address": len(address)})
        tags = [Signal(tag_shape, name=f"tag{n + 1}", reset_less=True) for n in range(self.latency)]
        m.d.sync += [
            tags[0].imaginary.eq(self.i.payload.imaginary),
            tags[0].place.eq(self.i.payload.place),
            tags[0].address.eq(address),
            *(later.eq(now) for now, later in itertools.pairwise(tags)),
        ]

        rows = before.read0.data
        results = []
        for n, name in enumerate(NAMES):
            number = Signal(signed(len(self.i.payload[name])), name=f"{name}1", reset_less=True)
            running, last, result = (
                Signal(signed(self.width), name=f"{name}_{use}", reset_less=True)
                for use in ("running", "last", "result")
            )
            m.d.sync += number.eq(self.i.payload[name])
            with m.If(valid[0]):  # parts alternate: the last number is of the other part
                m.d.sync += [
                    running.eq(number + Mux(tags[0].place.start, 0, last)),
                    last.eq(running),
                ]
            column = rows.word_select(n, self.width).as_signed()
            m.d.sync += result.eq(running + Mux(tags[1].place.first, 0, column))
            m.d.comb += self.o.payload[name].eq(result)
            results.append(result)
        m.d.comb += [
            before.write.en.eq(valid[-1]),
            before.write.addr.eq(tags[-1].address),
            before.write.data.eq(Cat(results)),
            self.o.valid.eq(valid[-1]),
            self.o.payload.imaginary.eq(tags[-1].imaginary),
            self.o.payload.place.eq(tags[-1].place),
        ]
        return m
