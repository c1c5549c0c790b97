"""From a half to the exact fixed-point number that is summed."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import HALF_FIXED, Half, significand


class HalfToFixed(wiring.Component):
    """A half as an exact integer in units of 2^-24: o + carry, for an adder with a carry.

    A negative one is ~|half| + 1, so that nothing but the adder has a carry chain. A multiplier
    shifts by up to 15 places: times a power of two is cheaper than four levels of multiplexers.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports, enables high unless connected: load: take i, a Half; en: shift what was taken, to
    o, signed(HALF_FIXED), and carry, which are there two cycles later.
    """

    latency = 3

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
        near = Signal(11 + 15, reset_less=True)  # a product, and what goes with it
        near_far, near_sign = Signal(reset_less=True), Signal(reset_less=True)
        fixed = Signal(signed(HALF_FIXED), reset_less=True)
        carry = Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                magnitude.eq(significand(self.i)),
                power.eq(Mux(self.i.exponent == 0, 2, 1 << self.i.exponent[:4])),
                far.eq(self.i.exponent[4]),
                sign.eq(self.i.sign),
            ]
        with m.If(self.en):
            m.d.sync += [near.eq(magnitude * power), near_far.eq(far), near_sign.eq(sign)]
        shifted = Mux(near_far, near << 16, near) >> 1
        m.d.sync += [fixed.eq(shifted ^ near_sign.replicate(HALF_FIXED)), carry.eq(near_sign)]
        m.d.comb += [self.o.eq(fixed), self.carry.eq(carry)]
        return m
