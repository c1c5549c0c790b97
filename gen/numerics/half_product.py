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


def shifted_factor(places: int) -> data.StructLayout:
    """A Factor of which the shift may be by so many places more."""
    return data.StructLayout({"significand": FACTOR, "shift": _shift_bits(places), "sign": 1})


def _shift_bits(places: int) -> int:
    return ((31 + places) >> 3).bit_length()


def shift_factor(half, shift: Value, places: int) -> Value:
    """A Half, shifted by up to so many places, as `shifted_factor`, combinationally."""
    total = (half.exponent + (half.exponent == 0) + shift)[: 3 + _shift_bits(places)]
    return Cat((significand(half) << total[:3])[:FACTOR], total[3:], half.sign)


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

    Ports: load (high unless connected): take i_half, a Half; i_factor: a Factor (with `places` a
    `shifted_factor`), one cycle after i_half. o: signed(PRODUCT_FIXED + places), and carry.
    """

    latency = 3

    def __init__(self, *, places: int = 0):
        self._width = PRODUCT_FIXED + places
        super().__init__(
            {
                "load": In(1, init=1),
                "i_half": In(Half),
                "i_factor": In(shifted_factor(places) if places else Factor),
                "o": Out(signed(self._width)),
                "carry": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken = Signal(Factor, reset_less=True)
        product = Signal(2 * FACTOR, reset_less=True)
        shift = Signal(len(self.i_factor.shift) + 1, reset_less=True)
        sign = Signal(reset_less=True)
        fixed = Signal(signed(self._width), reset_less=True)
        carry = Signal(reset_less=True)
        magnitude = (product << (shift << 3)) >> 2
        with m.If(self.load):
            m.d.sync += taken.eq(factor(self.i_half))
        m.d.sync += [
            product.eq(taken.significand * self.i_factor.significand),
            shift.eq(taken.shift + self.i_factor.shift),
            sign.eq(taken.sign ^ self.i_factor.sign),
            fixed.eq(magnitude ^ sign.replicate(self._width)),
            carry.eq(sign),
        ]
        m.d.comb += [self.o.eq(fixed), self.carry.eq(carry)]
        return m
