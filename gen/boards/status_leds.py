"""Two LEDs that show what a core is doing."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class StatusLeds(wiring.Component):
    """Two LEDs. `alive` blinks once a second while the core is idle, and is lit while it works.
    `error` is lit after a refused run, and flashes when a damaged frame comes.

    A run or a damaged frame shows for an eighth to a quarter of a second, however short it is. A
    batch computes for less than a millisecond, so a training run is one steady light.

    Parameter: clock in Hz.
    """

    def __init__(self, clock: int):
        self.eighth = clock // 8
        super().__init__(
            {
                "running": In(1),
                "fault": In(1),
                "trouble": In(1),  # one cycle is enough
                "alive": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self.eighth))
        beat = Signal(3)  # eighths of a second
        tick = Signal()
        m.d.comb += tick.eq(count == self.eighth - 1)
        m.d.sync += count.eq(count + 1)
        with m.If(tick):
            m.d.sync += [count.eq(0), beat.eq(beat + 1)]

        def stretched(cause, name: str):
            """High from the cycle after `cause` to the second tick after it."""
            left = Signal(2, name=name)
            with m.If(cause):
                m.d.sync += left.eq(2)
            with m.Elif(tick & (left != 0)):
                m.d.sync += left.eq(left - 1)
            return left != 0

        m.d.comb += [
            self.alive.eq(stretched(self.running, "ran") | beat[-1]),
            self.error.eq(stretched(self.trouble, "troubled") | self.fault),
        ]
        return m
