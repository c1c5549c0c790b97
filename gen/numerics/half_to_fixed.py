"""From a half to the exact fixed-point number that is summed."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import HALF_FIXED, Half, significand


class HalfToFixed(wiring.Component):
    """A half as an exact integer in units of 2^-24: o + carry, for an adder with a carry. With
    `places` it is shifted by up to so many.

    A negative one is ~|half| + 1, so that nothing but the adder has a carry chain. A multiplier
    shifts by up to 15 places: times a power of two is cheaper than four levels of multiplexers.

    Latency: `latency` cycles. Throughput: one a cycle.

    Ports, enables high unless connected: load: take i, a Half, and shift, if there are places; en:
    shift what was taken, to o, signed(HALF_FIXED + places), and carry, which are there two cycles
    later.
    """

    latency = 3

    def __init__(self, *, places: int = 0):
        self._width = HALF_FIXED + places
        super().__init__(
            {
                "load": In(1, init=1),
                "en": In(1, init=1),
                "i": In(Half),
                **({"shift": In(range(places + 1))} if places else {}),
                "o": Out(signed(self._width)),
                "carry": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Half a unit is the last place, see `Factor`.
        exponent = self.i.exponent
        shifted = "shift" in self.signature.members
        if shifted:
            exponent = (exponent + (exponent == 0) + self.shift)[:6]
        magnitude = Signal(11, reset_less=True)
        power = Signal(16, reset_less=True)  # of two
        far = Signal(len(exponent) - 4, reset_less=True)  # times 16 places more
        sign = Signal(reset_less=True)
        near = Signal(11 + 15, reset_less=True)  # a product, and what goes with it
        near_far, near_sign = Signal.like(far), Signal(reset_less=True)
        fixed = Signal(signed(self._width), reset_less=True)
        carry = Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                magnitude.eq(significand(self.i)),
                power.eq(Mux(exponent == 0, 2, 1 << exponent[:4])),
                far.eq(exponent[4:]),
                sign.eq(self.i.sign),
            ]
        with m.If(self.en):
            m.d.sync += [near.eq(magnitude * power), near_far.eq(far), near_sign.eq(sign)]
        moved = near << (near_far << 4) if shifted else Mux(near_far, near << 16, near)
        m.d.sync += [
            fixed.eq((moved >> 1) ^ near_sign.replicate(self._width)),
            carry.eq(near_sign),
        ]
        m.d.comb += [self.o.eq(fixed), self.carry.eq(carry)]
        return m
