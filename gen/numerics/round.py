"""Rounding: where an exact sum becomes a half again."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import FRACTION, LARGEST, Half

SIGNIFICAND = 11
"""Bits of a normal half's significand, hidden bit included."""
MAGNITUDE = 40
"""Bits of a finite half's magnitude in units of 2^-24: 65504 * 2^24 < 2^40."""
NEAREST_LATENCY = 3
"""Cycles of rounding to nearest."""
STOCHASTIC_LATENCY = 4
"""Cycles of rounding with the ports for stochastic rounding."""
RANDOM = 16
"""Bits below a half's last place that stochastic rounding compares with a random number."""


def highest(bits: Value) -> tuple[Value, Value]:
    """Index of the highest one among `bits` (0 if there is none), and whether there is one.

    Pairs of halves are merged, so it is as deep as the logarithm of their number.
    """
    if len(bits) == 1:
        return Const(0, 0), bits[0]
    half = 1 << (len(bits) - 1).bit_length() - 1
    low, any_low = highest(bits[:half])
    high, any_high = highest(bits[half:])
    rest = (len(bits) - 1).bit_length() - 1
    return Cat(Mux(any_high, high, low)[:rest], any_high), any_low | any_high


class Round(wiring.Component):
    """Round an exact fixed-point number to a half: to nearest, ties to even; or stochastically.

    Beyond ±65504 the result saturates (to nearest: from 65520 on). A result of zero is +0.
    Stochastic: the magnitude is cut to a half (last place 2^-24 below the normal range); it goes
    up by one place iff floor(cut off, in units of 2^-16 places) + i_random >= 2^16.

    Latency: `latency` cycles. Throughput: one number a cycle; free running, without enable.

    Parameters
    ----------
    width: bits of the number. fraction: it counts in units of 2^-fraction, at least 24.
    stochastic: add the ports for stochastic rounding.

    Ports
    -----
    i: signed(width). i_random: 16 bits and i_stochastic: 1 bit (0: to nearest), both beside i.
    o: Half. saturated: 1 bit, beside o.

    Errors: ValueError for a width below 2 or a fraction below 24.
    """

    def __init__(self, *, width: int, fraction: int, stochastic: bool = False):
        if width < 2:
            raise ValueError(f"width is {width}: 2 or more is allowed")
        if fraction < FRACTION:
            raise ValueError(f"fraction is {fraction}: {FRACTION} or more is allowed")
        self.width, self.fraction, self.stochastic = width, fraction, stochastic
        ports = {"i": In(signed(width)), "o": Out(Half), "saturated": Out(1)}
        if stochastic:
            ports |= {"i_random": In(RANDOM), "i_stochastic": In(1)}
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from i to o: 3, and one more with `stochastic`."""
        return STOCHASTIC_LATENCY if self.stochastic else NEAREST_LATENCY

    def elaborate(self, platform):
        # No negation: of a negative x we take n = ~x = |x| - 1, which has |x|'s leading one unless
        # n is all ones, and then it rounds up to |x| exactly. With r the part of n below the last
        # place, the part of |x| is r + 1: at least a half place iff r's top bit is one, or r is
        # 0111..1. "The rest of r is all ones" is "the rest of x is all zeros", as for positive x.
        # So there is no carry chain of the number's width.
        m = Module()

        def stage(name: str, value: Value) -> Signal:
            register = Signal(len(value), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        def wire(name: str, value: Value) -> Signal:
            # What is used several times gets a name, or its expression would be written each time.
            signal = Signal(len(value), name=name)
            m.d.comb += signal.eq(value)
            return signal

        # Zeros below the number where it has too few bits below 2^-24 to decide upon.
        guard = RANDOM if self.stochastic else 1
        below = self.fraction - FRACTION
        padding = max(0, guard - below)
        place = below + padding  # the bit that counts 2^-24
        x = Cat(Const(0, padding), self.i)
        sign = x[-1]
        magnitude = wire("magnitude", x[:-1] ^ sign.replicate(len(x) - 1))

        # Cycle 1: find the leading one among the normal exponents' 30 places.
        normal = magnitude[place + SIGNIFICAND - 1 : place + MAGNITUDE]
        shift, is_normal = highest(normal) if len(normal) else (Const(0, 1), Const(0, 1))
        extended = Cat(x, sign.replicate(MAGNITUDE + place))  # a narrow number, sign-extended
        window1 = stage("window1", extended[place - guard : place + MAGNITUDE])
        clear1 = stage("clear1", ~x[: place - guard].any())
        shift1 = stage("shift1", shift)
        normal1 = stage("normal1", is_normal)
        beyond1 = stage("beyond1", magnitude[place + MAGNITUDE :].any())
        sign1 = stage("sign1", sign)

        # Cycle 2: shift the significand down to the lowest places, and look at what falls off.
        rest, clear = window1, clear1
        for k in reversed(range(len(shift1))):
            fallen = rest[: 1 << k].any()
            needed = SIGNIFICAND + guard + (1 << k) - 1
            shifted = wire(f"rest_{k}", Mux(shift1[k], rest >> (1 << k), rest)[:needed])
            clear = wire(f"clear_{k}", clear & ~(shift1[k] & fallen))
            rest = shifted
        rest = (rest ^ sign1.replicate(len(rest)))[: SIGNIFICAND + guard]
        cut2 = stage("cut2", rest[:guard])
        mantissa2 = stage("mantissa2", rest[guard : guard + SIGNIFICAND - 1])
        exponent2 = stage("exponent2", (shift1 + normal1)[:5])
        clear2 = stage("clear2", clear)
        beyond2 = stage("beyond2", beyond1)
        sign2 = stage("sign2", sign1)

        # Go up or not; with random numbers, a cycle of its own for comparing with them.
        top = cut2[-1]
        odd = mantissa2[0]
        below_clear = clear2
        if self.stochastic:
            below_clear = clear2 & (cut2[:-1] == sign2.replicate(guard - 1))
        up = Mux(sign2, top | (below_clear & odd), top & (~below_clear | odd))
        exact = (mantissa2, exponent2, beyond2, sign2)
        if self.stochastic:
            random2 = stage("random2", stage("random1", self.i_random))
            stochastic2 = stage("stochastic2", stage("stochastic1", self.i_stochastic))
            carry = (cut2 + random2 + (sign2 & clear2))[RANDOM]
            up = stage("up3", Mux(stochastic2, carry, up))
            exact = tuple(stage(f"{value.name[:-1]}3", value) for value in exact)
        mantissa, exponent, beyond, sign = exact

        # Last cycle: pack. A carry out of the mantissa moves to the next exponent.
        packed = (Cat(mantissa, exponent) + up)[:15]
        saturated = beyond | (packed[10:] == 0x1F)
        nonzero = mantissa.any() | exponent.any() | up | beyond
        result = Cat(Mux(saturated, LARGEST, packed)[:15], sign & nonzero)
        m.d.comb += [
            self.o.as_value().eq(stage("result", result)),
            self.saturated.eq(stage("saturated_result", saturated)),
        ]
        return m
