"""A small design behind the host port, which the host's tests share."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from backspike.gen.host.axi4lite import AXI4LiteSignature, AXI4LiteSubordinate
from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.host.register_file import RegisterFile
from backspike.gen.host.registers import Field, Register, RegisterMap, Window

IDENTIFICATION = 0xB5

MAP = RegisterMap(
    title="Example",
    doc="A timer with a scratch memory.",
    registers=(
        Register(
            name="identification",
            offset=0x00,
            access="ro",
            width=8,
            doc=f"always {IDENTIFICATION:#x}",
        ),
        Register(
            name="status",
            offset=0x04,
            access="ro",
            doc="what the timer does",
            fields=(
                Field("busy", 0, 1, "the timer runs"),
                Field("left", 16, 16, "cycles that are left"),
            ),
        ),
        Register(
            name="setting",
            offset=0x10,
            access="rw",
            doc="kept for the host",
            reset=0x0300_0005,
            locked=True,
            fields=(
                Field("mode", 0, 3, "any"),
                Field("level", 24, 8, "any"),
            ),
        ),
        Register(name="note", offset=0x14, access="rw", doc="kept for the host", width=16),
        Register(
            name="start",
            offset=0x20,
            access="wo",
            doc="starts the timer with that many cycles",
            width=16,
            locked=True,
        ),
        Register(name="starts", offset=0x24, access="ro", doc="starts since the reset"),
    ),
    windows=(
        Window(name="scratch", base=0x100, words=48, access="rw", doc="a memory"),
        Window(name="echo", base=0x200, words=16, access="ro", doc="its address", locked=True),
        Window(name="hole", base=0x300, words=4, access="rw", doc="nobody answers here"),
    ),
    addr_width=12,
)


class Scratch(wiring.Component):
    """A memory on the bus: a read is answered after two cycles; word 47 refuses to be written."""

    bus: In(HostBus(6))

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = words = memory.Memory(shape=WORD, depth=48, init=[])
        write, read = words.write_port(), words.read_port()
        request, response = self.bus.request, self.bus.response
        looked_up = Signal()
        refused = Signal()
        last = request.payload.address == 47
        m.d.comb += [
            request.ready.eq(1),
            write.addr.eq(request.payload.address),
            write.data.eq(request.payload.data),
            write.en.eq(request.valid & request.payload.write & ~last),
            read.addr.eq(request.payload.address),
            read.en.eq(request.valid),
        ]
        m.d.sync += looked_up.eq(request.valid)
        with m.If(request.valid):
            m.d.sync += refused.eq(request.payload.write & last)
        with m.If(response.ready):
            m.d.sync += response.valid.eq(0)
        with m.If(looked_up):
            m.d.sync += [
                response.valid.eq(1),
                response.payload.data.eq(read.data),
                response.payload.error.eq(refused),
            ]
        return m


class Example(wiring.Component):
    """The design of MAP."""

    axi: In(AXI4LiteSignature(MAP.addr_width))

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = AXI4LiteSubordinate(MAP.addr_width)
        m.submodules.registers = registers = RegisterFile(MAP)
        m.submodules.scratch = scratch = Scratch()
        wiring.connect(m, wiring.flipped(self.axi), host.axi)
        wiring.connect(m, host.request, registers.request)
        wiring.connect(m, registers.response, host.response)
        wiring.connect(m, registers.scratch, scratch.bus)

        left, starts, busy = registers.status.left, registers.starts, registers.status.busy
        timer, count = Signal(16), Signal(WORD)
        m.d.comb += [
            registers.identification.eq(IDENTIFICATION),
            left.eq(timer),
            busy.eq(timer != 0),
            registers.lock.eq(busy),
            starts.eq(count),
        ]
        with m.If(busy):
            m.d.sync += timer.eq(timer - 1)
        with m.If(registers.start.valid):
            m.d.sync += [timer.eq(registers.start.data), count.eq(count + 1)]

        # A window without a wait state either way: it answers one cycle later.
        echo = registers.echo
        m.d.comb += echo.request.ready.eq(1)
        m.d.sync += [
            echo.response.valid.eq(echo.request.valid),
            echo.response.payload.data.eq(echo.request.payload.address),
        ]
        return m
