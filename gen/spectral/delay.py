"""Delay lines: words come out again so many steps later."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

REGISTERS = 3
"""Steps up to which a delay line is made of registers."""
SMALL = 7
"""Steps up to which it is a RAM of LUTs, read at once; a longer one is a block RAM, read a step
ahead."""


class Delay(wiring.Component):
    """A word comes out `steps` steps after it went in.

    A RAM is a ring: it is read all around, and written so many places behind that the time to come
    round and the time to read are `steps` together.

    Latency: `steps` steps. Throughput: one word a step.

    Parameters: width in bits; steps: 0 (a wire) to REGISTERS, or one less than a power of two.

    Ports: step: everything moves, only then; i, o: words.

    Errors: ValueError for another number of steps.
    """

    def __init__(self, *, width: int, steps: int):
        if steps < 0 or (steps > REGISTERS and steps & (steps + 1)):
            raise ValueError(
                f"steps is {steps}, must be 0 to {REGISTERS} or one less than a power of two"
            )
        self._width, self._steps = width, steps
        super().__init__({"step": In(1, init=1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        if self._steps > REGISTERS:
            self._ring(m)
            return m
        word = self.i
        for n in range(self._steps):
            register = Signal(self._width, name=f"word{n}", reset_less=True)
            with m.If(self.step):
                m.d.sync += register.eq(word)
            word = register
        m.d.comb += self.o.eq(word)
        return m

    def _ring(self, m: Module) -> None:
        depth, small = self._steps + 1, self._steps <= SMALL
        style = "distributed" if small else "block"
        attributes = {"no_rw_check": 1, "ram_style": style}
        ring = memory.Memory(shape=self._width, depth=depth, init=[], attrs=attributes)
        m.submodules.ring = ring
        write, read = ring.write_port(), ring.read_port(domain="comb" if small else "sync")
        place = Signal(range(depth))
        behind = place
        for n in range(1 if small else 2):
            before = behind
            behind = Signal(range(depth), name=f"behind{n}", init=depth - n - 1)
            with m.If(self.step):
                m.d.sync += behind.eq(before)
        with m.If(self.step):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            read.addr.eq(place),
            write.addr.eq(behind),
            write.data.eq(self.i),
            write.en.eq(self.step),
            self.o.eq(read.data),
        ]
        if not small:
            m.d.comb += read.en.eq(self.step)
