"""From halves to the exact fixed-point numbers that are summed."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import (
    HALF_FIXED,
    PRODUCT_FIXED,
    Half,
    scale,
    shift_product,
    signed_significand,
    to_fixed,
)

PRODUCT = 23
"""Bits of a product of two signed significands: 2047^2 < 2^22, and the sign."""
SCALE_SUM = 6
"""Bits of the sum of two scales, 0..58."""


class Unpack(wiring.Component):
    """A half as an exact integer in units of 2^-24.

    Latency: `latency` cycles. Throughput: one a cycle. With `en` low it stands still.

    Ports: en (high unless connected), i: Half, o: signed(HALF_FIXED).
    """

    latency = 1

    en: In(1, init=1)
    i: In(Half)
    o: Out(signed(HALF_FIXED))

    def elaborate(self, platform):
        m = Module()
        fixed = Signal(signed(HALF_FIXED), reset_less=True)
        with m.If(self.en):
            m.d.sync += fixed.eq(to_fixed(self.i))
        m.d.comb += self.o.eq(fixed)
        return m


class Product(wiring.Component):
    """The exact product of two halves, an integer in units of 2^-48.

    The inputs shall come straight from registers and there is one behind the multiplier, so that
    a DSP (one MULT18X18D on ECP5) has registers on both sides.

    Latency: `latency` cycles. Throughput: one a cycle. With `en` low it stands still.

    Ports: en (high unless connected), i_a and i_b: Half, o: signed(PRODUCT_FIXED).
    """

    latency = 2

    en: In(1, init=1)
    i_a: In(Half)
    i_b: In(Half)
    o: Out(signed(PRODUCT_FIXED))

    def elaborate(self, platform):
        m = Module()
        product = Signal(signed(PRODUCT), reset_less=True)
        scales = Signal(SCALE_SUM, reset_less=True)
        shifted = Signal(signed(PRODUCT_FIXED), reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                product.eq(signed_significand(self.i_a) * signed_significand(self.i_b)),
                scales.eq(scale(self.i_a) + scale(self.i_b)),
                shifted.eq(shift_product(product, scales)),
            ]
        m.d.comb += self.o.eq(shifted)
        return m
