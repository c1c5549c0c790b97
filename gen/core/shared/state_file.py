"""What neurons carry from step to step."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import HALF_BITS
from backspike.gen.machine import DEPTH


class StateFile(wiring.Component):
    """A half for each sample and phase of a drain unit, in a block RAM.

    The user must not read a state in the cycle that writes it (see `TimeSequencer`: a state is read
    `recurrence` cycles after its last use, which is after it was written).

    Latency: 1 cycle from `read` to `o`. Throughput: a read and a write each cycle.

    Parameters: reuse: phases of the drain unit.
    """

    def __init__(self, *, reuse: int):
        self._phase_bits = (reuse - 1).bit_length()
        place = data.StructLayout({"sample": range(DEPTH), "phase": range(max(2, reuse))})
        super().__init__(
            {
                "read": In(place),
                "o": Out(HALF_BITS),
                "write": In(1),
                "written": In(place),
                "i": In(HALF_BITS),  # the new state of `written`
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.file = states = memory.Memory(
            shape=16,
            depth=DEPTH << self._phase_bits,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        read, write = states.read_port(), states.write_port()
        bits = self._phase_bits
        m.d.comb += [
            read.addr.eq(Cat(self.read.sample, self.read.phase[:bits])),
            self.o.eq(read.data),
            write.en.eq(self.write),
            write.addr.eq(Cat(self.written.sample, self.written.phase[:bits])),
            write.data.eq(self.i),
        ]
        return m
