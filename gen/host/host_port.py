"""The host's way into a machine: AXI4-Lite, a register on the bus, the registers."""

from collections.abc import Mapping

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backspike.gen.host.axi4lite import AXI4LiteSignature, AXI4LiteSubordinate
from backspike.gen.host.bus import BusRegister
from backspike.gen.host.register_file import RegisterFile, register_ports
from backspike.gen.host.registers import RegisterMap


class HostPort(wiring.Component):
    """A register file behind an AXI4-Lite subordinate, and the words that say what the machine is.

    Latency: 10 to 12 cycles for a read. Throughput: a read every 3 cycles.

    Parameters: registers, the map; constants: values of read-only registers, each a number or the
    numbers of its fields by name.
    Ports: axi; otherwise those of `RegisterFile` without the constant registers and the bus.
    Errors: ValueError if a constant is no read-only register, or names fields that it has not.
    """

    def __init__(self, registers: RegisterMap, constants: Mapping[str, int | Mapping[str, int]]):
        self._registers = registers
        self._constants = {name: _word(registers, name, value) for name, value in constants.items()}
        ports = register_ports(registers)
        self._shown = {name: port for name, port in ports.items() if name not in constants}
        super().__init__({"axi": In(AXI4LiteSignature(registers.addr_width)), **self._shown})

    def elaborate(self, platform):
        m = Module()
        width = self._registers.addr_width
        m.submodules.port = port = AXI4LiteSubordinate(width)
        m.submodules.bus = bus = BusRegister(width - 2)
        m.submodules.registers = registers = RegisterFile(self._registers)
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.request, bus.i.request)
        wiring.connect(m, bus.i.response, port.response)
        wiring.connect(m, bus.o.request, registers.request)
        wiring.connect(m, registers.response, bus.o.response)
        for name, value in self._constants.items():
            m.d.comb += getattr(registers, name).eq(value)
        for name, member in self._shown.items():
            outer, inner = getattr(self, name), getattr(registers, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            elif member.flow == In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        return m


def _word(registers: RegisterMap, name: str, value: int | Mapping[str, int]) -> int:
    """What a constant register reads as."""
    register = registers.register(name)
    if register.access != "ro":
        raise ValueError(f"constant {name} is {register.access}, must be ro")
    return value if isinstance(value, int) else register.pack(**value)
