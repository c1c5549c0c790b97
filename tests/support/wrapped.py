"""A component inside another, for ports that Verilator refuses as a top module's: `abort`."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Wrapped(wiring.Component):
    """Hands all ports through; `port` is `the_port` outside."""

    def __init__(self, component: wiring.Component):
        self._component = component
        super().__init__(
            {f"the_{name}": member for name, member in component.signature.members.items()}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.component = component = self._component
        for name, member in component.signature.members.items():
            outer, inner = getattr(self, f"the_{name}"), getattr(component, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
                continue
            pairs = zip(outer, inner, strict=True) if member.dimensions else [(outer, inner)]
            for out, within in pairs:
                m.d.comb += within.eq(out) if member.flow == In else out.eq(within)
        return m


class Inside:
    """The simulated module by the inner component's names."""

    def __init__(self, dut):
        self._dut = dut

    def __getattr__(self, name: str):
        return getattr(self._dut, name if name in ("clk", "rst") else f"the_{name}")
