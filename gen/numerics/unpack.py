"""From halves to the exact fixed-point numbers that are summed."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import HALF_FIXED, PRODUCT_FIXED, Half, significand

SIGNIFICAND = 15
"""Bits of an operand's significand: 11 of the half's, up to 3 places, and the sign."""
PRODUCT = 2 * SIGNIFICAND
"""Bits of a product of two of them."""


class Operand(data.Struct):
    """A half times 2 in units of 2^-24, shifted in part: significand * 16^shift.

    Of the places to shift, up to 3 are done before a multiplier and multiples of 4 after it: so
    both ways are short. Times 2, because the exponent is then the number of places, without
    a subtraction; a subnormal's exponent of 0 stands for 1.
    """

    significand: signed(SIGNIFICAND)
    shift: 3


def operand(half) -> Value:
    """A Half as an Operand, combinationally."""
    subnormal = half.exponent == 0
    magnitude = significand(half)
    magnitude = Mux(half.exponent[0] | subnormal, magnitude << 1, magnitude)
    magnitude = Mux(half.exponent[1], magnitude << 2, magnitude)
    return Cat(Mux(half.sign, -magnitude, magnitude)[:SIGNIFICAND], half.exponent[2:])


class Unpack(wiring.Component):
    """A half as an exact integer in units of 2^-24.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports, enables high unless connected: load: take i, a Half; en: shift what was taken, to
    o, signed(HALF_FIXED).
    """

    latency = 2

    load: In(1, init=1)
    en: In(1, init=1)
    i: In(Half)
    o: Out(signed(HALF_FIXED))

    def elaborate(self, platform):
        m = Module()
        taken = Signal(Operand, reset_less=True)
        fixed = Signal(signed(HALF_FIXED), reset_less=True)
        with m.If(self.load):
            m.d.sync += taken.eq(operand(self.i))
        with m.If(self.en):
            m.d.sync += fixed.eq((taken.significand << (taken.shift << 2)) >> 1)
        m.d.comb += self.o.eq(fixed)
        return m


class Product(wiring.Component):
    """The exact product of two halves, an integer in units of 2^-48.

    One MULT18X18D on ECP5, with registers on both sides.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports, enables high unless connected: load, with en: take i_a, a Half; en: take i_b, a Half,
    and move everything else. o: signed(PRODUCT_FIXED).
    """

    latency = 3

    load: In(1, init=1)
    en: In(1, init=1)
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
        with m.If(self.en):
            with m.If(self.load):
                m.d.sync += a.eq(operand(self.i_a))
            m.d.sync += [
                b.eq(operand(self.i_b)),
                product.eq(a.significand * b.significand),
                shift.eq(a.shift + b.shift),
                fixed.eq((product << (shift << 2)) >> 2),
            ]
        m.d.comb += self.o.eq(fixed)
        return m
