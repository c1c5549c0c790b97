"""The order in which a pass meets the samples of the frame store."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import LOG


class Walk(wiring.Component):
    """Runs through lines and, within a line, through places; shows where it is.

    Places come in natural order, or with their bits reversed, as they leave the transform. Lines
    come in natural order, or, with `mirrored`, each followed by its mirror image: 0, 1, L-1, 2,
    L-2 … L/2-1, L/2+1, L/2 of L lines.

    Latency: the first place is shown in the cycle after `start`, the next one in the cycle after
    `step`. Throughput: a place a cycle. After the last place of all nothing useful is shown.

    Parameters: log_size: log2 of the most lines and places; reverse: places with bits reversed.

    Ports: start, beside log_points and log_lines (log2 of places a line and of lines, 3 to
    log_size) and mirrored, all constant until the next start; step: go on; line, place; first,
    ends: the line's first and last place; last: the last of all.
    """

    def __init__(self, *, log_size: int, reverse: bool):
        self._log_size, self._reverse = log_size, reverse
        super().__init__(
            {
                "start": In(1),
                "log_points": In(LOG),
                "log_lines": In(LOG),
                "mirrored": In(1),
                "step": In(1),
                "line": Out(log_size),
                "place": Out(log_size),
                "first": Out(1),
                "ends": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size = self._log_size
        final_place = Signal(size, reset_less=True)
        lines = Signal(size, reset_less=True)  # the greatest line
        count = Signal(size, reset_less=True)
        odd = Signal(reset_less=True)
        greatest = Cat(self.log_lines > n for n in range(size))
        # L/2 is the greatest line's top bit alone.
        final_line = Mux(self.mirrored, lines & ~(lines >> 1), lines)
        m.d.comb += [
            self.place.eq(count[::-1] if self._reverse else count),
            self.first.eq(count == 0),
            self.ends.eq(self.place == final_place),
            self.last.eq(self.ends & (self.line == final_line)),
        ]
        with m.If(self.start):
            m.d.sync += [
                final_place.eq(Cat(self.log_points > n for n in range(size))),
                lines.eq(greatest),
                count.eq(0),
                self.line.eq(0),
                odd.eq(0),
            ]
        with m.Elif(self.step):
            if self._reverse:
                # What is reversed is the place's number in the upper bits: it overflows to 0.
                lowest = Cat(self.log_points == size - n for n in range(size))
                m.d.sync += count.eq(count + lowest)
            else:
                m.d.sync += count.eq(Mux(self.ends, 0, count + 1))
            with m.If(self.ends):
                # Mirrored: from -k to k + 1 = 1 - line, from k to -k = 0 - line.
                base = Mux(self.mirrored, ~self.line, self.line)
                onward = base + Mux(self.mirrored & ~odd, 2, 1)
                m.d.sync += [self.line.eq(onward & lines), odd.eq(~odd)]
        return m
