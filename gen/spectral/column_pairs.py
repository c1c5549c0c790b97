"""Columns k and -k of a spectrum, read side by side."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.memory.rows import READ_LATENCY, RowMemory
from backspike.gen.spectral.layout import LOG, complex_layout, flow, spectrum_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.scale import spectrum_layout

PLACE = data.StructLayout({"start": 1, "lower": 1, "first": 1, "last": 1})
"""Where a number lies: in the first row of a half; in the lower half; in column 0; it is the last
of all."""


def pair_layout(machine: SpectralMachine) -> data.StructLayout:
    """Z[r, k] (`mirrored` 0) or Z[-r, -k] (1), with the place of (r, k)."""
    z = complex_layout(spectrum_width(machine))
    return data.StructLayout({"z": z, "mirrored": 1, "place": PLACE})


class ColumnPairs(wiring.Component):
    """Buffers a spectrum's columns in pairs and gives Z[r, k] and Z[-r, -k] after each other.

    Columns come in the order 0, 1, W-1, 2, W-2 … W/2, their rows in any order that begins with
    row 0. Numbers leave for k = 0 … W/2, in each column for r = 0 … H/2-1 and then r = H-1 … H/2.
    Columns 0 and W/2 are pairs with themselves. After the last column no more is taken until a
    reset.

    Latency: `latency` cycles from a pair's last word to the first that leaves; from the last word
    of all to the last that leaves at the most 3 H - 1 more. Throughput: one word a cycle, in and
    out. There are two places, and a pair is read in 2 H cycles, no more than writing the next one
    takes: so none waits for a place.

    Ports: log_height, log_width: constant from 2 cycles before the first word on; i: stream of
    `spectrum_layout`; o: `flow` of `pair_layout`.
    """

    latency = 2 + READ_LATENCY

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        pairs = flow(pair_layout(machine))
        super().__init__(
            {
                "log_height": In(LOG),
                "log_width": In(LOG),
                "i": In(stream.Signature(spectrum_layout(machine))),
                "o": Out(pairs),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size, bits = self._machine.size, self._machine.log_size
        z = complex_layout(spectrum_width(self._machine))
        m.submodules.memory = buffer = RowMemory(width=z.size, depth=4 * size)
        full = Array(Signal(name=f"full{n}") for n in range(2))
        # What the reader must know of the pair in each place.
        first = Array(Signal(name=f"first{n}", reset_less=True) for n in range(2))
        last = Array(Signal(name=f"last{n}", reset_less=True) for n in range(2))
        mask = Signal(bits, reset_less=True)  # H - 1
        half_mask = Signal(bits, reset_less=True)  # H/2 - 1
        last_pair = Signal(bits, reset_less=True)  # W/2
        m.d.sync += [
            mask.eq((1 << self.log_height) - 1),
            half_mask.eq(mask >> 1),
            last_pair.eq((1 << self.log_width) >> 1),
        ]
        self._write(m, buffer, full, first, last, mask, last_pair)
        self._read(m, buffer, full, first, last, mask, half_mask)
        return m

    def _write(self, m, buffer, full, first, last, mask, last_pair):
        bits = self._machine.log_size
        place = Signal()
        second = Signal()  # column W - k
        count = Signal(bits)  # words of the column
        pair = Signal(bits)
        closed = Signal()
        take = Signal()
        is_first, is_last = Signal(), Signal()
        m.d.comb += [
            is_first.eq(pair == 0),
            is_last.eq(pair == last_pair),
            self.i.ready.eq(~closed),
            take.eq(self.i.valid & self.i.ready),
            buffer.write.en.eq(take),
            buffer.write.addr.eq(Cat(self.i.payload.row, second, place)),
            buffer.write.data.eq(Cat(self.i.payload.re, self.i.payload.im)),
        ]
        with m.If(take):
            m.d.sync += [
                count.eq((count + 1) & mask),
                first[place].eq(is_first),
                last[place].eq(is_last),
            ]
            with m.If(count == mask):
                m.d.sync += second.eq(~second)
                with m.If(second | is_first | is_last):
                    m.d.sync += [
                        second.eq(0),
                        full[place].eq(1),
                        place.eq(~place),
                        pair.eq(pair + 1),
                        closed.eq(is_last),
                    ]

    def _read(self, m, buffer, full, first, last, mask, half_mask):
        # In the lower half r = a and -r = b, in the upper half the other way round: b = -a, and a
        # counts 0 … H/2-1, then 1 … H/2.
        bits = self._machine.log_size
        place = Signal()
        upper, mirrored = Signal(), Signal()
        a, b = Signal(bits), Signal(bits)
        count = Signal(bits)  # rows of the half
        end = Signal()
        self_paired = first[place] | last[place]
        m.d.comb += [b.eq(-a & mask), end.eq(count == half_mask)]
        reading = Signal()
        address = Signal(bits + 2, reset_less=True)
        marks = Signal(PLACE, reset_less=True)
        is_mirrored = Signal(reset_less=True)
        m.d.comb += buffer.read0.addr.eq(address)
        m.d.sync += [
            reading.eq(full[place]),
            address.eq(Cat(Mux(upper ^ mirrored, b, a), mirrored & ~self_paired, place)),
            is_mirrored.eq(mirrored),
            marks.start.eq(count == 0),
            marks.lower.eq(~upper),
            marks.first.eq(first[place]),
            marks.last.eq(last[place] & upper & end),
        ]
        with m.If(full[place]):
            m.d.sync += mirrored.eq(~mirrored)
            with m.If(mirrored):
                m.d.sync += [a.eq(a + 1), count.eq(count + 1)]
                with m.If(end):
                    m.d.sync += [upper.eq(~upper), count.eq(0), a.eq(~upper)]
                    with m.If(upper):
                        # The last address, of a row H/2, is at the memory in the next cycle. Then
                        # a row 0 may be written here already.
                        m.d.sync += [full[place].eq(0), place.eq(~place)]

        tag = Cat(is_mirrored, marks)
        for n in range(READ_LATENCY):
            next_tag = Signal(len(tag), name=f"tag{n}", reset_less=True)
            next_reading = Signal(name=f"reading{n}")
            m.d.sync += [next_tag.eq(tag), next_reading.eq(reading)]
            tag, reading = next_tag, next_reading
        m.d.comb += [
            self.o.valid.eq(reading),
            self.o.payload.eq(Cat(buffer.read0.data, tag)),
        ]
