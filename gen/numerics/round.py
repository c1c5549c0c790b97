"""Rounding: where an exact sum becomes a half again."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import FRACTION, Half
from backspike.ir.constants import LARGEST_BITS, RANDOM_BITS

SIGNIFICAND = 11
"""Bits of a normal half's significand, hidden bit included."""
MAGNITUDE = 40
"""Bits of a finite half's magnitude in units of 2^-24: 65504 * 2^24 < 2^40."""
NEAREST_LATENCY = 4
"""Cycles of rounding to nearest."""
STOCHASTIC_LATENCY = 5
"""Cycles of rounding with the ports for stochastic rounding."""
GROUP = 8
"""Places among which the leading one is looked for at once: 30 are four groups."""


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
    i: signed(width). i_negate: 1 bit, beside i: round -i (0 if not connected).
    i_random: 16 bits and i_stochastic: 1 bit (0: to nearest), both beside i.
    o: Half. saturated: 1 bit, beside o.

    Errors: ValueError for a width below 2 or a fraction below 24.
    """

    def __init__(self, *, width: int, fraction: int, stochastic: bool = False):
        if width < 2:
            raise ValueError(f"width is {width}, must be 2 or more")
        if fraction < FRACTION:
            raise ValueError(f"fraction is {fraction}, must be {FRACTION} or more")
        self.width, self.fraction, self.stochastic = width, fraction, stochastic
        ports = {"i": In(signed(width)), "i_negate": In(1), "o": Out(Half), "saturated": Out(1)}
        if stochastic:
            ports |= {"i_random": In(RANDOM_BITS), "i_stochastic": In(1)}
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from i to o: 4, and one more with `stochastic`."""
        return STOCHASTIC_LATENCY if self.stochastic else NEAREST_LATENCY

    def elaborate(self, platform):
        # No negation: of a negative x we take n = ~x = |x| - 1, which has |x|'s leading one unless
        # n is all ones, and then it rounds up to |x| exactly. With r the part of n below the last
        # place, the part of |x| is r + 1: at least a half place iff r's top bit is one, or r is
        # 0111..1. "The rest of r is all ones" is "the rest of x is all zeros", as for positive x.
        # So there is no carry chain of the number's width, and the sign is put in at the end of
        # the shifter, where it costs nothing.
        #
        # The leading one is found in two steps: among groups of places, then in what the first
        # step has left of the number.
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

        # Zeros below the number where it has too few bits below 2^-24 to decide upon; signs above
        # it where it is narrow.
        guard = RANDOM_BITS if self.stochastic else 1
        below = self.fraction - FRACTION
        padding = max(0, guard - below)
        place = below + padding  # the bit that counts 2^-24
        top = place + MAGNITUDE
        sign = self.i[-1]
        x = Cat(Const(0, padding), self.i[:-1])
        beyond = (x[top:] ^ sign.replicate(len(x[top:]))).any()
        x = wire("x", Cat(x, sign.replicate(top + GROUP))[:top])

        # Cycle 1: which group of normal exponents' places has the leading one, and whether groups
        # of bits below are all zero.
        groups = [x[n : n + GROUP] for n in range(place + SIGNIFICAND - 1, top, GROUP)]
        there = [(group ^ sign.replicate(len(group))).any() for group in groups]
        lowest = place - guard
        coarse1 = stage("coarse1", Cat(there[3] | (there[1] & ~there[2]), there[3] | there[2]))
        fallen1 = stage("fallen1", x[:lowest].any())
        passed = [x[n : n + GROUP].any() for n in range(lowest, lowest + 3 * GROUP, GROUP)]
        passed1 = stage("passed1", Cat(passed))
        window1 = stage("window1", x[lowest:])
        beyond1 = stage("beyond1", beyond)
        sign1 = stage("sign1", sign)

        # Cycle 2: what is from the top of this group down.
        width = SIGNIFICAND + guard + GROUP - 1
        window = Cat(window1, sign1.replicate(GROUP))
        upper = wire("upper", Mux(coarse1[1], window[2 * GROUP :], window)[: width + GROUP])
        part2 = stage("part2", Mux(coarse1[0], upper[GROUP:], upper)[:width])
        below = Cat(coarse1.any(), coarse1[1], coarse1.all())
        clear2 = stage("clear2", ~(fallen1 | (passed1 & below).any()))
        coarse2 = stage("coarse2", coarse1)
        beyond2 = stage("beyond2", beyond1)
        sign2 = stage("sign2", sign1)

        # Cycle 3: the leading one in the group; shift the significand down to the lowest places.
        fine, _ = highest(part2[-GROUP:] ^ sign2.replicate(GROUP))
        fine = wire("fine", fine)
        rest, clear = part2, clear2
        for k in reversed(range(len(fine))):
            lost = rest[: 1 << k].any()
            needed = SIGNIFICAND + guard + (1 << k) - 1
            shifted = wire(f"rest_{k}", Mux(fine[k], rest >> (1 << k), rest)[:needed])
            clear = wire(f"clear_{k}", clear & ~(fine[k] & lost))
            rest = shifted
        rest = rest ^ sign2.replicate(len(rest))
        cut3 = stage("cut3", rest[:guard])
        significand3 = stage("significand3", rest[guard:])
        shift3 = stage("shift3", Cat(fine, coarse2))
        clear3 = stage("clear3", clear)
        beyond3 = stage("beyond3", beyond2)
        sign3 = stage("sign3", sign2)

        # The result's sign, which may be another than the number's.
        result_sign = sign3 ^ stage("negate3", stage("negate2", stage("negate1", self.i_negate)))

        # Go up or not; with random numbers, a cycle of its own for comparing with them.
        half = cut3[-1]
        odd = significand3[0]
        below_clear = clear3
        if self.stochastic:
            below_clear = clear3 & (cut3[:-1] == sign3.replicate(guard - 1))
        up = Mux(sign3, half | (below_clear & odd), half & (~below_clear | odd))
        exact = (significand3, shift3, beyond3)
        if self.stochastic:
            random, stochastic = self.i_random, self.i_stochastic
            for n in range(1, 4):
                random = stage(f"random{n}", random)
                stochastic = stage(f"stochastic{n}", stochastic)
            carry = (cut3 + random + (sign3 & clear3))[RANDOM_BITS]
            up = stage("up4", Mux(stochastic, carry, up))
            result_sign = stage("result_sign4", result_sign)
            exact = tuple(stage(f"{value.name[:-1]}4", value) for value in exact)
        significand, shift, beyond = exact

        # Last cycle: pack. A normal number's hidden bit makes its exponent one more than the
        # shift, and a carry out of the mantissa moves to the next exponent. Saturation is a
        # register's set, which costs nothing where that is what it starts with.
        hidden = significand[-1]
        mantissa = significand[:-1]
        packed = (Cat(mantissa, shift) + Cat(up, Const(0, len(mantissa) - 1), hidden))[:15]
        saturated = beyond | (packed[10:] == 0x1F)
        result = Signal(15, init=LARGEST_BITS, reset_less=True)
        m.d.sync += result.eq(packed)
        with m.If(saturated):
            m.d.sync += result.eq(LARGEST_BITS)
        negative = stage("negative", result_sign & (significand.any() | up | beyond))
        m.d.comb += [
            self.o.as_value().eq(Cat(result, negative)),
            self.saturated.eq(stage("saturated_result", saturated)),
        ]
        return m
