"""A design that benches and builds are tried with."""
# pyright: reportAttributeAccessIssue=false
# (Amaranth makes the attributes of ports.)

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WIDTHS = (1, 7, 8, 16, 17, 32, 33, 63, 64, 65, 81, 96, 97, 128, 130)


class Sample(wiring.Component):
    """A counter, a payload with two levels of names, and a register of every width."""

    def __init__(self):
        ports = {f"i{n}": In(n) for n in WIDTHS} | {f"o{n}": Out(n) for n in WIDTHS}
        nested = wiring.Signature({"data": Out(5)})
        super().__init__({**ports, "count": Out(8), "deep__port": Out(3), "nested": Out(nested)})

    def elaborate(self, platform):
        m = Module()
        for n in WIDTHS:
            kept = Signal(n, name=f"kept{n}", reset_less=True)
            m.d.sync += kept.eq(~getattr(self, f"i{n}"))
            m.d.comb += getattr(self, f"o{n}").eq(kept)
        count = Signal(8)
        m.d.sync += count.eq(count + 1)
        m.d.comb += [self.count.eq(count), self.nested.data.eq(count[:5])]
        return m
