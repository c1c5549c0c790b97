"""The least that a board's top takes for a core, for tests of all that is around it."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature, AXI4LiteSubordinate
from backspike.gen.host.register_file import RegisterFile
from backspike.gen.host.registers import Field, Register, RegisterMap

MAP = RegisterMap(
    title="Show",
    doc="To try boards with.",
    registers=(
        Register(
            name="show",
            offset=0,
            access="rw",
            doc="what the core claims",
            fields=(Field("running", 0, 1, "a run"), Field("fault", 1, 1, "a refusal")),
        ),
    ),
    windows=(),
    addr_width=4,
)


class Show(wiring.Component):
    """The design of MAP: claims what it is told to."""

    axi: In(AXI4LiteSignature(MAP.addr_width))
    running: Out(1)
    fault: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = AXI4LiteSubordinate(MAP.addr_width)
        m.submodules.registers = registers = RegisterFile(MAP)
        wiring.connect(m, wiring.flipped(self.axi), host.axi)
        wiring.connect(m, host.request, registers.request)
        wiring.connect(m, registers.response, host.response)
        m.d.comb += [
            self.running.eq(registers.show.running),
            self.fault.eq(registers.show.fault),
        ]
        return m
