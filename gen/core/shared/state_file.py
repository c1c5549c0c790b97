"""What neurons carry from step to step."""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.layout import HALF_BITS, PLACE_BITS
from backspike.gen.machine import DEPTH


def state_layout(reuse: int) -> data.StructLayout:
    """Which state: of a sample, of the lane of a phase; the tile's place, and which of two."""
    return data.StructLayout(
        {
            "sample": range(DEPTH),
            "phase": range(max(2, reuse)),
            "place": PLACE_BITS,
            "second": 1,
        }
    )


def state_of(slot, place=0, second=0) -> Value:
    """The state of a slot's neuron and sample, as `state_layout` has it."""
    return Cat(slot.sample, slot.phase, Cat(place, Const(0, PLACE_BITS))[:PLACE_BITS], second)


class StateFile(wiring.Component):
    """Two halves for each place, sample and phase of a drain unit, in a block RAM.

    The user must not read a state in the cycle that writes it (see `TimeSequencer`: a state is read
    `recurrence` cycles after its last use, which is after it was written).

    Latency: 1 cycle from `read` to `o`. Throughput: a read and a write each cycle.

    Parameters: reuse: phases of the drain unit; places: a power of two.
    """

    def __init__(self, *, reuse: int, places: int):
        self._phase_bits, self._place_bits = (reuse - 1).bit_length(), exact_log2(places)
        super().__init__(
            {
                "read": In(state_layout(reuse)),
                "o": Out(HALF_BITS),
                "write": In(1),
                "written": In(state_layout(reuse)),
                "i": In(HALF_BITS),  # the new state of `written`
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.file = states = memory.Memory(
            shape=16,
            depth=2 * DEPTH << self._phase_bits << self._place_bits,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        read, write = states.read_port(), states.write_port()
        m.d.comb += [
            read.addr.eq(self._address(self.read)),
            self.o.eq(read.data),
            write.en.eq(self.write),
            write.addr.eq(self._address(self.written)),
            write.data.eq(self.i),
        ]
        return m

    def _address(self, state) -> Value:
        phase, place = state.phase[: self._phase_bits], state.place[: self._place_bits]
        return Cat(state.sample, phase, place, state.second)
