"""From halves to the exact fixed-point numbers that are summed."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import HALF_FIXED, PRODUCT_FIXED, Half, significand

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


class Unpack(wiring.Component):
    """A half as an exact integer in units of 2^-24: o + carry, for an adder with a carry.

    A negative one is ~|half| + 1, so that nothing but the adder has a carry chain. A multiplier
    shifts by up to 15 places: times a power of two is cheaper than four levels of multiplexers.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports, enables high unless connected: load: take i, a Half; en: shift what was taken, to
    o, signed(HALF_FIXED), and carry.
    """

    latency = 2

    load: In(1, init=1)
    en: In(1, init=1)
    i: In(Half)
    o: Out(signed(HALF_FIXED))
    carry: Out(1)

    def elaborate(self, platform):
        m = Module()
        # Half a unit is the last place, see `Factor`.
        magnitude = Signal(11, reset_less=True)
        power = Signal(16, reset_less=True)  # of two
        far = Signal(reset_less=True)  # 16 places more
        sign = Signal(reset_less=True)
        near = Signal(11 + 15)
        fixed = Signal(signed(HALF_FIXED), reset_less=True)
        carry = Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                magnitude.eq(significand(self.i)),
                power.eq(Mux(self.i.exponent == 0, 2, 1 << self.i.exponent[:4])),
                far.eq(self.i.exponent[4]),
                sign.eq(self.i.sign),
            ]
        m.d.comb += near.eq(magnitude * power)
        with m.If(self.en):
            shifted = Mux(far, near << 16, near) >> 1
            m.d.sync += [fixed.eq(shifted ^ sign.replicate(HALF_FIXED)), carry.eq(sign)]
        m.d.comb += [self.o.eq(fixed), self.carry.eq(carry)]
        return m


class UnpackProduct(wiring.Component):
    """The exact product of a half and a factor, an integer in units of 2^-48: o + carry.

    As `Unpack`; one MULT18X18D on ECP5, with registers on both sides. The factor comes from a
    register, which many of these can share.

    Latency: `latency` cycles from i_half, one less from i_factor. Throughput: one a cycle.

    Ports, enables high unless connected: load, with en: take i_half, a Half; en: move everything.
    i_factor: a Factor, one enabled cycle after i_half. o: signed(PRODUCT_FIXED), and carry.
    """

    latency = 3

    load: In(1, init=1)
    en: In(1, init=1)
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
        with m.If(self.en):
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


SIGNIFICAND = 15
"""Bits of an operand's significand: 11 of the half's, up to 3 places, and the sign."""
PRODUCT = 2 * SIGNIFICAND
"""Bits of a product of two of them."""


class Operand(data.Struct):
    """As `Factor`, but signed, with up to 3 places done before a multiplier: significand *
    16^shift."""

    significand: signed(SIGNIFICAND)
    shift: 3


def operand(half, sign) -> Value:
    """The magnitude of a Half as an Operand of that sign, combinationally."""
    subnormal = half.exponent == 0
    magnitude = significand(half)
    magnitude = Mux(half.exponent[0] | subnormal, magnitude << 1, magnitude)
    magnitude = Mux(half.exponent[1], magnitude << 2, magnitude)
    return Cat(Mux(sign, -magnitude, magnitude)[:SIGNIFICAND], half.exponent[2:])


class Product(wiring.Component):
    """The exact product of two halves, an integer in units of 2^-48.

    One MULT18X18D on ECP5, with registers on both sides.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports: i_a, i_b, Halves; o: signed(PRODUCT_FIXED).
    """

    latency = 3

    i_a: In(Half)
    i_b: In(Half)
    o: Out(signed(PRODUCT_FIXED))

    def elaborate(self, platform):
        m = Module()
        a = Signal(Operand, reset_less=True)
        b = Signal(Operand, reset_less=True)
        product = Signal(signed(PRODUCT), reset_less=True)
        shift = Signal(4, reset_less=True)
        fixed = Signal(signed(PRODUCT_FIXED), reset_less=True)
        m.d.sync += [
            a.eq(operand(self.i_a, self.i_a.sign ^ self.i_b.sign)),
            b.eq(operand(self.i_b, 0)),
            product.eq(a.significand * b.significand),
            shift.eq(a.shift + b.shift),
            fixed.eq((product << (shift << 2)) >> 2),
        ]
        m.d.comb += self.o.eq(fixed)
        return m
