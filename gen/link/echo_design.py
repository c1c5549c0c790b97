"""A small design to try the link with: a bell that counts, and a memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backspike.gen.host.axi4lite import AXI4LiteSignature, AXI4LiteSubordinate
from backspike.gen.host.bus import WORD
from backspike.gen.host.register_file import RegisterFile
from backspike.gen.host.registers import Register, RegisterMap, Window
from backspike.gen.memory.host import HostMemory

DEPTH = 256
"""Words of the memory."""

MAP = RegisterMap(
    title="Echo design",
    doc="To try the link with.",
    registers=(
        Register(name="bell", offset=0x00, access="wo", doc="rings", width=8),
        Register(name="rung", offset=0x04, access="ro", doc="how often"),
        Register(name="last", offset=0x08, access="ro", doc="written to the bell last", width=8),
    ),
    windows=(Window(name="memory", base=0x400, words=DEPTH, access="rw", doc="a memory"),),
    addr_width=12,
)


class EchoDesign(wiring.Component):
    """Counts what is written to the bell, and gives back what is written to the memory."""

    axi: In(AXI4LiteSignature(MAP.addr_width))

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = AXI4LiteSubordinate(MAP.addr_width)
        m.submodules.registers = registers = RegisterFile(MAP)
        m.submodules.memory = memory = HostMemory(width=WORD, depth=DEPTH)
        wiring.connect(m, wiring.flipped(self.axi), host.axi)
        wiring.connect(m, host.request, registers.request)
        wiring.connect(m, registers.response, host.response)
        wiring.connect(m, registers.memory, memory.host)
        rung, last = Signal(WORD), Signal(8)
        m.d.comb += [memory.rest.eq(1), registers.rung.eq(rung), registers.last.eq(last)]
        with m.If(registers.bell.valid):
            m.d.sync += [rung.eq(rung + 1), last.eq(registers.bell.data)]
        return m
