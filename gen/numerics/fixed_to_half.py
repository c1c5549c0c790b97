"""Rounding: where an exact sum becomes a half again."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.half import FRACTION, Half
from backspike.gen.pipeline import Pipeline
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


class FixedToHalf(wiring.Component):
    """Rounds an exact fixed-point number to a half: to nearest, ties to even; or stochastically.

    Beyond ±65504 the result saturates (to nearest: from 65520 on). A result of zero is +0.
    Stochastic: the magnitude is cut to a half (last place 2^-24 below the normal range); it goes
    up by one place iff floor(cut off, in units of 2^-16 places) + i_random >= 2^16.

    Latency: `latency` cycles. Throughput: one number a cycle; free running, without enable.

    Parameters: width: bits of the number; fraction: it counts in units of 2^-fraction, at least 24;
    stochastic: adds the ports for stochastic rounding.

    Errors: ValueError for a width below 2 or a fraction below 24.
    """

    # No negation: of a negative x we take n = ~x = |x| - 1, which has |x|'s leading one unless
    # n is all ones, and then it rounds up to |x| exactly. With r the part of n below the last
    # place, the part of |x| is r + 1: at least a half place iff r's top bit is one, or r is
    # 0111..1. "The rest of r is all ones" is "the rest of x is all zeros", as for positive x.
    # So there is no carry chain of the number's width, and the sign is put in at the end of
    # the shifter, where it costs nothing.
    #
    # The leading one is found in two steps: among groups of places, then in what the first
    # step has left of the number.

    def __init__(self, *, width: int, fraction: int, stochastic: bool = False):
        if width < 2:
            raise ValueError(f"width is {width}, must be 2 or more")
        if fraction < FRACTION:
            raise ValueError(f"fraction is {fraction}, must be {FRACTION} or more")
        self.width, self.fraction, self.stochastic = width, fraction, stochastic
        self._guard = RANDOM_BITS if stochastic else 1  # bits below the last place that are kept
        ports = {
            "i": In(signed(width)),
            "i_negate": In(1),  # beside i: round -i
            "o": Out(Half),
            "saturated": Out(1),  # beside o
        }
        if stochastic:
            ports |= {
                "i_random": In(RANDOM_BITS),  # beside i
                "i_stochastic": In(1),  # beside i; 0: to nearest
            }
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from i to o: 4, and one more with `stochastic`."""
        return STOCHASTIC_LATENCY if self.stochastic else NEAREST_LATENCY

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m)  # from cycle 0, that of i
        pipeline.put("sign", self.i[-1], at=0)
        pipeline.put("negate", self.i_negate, at=0)
        self._find_group(pipeline)
        self._take_group(pipeline)
        self._shift(pipeline)
        at = self.latency - 1  # the cycle of packing
        up = self._goes_up(pipeline)
        significand, shift, beyond, sign, negate = (
            pipeline.get(name, at=at)
            for name in ("significand", "shift", "beyond", "sign", "negate")
        )

        # A normal number's hidden bit makes its exponent one more than the shift, and a carry out
        # of the mantissa moves to the next exponent. Saturation is a register's set, which costs
        # nothing where that is what it starts with.
        hidden = significand[-1]
        mantissa = significand[:-1]
        packed = (Cat(mantissa, shift) + Cat(up, Const(0, len(mantissa) - 1), hidden))[:15]
        saturated = beyond | (packed[10:] == 0x1F)
        result = Signal(15, init=LARGEST_BITS, reset_less=True)
        m.d.sync += result.eq(packed)
        with m.If(saturated):
            m.d.sync += result.eq(LARGEST_BITS)
        negative = (sign ^ negate) & (significand.any() | up | beyond)
        m.d.comb += [
            self.o.as_value().eq(Cat(result, pipeline.register("negative", negative, at=at + 1))),
            self.saturated.eq(pipeline.register("saturated", saturated, at=at + 1)),
        ]
        return m

    def _find_group(self, pipeline: Pipeline) -> None:
        """Cycle 1: which group of normal exponents' places has the leading one, and whether groups
        of bits below are all zero."""
        # Zeros below the number where it has too few bits below 2^-24 to decide upon; signs above
        # it where it is narrow.
        padding = max(0, self._guard - (self.fraction - FRACTION))
        place = self.fraction - FRACTION + padding  # the bit that counts 2^-24
        top = place + MAGNITUDE
        sign = self.i[-1]
        x = Cat(Const(0, padding), self.i[:-1])
        pipeline.register("beyond", (x[top:] ^ sign.replicate(len(x[top:]))).any(), at=1)
        x = pipeline.wire("x", Cat(x, sign.replicate(top + GROUP))[:top], at=0)
        groups = [x[n : n + GROUP] for n in range(place + SIGNIFICAND - 1, top, GROUP)]
        there = [(group ^ sign.replicate(len(group))).any() for group in groups]
        coarse = Cat(there[3] | (there[1] & ~there[2]), there[3] | there[2])
        pipeline.register("coarse", coarse, at=1)
        lowest = place - self._guard
        passed = [x[n : n + GROUP].any() for n in range(lowest, lowest + 3 * GROUP, GROUP)]
        pipeline.register("fallen", x[:lowest].any(), at=1)
        pipeline.register("passed", Cat(passed), at=1)
        pipeline.register("window", x[lowest:], at=1)

    def _take_group(self, pipeline: Pipeline) -> None:
        """Cycle 2: what is from the top of this group down, and whether all below is zero."""
        coarse, fallen, passed, window, sign = (
            pipeline.get(name, at=1) for name in ("coarse", "fallen", "passed", "window", "sign")
        )
        width = SIGNIFICAND + self._guard + GROUP - 1
        window = Cat(window, sign.replicate(GROUP))
        upper = Mux(coarse[1], window[2 * GROUP :], window)[: width + GROUP]
        upper = pipeline.wire("upper", upper, at=1)
        pipeline.register("part", Mux(coarse[0], upper[GROUP:], upper)[:width], at=2)
        below = Cat(coarse.any(), coarse[1], coarse.all())
        pipeline.register("part_clear", ~(fallen | (passed & below).any()), at=2)

    def _shift(self, pipeline: Pipeline) -> None:
        """Cycle 3: the leading one in the group; the significand is shifted to the lowest places,
        with what is cut off, and whether all below is zero."""
        guard = self._guard
        rest, clear, sign = (pipeline.get(name, at=2) for name in ("part", "part_clear", "sign"))
        fine, _ = highest(rest[-GROUP:] ^ sign.replicate(GROUP))
        fine = pipeline.wire("fine", fine, at=2)
        for k in reversed(range(len(fine))):
            lost = rest[: 1 << k].any()
            needed = SIGNIFICAND + guard + (1 << k) - 1
            shifted = Mux(fine[k], rest >> (1 << k), rest)[:needed]
            clear = pipeline.wire(f"clear_by{1 << k}", clear & ~(fine[k] & lost), at=2)
            rest = pipeline.wire(f"rest_by{1 << k}", shifted, at=2)
        rest = rest ^ sign.replicate(len(rest))
        pipeline.register("cut", rest[:guard], at=3)
        pipeline.register("significand", rest[guard:], at=3)
        pipeline.register("shift", Cat(fine, pipeline.get("coarse", at=2)), at=3)
        pipeline.register("clear", clear, at=3)

    def _goes_up(self, pipeline: Pipeline) -> Value:
        """Whether the significand goes up by a place; with random numbers, a cycle later."""
        cut, clear, sign, significand = (
            pipeline.get(name, at=3) for name in ("cut", "clear", "sign", "significand")
        )
        half = cut[-1]
        odd = significand[0]
        below_clear = clear
        if self.stochastic:
            below_clear = clear & (cut[:-1] == sign.replicate(self._guard - 1))
        up = Mux(sign, half | (below_clear & odd), half & (~below_clear | odd))
        if not self.stochastic:
            return up
        pipeline.put("random", self.i_random, at=0)
        pipeline.put("stochastic", self.i_stochastic, at=0)
        carry = (cut + pipeline.get("random", at=3) + (sign & clear))[RANDOM_BITS]
        return pipeline.register("up", Mux(pipeline.get("stochastic", at=3), carry, up), at=4)
