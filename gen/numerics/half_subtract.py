"""By how much one half exceeds another: a soft reset's subtraction, rounded."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.fixed_to_half import SIGNIFICAND, highest
from backspike.gen.numerics.half import Half, significand
from backspike.gen.pipeline import Pipeline
from backspike.ir.constants import LARGEST_BITS

EXTRA = 3
"""Bits below the larger significand's last place: two that a shift by one or two keeps whole, and
whether anything is below them. With more than that to shift, the difference has lost one place at
the most."""
WIDE = SIGNIFICAND + EXTRA + 1
"""Bits of the result before it is rounded: one above for a carry."""


class HalfSubtract(wiring.Component):
    """round(a - b) for a >= b, to nearest, ties to even; beyond 65504 it saturates.

    The result is not negative, so the magnitudes are all there is: b's taken from a's; a's from
    b's, where both are negative; or added, where only b is. Anything else than a >= b gives
    nonsense.

    Latency: `latency` cycles from i_a. Throughput: one a cycle.
    """

    latency = 6

    i_a: In(Half)
    i_b: In(Half)  # a cycle before i_a
    o: Out(Half)
    saturated: Out(1)  # beside o

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m)  # from cycle 0, that of i_a
        self._order(pipeline)
        self._align(pipeline)

        # Cycle 3: add, or take away.
        larger, aligned, minus = (pipeline.get(x, at=2) for x in ("larger", "aligned", "minus"))
        total = (Cat(Const(0, EXTRA), larger) + aligned + minus)[:WIDE]
        total = pipeline.register("total", total, at=3)

        # Cycle 4: places up to the leading one: WIDE - 1 - its index.
        down, _ = highest(Cat(Const(1, 1), total)[:16])
        places = pipeline.wire("leading", ~down, at=3)
        left = pipeline.get("exponent", at=3) - places  # signed
        places = pipeline.register("places", places, at=4)
        left = pipeline.register("exponent_left", left, at=4)
        some = pipeline.register("some", total.any(), at=4)

        # Cycle 5: shift up, but not beyond the least exponent.
        beyond = pipeline.wire("beyond", left[5], at=4)
        places = Mux(beyond, pipeline.get("exponent", at=4), places)[:4]
        pipeline.register("left", Mux(beyond | ~some, 0, left)[:5], at=5)
        rest = pipeline.get("total", at=4)
        for k in reversed(range(4)):
            up_by = Mux(places[k], rest << (1 << k), rest)[:WIDE]
            rest = pipeline.wire(f"up_by{1 << k}", up_by, at=4)
        cut = WIDE - SIGNIFICAND
        significand = pipeline.register("significand", rest[cut:], at=5)
        up = rest[cut - 1] & (rest[: cut - 1].any() | rest[cut])
        up = pipeline.register("up", up, at=5)

        # Cycle 6: pack, as `FixedToHalf` does.
        packed = Cat(significand[:-1], pipeline.get("left", at=5)) + Cat(
            up, Const(0, SIGNIFICAND - 2), significand[-1]
        )
        saturated = packed[10:15] == 0x1F
        result = Signal(15, init=LARGEST_BITS, reset_less=True)
        m.d.sync += result.eq(packed)
        with m.If(saturated):
            m.d.sync += result.eq(LARGEST_BITS)
        m.d.comb += [
            self.o.as_value().eq(result),
            self.saturated.eq(pipeline.register("saturated", saturated, at=6)),
        ]
        return m

    def _order(self, pipeline: Pipeline) -> None:
        """Cycle 1: the one with the larger exponent. Of equal ones, b is larger if both are
        negative; otherwise a is, or they are added."""
        a, b = self.i_a, self.i_b
        exponent_b = pipeline.register("exponent_b", b.exponent | (b.exponent == 0), at=0)
        significand_b = pipeline.register("significand_b", significand(b), at=0)
        sign_b = pipeline.register("sign_b", b.sign, at=0)
        exponent_a = pipeline.wire("exponent_a", a.exponent | (a.exponent == 0), at=0)
        ahead = pipeline.wire("ahead", (exponent_a - exponent_b)[:6], at=0)  # signed
        # Whether they are equal is known sooner than how far they are apart.
        swap = pipeline.wire("swap", ahead[5] | ((exponent_a == exponent_b) & a.sign), at=0)
        pipeline.register("distance", Mux(ahead[5], -ahead, ahead)[:5], at=1)
        pipeline.register("larger", Mux(swap, significand_b, significand(a)), at=1)
        pipeline.register("smaller", Mux(swap, significand(a), significand_b), at=1)
        pipeline.register("exponent", Mux(swap, exponent_b, exponent_a), at=1)
        pipeline.register("minus", a.sign == sign_b, at=1)

    def _align(self, pipeline: Pipeline) -> None:
        """Cycle 2: the smaller one is shifted down to where it counts; what falls off goes into the
        last bit."""
        distance, smaller, minus = (
            pipeline.get(name, at=1) for name in ("distance", "smaller", "minus")
        )
        rest = Cat(Const(0, EXTRA), smaller)
        lost = Const(0, 1)
        for k in reversed(range(4)):
            fallen = lost | (distance[k] & rest[: 1 << k].any())
            lost = pipeline.wire(f"lost_by{1 << k}", fallen, at=1)
            shifted = Mux(distance[k], rest >> (1 << k), rest)[: len(rest)]
            rest = pipeline.wire(f"down_by{1 << k}", shifted, at=1)
        # From 16 places on nothing is left that could change the larger one.
        rest = Cat(rest[0] | lost, rest[1:]) & ~distance[4].replicate(len(rest))
        pipeline.register("aligned", Cat(rest, Const(0, 1)) ^ minus.replicate(WIDE), at=2)
