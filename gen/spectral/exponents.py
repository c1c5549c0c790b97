"""The greatest exponent of each line, kept for the pass that reads lines of that direction."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.memory.rows import READ_LATENCY, RowMemory
from backspike.gen.spectral.layout import EXPONENT


class LineExponents(wiring.Component):
    """Greatest exponents of rows and of columns: a pass reads one half and rewrites the other.

    While a pass runs along lines of one direction, every sample that it writes counts for the line
    of the other direction that crosses there.

    Latency: `exponent` READ_LATENCY cycles after `line`; an update can be read, and updated again,
    `latency` cycles after it. Throughput: one of each a cycle.

    Parameter: log_size: log2 of the lines of a direction.

    Ports: columns: the pass's lines are columns (else rows); line, exponent: of this direction;
    update: place (the line of the other direction), value (a sample's exponent), replace (else the
    greater of it and what was there counts). The same place comes again `latency` cycles later at
    the earliest.
    """

    latency = READ_LATENCY + 2

    def __init__(self, *, log_size: int):
        self._log_size = log_size
        super().__init__(
            {
                "columns": In(1),
                "line": In(log_size),
                "exponent": Out(EXPONENT),
                "update": In(1),
                "place": In(log_size),
                "value": In(EXPONENT),
                "replace": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = RowMemory(width=EXPONENT, depth=2 << self._log_size, readers=2)
        m.d.comb += [
            table.read0.addr.eq(Cat(self.line, self.columns)),
            self.exponent.eq(table.read0.data),
            table.read1.addr.eq(Cat(self.place, ~self.columns)),
        ]
        # The old value comes back beside the new one; the greater is written a cycle later.
        update, place, value, replace = self.update, self.place, self.value, self.replace
        for n in range(READ_LATENCY):
            later = [
                Signal(name=f"update{n}"),
                Signal.like(self.place, name=f"place{n}", reset_less=True),
                Signal.like(self.value, name=f"value{n}", reset_less=True),
                Signal(name=f"replace{n}", reset_less=True),
            ]
            m.d.sync += [
                b.eq(a) for a, b in zip((update, place, value, replace), later, strict=True)
            ]
            update, place, value, replace = later
        write = table.write
        old, greatest = table.read1.data, Signal(EXPONENT, reset_less=True)
        address, enable = Signal.like(self.place, reset_less=True), Signal()
        m.d.sync += [
            enable.eq(update),
            address.eq(place),
            greatest.eq(Mux(replace | (value > old), value, old)),
        ]
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(Cat(address, ~self.columns)),
            write.data.eq(greatest),
        ]
        return m
