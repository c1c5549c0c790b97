"""A butterfly of the streaming transform: sums and differences of a block's halves.

An adder that subtracts only now and then takes a LUT a bit more than one that always does, or
never. So here none does: the first butterfly of a pair subtracts the wrong way round, and the
second sets that right in the LUTs by which it turns words by -j.
"""

from enum import Enum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.delay import Delay
from backspike.gen.spectral.layout import complex_layout, point_layout


class Role(Enum):
    """What a butterfly does beside sums and differences."""

    FIRST = "first of a pair"
    """Its differences are negative."""
    SECOND = "second of a pair"
    """It takes a FIRST's words: differences are negative (never the least number, whose opposite is
    too wide), and not yet turned by a quarter."""
    SINGLE = "single"
    """Nothing."""


class Butterfly(wiring.Component):
    """In each block of a line, sums of the halves, then their differences.

    While a first half comes in it goes into a delay line, and the differences of the block before
    leave. While a second half comes in its sums with the first leave, and differences are stored.

    Latency: half a block and a step; o has an adder before it, and wants a register. Throughput:
    one word a step.

    Parameters: log_block: log2 of a block's points; width of a word's parts; role.

    Ports: step: everything moves, only then; i, o: points; skip (constant while words are inside):
    words pass as they are, with a latency of one step. `first` of the line restarts the block, and
    comes out beside the line's first sum. Lines follow each other at once.
    """

    def __init__(self, *, log_block: int, width: int, role: Role):
        self._log_block, self._width, self._role = log_block, width, role
        super().__init__(
            {
                "step": In(1, init=1),
                "skip": In(1),
                "i": In(point_layout(width)),
                "o": Out(point_layout(width + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        points = complex_layout(self._width + 1)
        half = 1 << (self._log_block - 1)
        m.submodules.delay = delay = Delay(width=points.size, steps=half - 1)
        m.d.comb += delay.step.eq(self.step)

        # The place that the word at i has in its block, or pair of blocks, unless it is the first.
        place = Signal(self._log_block + (self._role is Role.SECOND), reset_less=True)
        late, turned = Signal(), Signal()  # it is of a second half; of a pair's second block
        sums = Signal(reset_less=True)  # what leaves
        begun = Signal()  # a line's first is inside
        m.d.comb += late.eq(place[self._log_block - 1] & ~self.i.first)
        if self._role is Role.SECOND:
            m.d.comb += turned.eq(place[self._log_block] & ~self.i.first)
        with m.If(self.step):
            m.d.sync += [
                place.eq(place + 1),
                sums.eq(late | self.skip),
                begun.eq(self.i.first | (begun & ~sums)),
            ]
            with m.If(self.i.first):
                m.d.sync += place.eq(1)
        m.d.comb += self.o.first.eq(begun & sums)

        # d + x leaves, and what is stored is made of g and y. d and g are the delayed word, x and y
        # the one that came in; but in a first half g and x are 0. Skipping, d is 0 and x never.
        d, g = (Signal(points, name=name, reset_less=True) for name in "dg")
        x, y = (Signal(complex_layout(self._width), name=n, reset_less=True) for n in "xy")
        carry_x, carry_y = (
            Signal(data.ArrayLayout(1, 2), name=name, reset_less=True)
            for name in ("carry_x", "carry_y")
        )
        re, im = self.i.re, self.i.im
        with m.If(self.step):
            m.d.sync += [d.eq(delay.o), g.eq(delay.o)]
            with m.If(~late):
                m.d.sync += g.eq(0)
            if self._role is Role.FIRST:
                m.d.sync += [x.re.eq(re), x.im.eq(im), y.re.eq(re), y.im.eq(im)]
            else:
                # A turned block's words are negative. Turned by -j, the second half's (re, im) are
                # (im, -re): so here (-im, re). -n is ~n and a carry.
                m.d.sync += [
                    x.re.eq(Mux(turned, ~im, re)),
                    x.im.eq(Mux(turned, re, im)),
                    carry_x[0].eq(turned & late),
                    y.re.eq(Mux(turned, Mux(late, im, ~re), Mux(late, ~re, re))),
                    y.im.eq(Mux(turned, Mux(late, ~re, ~im), Mux(late, ~im, im))),
                    carry_y[0].eq(turned ^ late),
                    carry_y[1].eq(turned | late),
                ]
            with m.If(~late & ~self.skip):
                m.d.sync += x.eq(0)
        with m.If(self.skip):
            m.d.sync += d.eq(0)

        stored = data.View(points, delay.i)
        for n, part in enumerate(("re", "im")):
            d_n, g_n, x_n, y_n = (getattr(word, part) for word in (d, g, x, y))
            if self._role is Role.FIRST:
                m.d.comb += [getattr(self.o, part).eq(d_n + x_n), stored[part].eq(y_n - g_n)]
            else:
                m.d.comb += [
                    getattr(self.o, part).eq(d_n + x_n + carry_x[n]),
                    stored[part].eq(g_n + y_n + carry_y[n]),
                ]
        return m
