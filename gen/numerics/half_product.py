"""Exact products of halves, as fixed-point numbers that are summed."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import PRODUCT_FIXED, Half, significand

FACTOR = 18
"""Bits of a factor's significand: 11 of the half's and up to 7 places, what a multiplier takes."""


class Factor(data.Struct):
    """A half's magnitude times 2 in units of 2^-24, shifted in part: significand * 256^shift.

    Of the places to shift, up to 7 are done before a multiplier and multiples of 8 after it: so
    both ways are short. Times 2, because the exponent is then the number of places, without
    a subtraction; a subnormal's exponent of 0 stands for 1.
    """

    significand: FACTOR
    shift: 2
    sign: 1


def factor(half) -> Value:
    """A Half as a Factor, combinationally."""
    subnormal = half.exponent == 0
    magnitude = significand(half)
    magnitude = Mux(half.exponent[0] | subnormal, magnitude << 1, magnitude)
    magnitude = Mux(half.exponent[1], magnitude << 2, magnitude)
    magnitude = Mux(half.exponent[2], magnitude << 4, magnitude)
    return Cat(magnitude[:FACTOR], half.exponent[3:], half.sign)


class HalfProduct(wiring.Component):
    """The exact product of a half and a factor, an integer in units of 2^-48: o + carry.

    As `HalfToFixed`; one MULT18X18D on ECP5, with registers on both sides. The factor comes from a
    register, which many of these can share.

    Latency: `latency` cycles from i_half, one less from i_factor. Throughput: one a cycle.

    Ports: load (high unless connected): take i_half, a Half; i_factor: a Factor, one cycle after
    i_half. o: signed(PRODUCT_FIXED), and carry.
    """

    latency = 3

    load: In(1, init=1)
    i_half: In(Half)
    i_factor: In(Factor)
    o: Out(signed(PRODUCT_FIXED))
    carry: Out(1)

    def elaborate(self, platform):
        m = Module()
        taken = Signal(Factor, reset_less=True)
        product = Signal(2 * FACTOR, reset_less=True)
        shift = Signal(3, reset_less=True)
        sign = Signal(reset_less=True)
        fixed = Signal(signed(PRODUCT_FIXED), reset_less=True)
        carry = Signal(reset_less=True)
        magnitude = (product << (shift << 3)) >> 2
        with m.If(self.load):
            m.d.sync += taken.eq(factor(self.i_half))
        m.d.sync += [
            product.eq(taken.significand * self.i_factor.significand),
            shift.eq(taken.shift + self.i_factor.shift),
            sign.eq(taken.sign ^ self.i_factor.sign),
            fixed.eq(magnitude ^ sign.replicate(PRODUCT_FIXED)),
            carry.eq(sign),
        ]
        m.d.comb += [self.o.eq(fixed), self.carry.eq(carry)]
        return m
