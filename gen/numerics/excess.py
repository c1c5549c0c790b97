"""By how much one half exceeds another: a soft reset's subtraction, rounded."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import Half, significand
from backspike.gen.numerics.round import SIGNIFICAND, highest
from backspike.ir.constants import LARGEST_BITS

EXTRA = 3
"""Bits below the larger significand's last place: two that a shift by one or two keeps whole, and
whether anything is below them. With more than that to shift, the difference has lost one place at
the most."""
WIDE = SIGNIFICAND + EXTRA + 1
"""Bits of the result before it is rounded: one above for a carry."""


class Excess(wiring.Component):
    """round(a - b) for a >= b, to nearest, ties to even; beyond 65504 it saturates.

    The result is not negative, so the magnitudes are all there is: b's taken from a's; a's from
    b's, where both are negative; or added, where only b is. Anything else than a >= b gives
    nonsense.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports: i_a, i_b: Halves; o: Half; saturated, beside o.
    """

    latency = 6

    i_a: In(Half)
    i_b: In(Half)
    o: Out(Half)
    saturated: Out(1)

    def elaborate(self, platform):
        m = Module()

        def stage(name: str, value: Value) -> Signal:
            register = Signal(len(value), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        def wire(name: str, value: Value) -> Signal:
            signal = Signal(len(value), name=name)
            m.d.comb += signal.eq(value)
            return signal

        # Cycle 1: the one with the larger exponent. Of equal ones, b is larger if both are
        # negative; otherwise a is, or they are added.
        a, b = self.i_a, self.i_b
        exponent_a, exponent_b = (
            wire(name, half.exponent | (half.exponent == 0))
            for name, half in (("exponent_a", a), ("exponent_b", b))
        )
        ahead = wire("ahead", (exponent_a - exponent_b)[:6])  # signed
        swap = wire("swap", ahead[5] | ((ahead == 0) & a.sign))
        distance1 = stage("distance1", Mux(ahead[5], -ahead, ahead)[:5])
        larger1 = stage("larger1", Mux(swap, significand(b), significand(a)))
        smaller1 = stage("smaller1", Mux(swap, significand(a), significand(b)))
        exponent1 = stage("exponent1", Mux(swap, exponent_b, exponent_a))
        minus1 = stage("minus1", a.sign == b.sign)

        # Cycle 2: shift the smaller one down to where it counts, what falls off into the last bit.
        rest = Cat(Const(0, EXTRA), smaller1)
        lost = Const(0, 1)
        for k in reversed(range(4)):
            lost = wire(f"lost_{k}", lost | (distance1[k] & rest[: 1 << k].any()))
            rest = wire(f"rest_{k}", Mux(distance1[k], rest >> (1 << k), rest)[: len(rest)])
        # From 16 places on nothing is left that could change the larger one.
        rest = Cat(rest[0] | lost, rest[1:]) & ~distance1[4].replicate(len(rest))
        aligned2 = stage("aligned2", Cat(rest, Const(0, 1)) ^ minus1.replicate(WIDE))
        larger2 = stage("larger2", larger1)
        exponent2 = stage("exponent2", exponent1)
        minus2 = stage("minus2", minus1)

        # Cycle 3: add, or take away.
        sum3 = stage("sum3", (Cat(Const(0, EXTRA), larger2) + aligned2 + minus2)[:WIDE])
        exponent3 = stage("exponent3", exponent2)

        # Cycle 4: places up to the leading one, but none beyond the least exponent.
        down, some = highest(Cat(Const(1, 1), sum3)[:16])
        del some
        places = wire("places", ~down)  # WIDE - 1 - index of the leading one
        left = wire("left", exponent3 - places)  # signed
        none = left[5] | ~sum3.any()
        places4 = stage("places4", Mux(none, exponent3, places)[:4])
        left4 = stage("left4", Mux(none, 0, left)[:5])
        sum4 = stage("sum4", sum3)

        # Cycle 5: shift up.
        rest = sum4
        for k in reversed(range(4)):
            rest = wire(f"up_{k}", Mux(places4[k], rest << (1 << k), rest)[:WIDE])
        cut = WIDE - SIGNIFICAND
        significand5 = stage("significand5", rest[cut:])
        up5 = stage("up5", rest[cut - 1] & (rest[: cut - 1].any() | rest[cut]))
        left5 = stage("left5", left4)

        # Cycle 6: pack, as `Round` does.
        packed = Cat(significand5[:-1], left5) + Cat(
            up5, Const(0, SIGNIFICAND - 2), significand5[-1]
        )
        saturated = packed[10:15] == 0x1F
        result = Signal(15, init=LARGEST_BITS, reset_less=True)
        m.d.sync += result.eq(packed)
        with m.If(saturated):
            m.d.sync += result.eq(LARGEST_BITS)
        m.d.comb += [
            self.o.as_value().eq(result),
            self.saturated.eq(stage("saturated6", saturated)),
        ]
        return m
