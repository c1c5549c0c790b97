"""The register map as hardware."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.bus import (
    OUTSTANDING,
    RESPONSE,
    WORD,
    HostBus,
    request_signature,
    response_signature,
)
from backspike.gen.host.registers import BYTES, Register, RegisterMap


def register_shape(register: Register):
    """A layout with the register's fields by name, or a plain number of bits."""
    if not register.fields:
        return register.width
    return data.FlexibleLayout(
        register.mask.bit_length(),
        {field.name: data.Field(field.width, field.lsb) for field in register.fields},
    )


def _member(register: Register) -> wiring.Member:
    shape = register_shape(register)
    match register.access:
        case "ro":
            return In(shape)
        case "wo":
            return Out(Strobe(shape))
        case _:
            init = register.unpack(register.reset) if register.fields else register.reset
            return Out(shape, init=init)


class Strobe(wiring.Signature):
    """A write as the core sees it: `valid` for one cycle, with `data`."""

    def __init__(self, shape):
        super().__init__({"valid": Out(1), "data": Out(shape)})


def register_ports(registers: RegisterMap) -> dict[str, wiring.Member]:
    """Ports of a register file for its machine: `lock`, and one for each register and window."""
    return {
        "lock": In(1),
        **{register.name: _member(register) for register in registers.registers},
        **{window.name: Out(HostBus(window.address_width)) for window in registers.windows},
    }


class RegisterFile(wiring.Component):
    """Registers of a map, and the way to its windows, behind the host port.

    Latency: an address is decoded in the first cycle in which its request is offered; in the second
    the request is taken, or passes to its window. A register answers one cycle later. In that cycle
    a written value is visible and a strobe valid. A window's response passes one cycle later.
    Throughput: an access every 2 cycles; to a window as fast as it takes them. An access to
    anything else waits for the window's responses.

    Parameters: registers, the map.
    Ports: request, response: from the host port (word addresses).
    lock: while high, whatever is marked locked is refused. It is looked at in the cycle before the
    request is taken (of a register, when it is taken): at the earliest beside the strobe of the
    access before.
    For each register a port of its name: In(shape) if ro, Out(shape) if rw, Out(Strobe(shape)) if
    wo, the shape with the fields by name if it has fields.
    For each window a `HostBus` of its name, addresses counted in words from its base; who answers
    there may refuse, too, and must answer every request.
    Errors (`error` in the response, nothing happens): what `registers` and its page say.
    """

    def __init__(self, registers: RegisterMap):
        self.registers = registers
        super().__init__(
            {
                "request": In(request_signature(registers.addr_width - 2)),
                "response": Out(response_signature()),
                **register_ports(registers),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request, response = self.request, self.response
        write, address = request.payload.write, request.payload.address
        word = request.payload.data

        # A request is for a window (`routed`), or it is answered here in the next cycle: not before
        # a window has answered what it took.
        answer = Signal()
        answer_data = Signal(WORD)
        answer_error = Signal()
        routed = Signal()
        accept = Signal()
        here = Signal()  # accept, if it is no window's
        pending = Signal(range(OUTSTANDING + 1))  # requests that a window has not answered
        free = Signal()  # there are none
        taken = Signal()
        decoded = Signal()  # the request was there in the cycle before
        m.d.sync += decoded.eq(request.valid & ~request.ready)
        m.d.comb += [
            free.eq(pending == 0),
            here.eq(request.valid & decoded & free),
            accept.eq(here & ~routed),
        ]
        m.d.sync += [
            answer.eq(accept),
            pending.eq(pending + taken - (response.valid & ~answer)),
        ]

        allowed, found = [], Const(0)
        for register in self.registers.registers:
            port, at = getattr(self, register.name), Signal(name=f"{register.name}_at")
            m.d.sync += at.eq(address == register.offset // BYTES)
            may, value = self._access(m, register, port, here & at, write, word)
            allowed.append(at & may)
            found |= value & at.replicate(WORD)
        m.d.sync += [answer_error.eq(accept & ~Cat(allowed).any()), answer_data.eq(0)]
        with m.If(here & ~write):  # (of a window, nothing is found)
            m.d.sync += answer_data.eq(found)

        # Each window's answer has a register, which is zero if it has none: joining them takes no
        # choice.
        hits, owned, taking, answered = [], [], [], answer
        offered = Signal()  # to its window
        error, data = answer_error, answer_data
        for window in self.registers.windows:
            port = getattr(self, window.name)
            local = window.address_width
            hit = Signal(name=f"{window.name}_hit")  # the request is for it, and allowed
            chosen = Signal(name=f"{window.name}_chosen")  # the last request was for this window
            may = {"ro": ~write, "wo": write, "rw": Const(1)}[window.access]
            if window.locked:
                may &= ~self.lock
            # Words below a power of two leave a rest that belongs to nobody.
            m.d.sync += hit.eq(
                (address[local:] == window.base // BYTES >> local)
                & (address[:local] < window.words)
                & may
            )
            m.d.comb += [
                port.request.payload.write.eq(write),
                port.request.payload.address.eq(address[:local]),
                port.request.payload.data.eq(word),
                port.request.valid.eq(hit & offered),
                port.response.ready.eq(response.ready),
            ]
            with m.If(taken):
                m.d.sync += chosen.eq(hit)
            came = Signal(name=f"{window.name}_came")
            found = Signal(RESPONSE, name=f"{window.name}_found")
            m.d.sync += [came.eq(port.response.valid), found.eq(0)]
            with m.If(port.response.valid):
                m.d.sync += found.eq(port.response.payload)
            hits.append(hit)
            owned.append(hit & chosen)
            taking.append(hit & port.request.ready)
            answered |= came
            error |= found.error
            data |= found.data
        m.d.comb += [
            routed.eq(Cat(hits).any()),
            # A window goes on with requests while it has not answered those before.
            offered.eq(request.valid & decoded & (Cat(owned).any() | free)),
            taken.eq(offered & Cat(taking).any()),
            request.ready.eq(taken | (decoded & free & ~routed)),
            response.valid.eq(answered),
            response.payload.error.eq(error),
            response.payload.data.eq(data),
        ]
        return m

    def _access(self, m, register, port, accept, write, word):
        """Carries a write of one register out: (whether the access is allowed, what it reads)."""
        fits = (word & Const(~register.mask & 0xFFFF_FFFF, WORD)) == 0
        if register.locked:
            fits &= ~self.lock
        if register.access == "ro":
            return ~write, Value.cast(port)
        with m.If(accept & write & fits):
            if register.access == "rw":
                m.d.sync += port.eq(word)
            else:
                m.d.sync += port.data.eq(word)
        if register.access == "rw":
            return ~write | fits, Value.cast(port)
        m.d.sync += port.valid.eq(accept & write & fits)
        return write & fits, Const(0)
