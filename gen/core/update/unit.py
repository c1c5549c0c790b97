"""The weight update: from a finished sum of gradients and the old weight to the new one."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.update.moment import Moment
from backspike.gen.numerics.fixed_to_half import (
    NEAREST_LATENCY,
    STOCHASTIC_LATENCY,
    FixedToHalf,
)
from backspike.gen.numerics.half import FRACTION, Half, significand
from backspike.gen.numerics.half_product import Factor
from backspike.gen.numerics.hash32 import Hash32
from backspike.gen.pipeline import Pipeline
from backspike.ir.constants import PART_BITS, RANDOM_BITS

D_AT = 1 + NEAREST_LATENCY
"""Cycles from a sum to d: a register, and rounding."""
CHANGE_LATENCY = 6
"""Cycles from d to what is rounded: its exponent and η's, decoded; two products; alignment;
subtraction."""
SUM_TO_W = D_AT + CHANGE_LATENCY + STOCHASTIC_LATENCY
"""Cycles from a sum to its weight."""
W_AT = D_AT + 2
"""Cycles from a sum until its old weight is needed."""
TOTAL_AT = D_AT + CHANGE_LATENCY
"""Cycles from a sum to w - η d, exact enough to be rounded."""
WORD_AT = TOTAL_AT - Hash32.latency
"""Cycles from a sum until its weight's word is needed, from which the random bits are made."""


def later_by(momentum: bool) -> int:
    """Cycles that momentum takes between d and all that follows."""
    return Moment.latency if momentum else 0


SIGNIFICAND = 11
"""Bits of a half's significand."""
FINE = 3
"""Bits of η d's exponent, the lowest, that are shifted before the product: by up to 7 places, to
the 18 bits that a multiplier takes."""
BELOW = RANDOM_BITS
"""Bits below 2^-24 that the difference needs: all that is lower only matters by being there."""
WEIGHT = 41 + BELOW
"""Bits of |w|, which is below 2^40 in units of 2^-24, and of a change that may leave one."""


def places(half) -> Value:
    """A half's magnitude is its significand * 2^places in units of 2^-25: 1 to 30."""
    return Cat(half.exponent[0] | ~half.exponent.any(), half.exponent[1:])


def one_hot(index: Value) -> Value:
    """A factor of a product, to shift by `index` places."""
    return Cat(index == n for n in range(1 << len(index)))


class Scaled(data.Struct):
    """A half's magnitude as a number and its places, and its sign."""

    significand: SIGNIFICAND
    places: 5
    sign: 1


def scaled(half) -> Value:
    """A Half as Scaled, combinationally."""
    return Cat(significand(half), places(half), half.sign)


class UpdateUnit(wiring.Component):
    """One weight update a cycle: w = round(w - η d), d = round(sum).

    With `momentum` m = round(μ m + d) takes the place of d, and all that is said of cycles after d
    happens `later` cycles later. (Without it `later` is 0; with μ = 0 m is d.)
    With `parts` the sum is only a part, and d is made of `part`, which holds the others, too.

    The difference is |w| - |η d| or |w| + |η d|, with the sign of w; so nothing is negated but what
    is subtracted, by its complement. All in units of 2^-40: what η d has below, at most, makes the
    difference inexact, and takes a unit away if it is subtracted.

    Latency: SUM_TO_W + later cycles from `sum` to `weight`. Throughput: one a cycle.

    Parameters: width: bits of a sum, in units of 2^-(24 + fine); momentum, parts.
    """

    def __init__(self, *, width: int, momentum: bool = False, parts: bool = False, fine: int = 0):
        self._width, self._momentum, self._parts = width, momentum, parts
        self._fine = fine
        self.later = later_by(momentum)
        part = self._part = PART_BITS + fine
        moments = {
            "mu": In(Factor),  # μ
            "old_moment": In(Half),  # m, D_AT cycles after sum
            "moment": Out(Half),  # the new one, beside weight
        }
        sums = {
            "others": In(signed(part)),  # beside sum, the other parts'
            "part": Out(signed(part)),  # all of it, a cycle after sum
        }
        super().__init__(
            {
                **(moments if momentum else {}),
                **(sums if parts else {}),
                "rate": In(Scaled),  # η
                "key": In(32),  # of the stochastic rounding
                "stochastic": In(1),
                "live": In(1),  # the sum counts
                "sum": In(signed(width)),
                "old": In(Half),  # the weight, W_AT + later cycles after sum
                "word": In(32),  # source k and neuron j, WORD_AT + later cycles after sum
                "weight": Out(Half),
                "saturated": Out(1),  # beside weight
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m)  # from cycle 0, that of `sum`; after d that many cycles later
        d = self._gradient(m, pipeline)
        self._product(pipeline, d)
        self._weight(pipeline)
        self._align(m, pipeline)

        # The carry in is made by a place below.
        change, negative, inexact, weight = (
            pipeline.get(name, at=TOTAL_AT - 1)
            for name in ("change", "negative", "inexact", "magnitude")
        )
        whole = negative & ~inexact
        least = pipeline.get("inexact", at=TOTAL_AT)
        total = Signal(signed(WEIGHT + 3), reset_less=True)
        minuend = Cat(whole, Const(0, BELOW), weight)
        m.d.sync += total.eq((minuend + Cat(whole, change, negative).as_signed()) >> 1)

        m.submodules.round_w = round_w = FixedToHalf(
            width=len(total) + 1, fraction=FRACTION + BELOW + 1, stochastic=True
        )
        m.submodules.hash = hash32 = Hash32()
        m.d.comb += [
            hash32.i_key.eq(self.key),
            hash32.i_word.eq(self.word),
            round_w.i.eq(Cat(least, total)),
            round_w.i_random.eq(hash32.o[32 - RANDOM_BITS :]),
            round_w.i_stochastic.eq(self.stochastic),
        ]
        rounded = round_w.o
        nonzero = rounded.mantissa.any() | rounded.exponent.any()
        live, w_sign, d_saturated = (
            pipeline.get(name, at=SUM_TO_W) for name in ("live", "w_sign", "d_saturated")
        )
        m.d.comb += [
            self.weight.eq(rounded),
            self.weight.sign.eq((rounded.sign ^ w_sign) & nonzero),
            self.saturated.eq(d_saturated | (live & round_w.saturated)),
        ]
        return m

    def _gradient(self, m: Module, pipeline: Pipeline):
        """d, or m in its place, and puts `live` and `d_saturated` beside it."""
        before = Pipeline(m)  # from cycle 0, that of `sum`
        before.put("live", self.live, at=0)
        if self._parts:
            # All parts have PART_TERMS terms at the most, so nothing is lost.
            before.register("sum", (self.sum + self.others)[: self._part].as_signed(), at=1)
            m.d.comb += self.part.eq(before.get("sum", at=1))
        else:
            before.put("sum", self.sum, at=0)
        width = self._part if self._parts else self._width
        m.submodules.round_d = round_d = FixedToHalf(width=width, fraction=FRACTION + self._fine)
        m.d.comb += round_d.i.eq(before.get("sum", at=1))
        before.put("saturated", before.get("live", at=D_AT) & round_d.saturated, at=D_AT)
        after = D_AT + self.later
        live, saturated = (before.get(name, at=after) for name in ("live", "saturated"))
        pipeline.put("live", live, at=D_AT)
        if not self._momentum:
            pipeline.put("d_saturated", saturated, at=D_AT)
            return round_d.o
        m.submodules.moment = moment = Moment()
        m.d.comb += [
            moment.mu.eq(self.mu),
            moment.i_gradient.eq(round_d.o),
            moment.i_moment.eq(self.old_moment),
        ]
        pipeline.put("d_saturated", saturated | (live & moment.saturated), at=D_AT)
        pipeline.put("moment", moment.o, at=D_AT)
        m.d.comb += self.moment.eq(pipeline.get("moment", at=SUM_TO_W))
        return moment.o

    def _product(self, pipeline: Pipeline, d) -> None:
        """|η d|: puts `product`, in units of 2^-50 times 2^(8 shift), `shift` and its sign.

        A multiplier shifts, too: its other factor is a power of two.
        """
        at = D_AT + 1
        exponent = pipeline.register("exponent", places(d) + self.rate.places, at=at)
        d = pipeline.register("d", data.View(Scaled, scaled(d)), at=at)
        power = pipeline.register("d_power", one_hot(exponent[:FINE]), at=at + 1)
        digits = pipeline.register("d_significand", d.significand, at=at + 1)
        # A bit less than the shape of the product: a multiplier takes no more.
        factor = (digits * power)[: SIGNIFICAND + (1 << FINE) - 1]
        factor = pipeline.register("factor", factor, at=at + 2)
        pipeline.register("product", factor * self.rate.significand, at=at + 3)
        pipeline.put("shift", exponent[FINE:], at=at)
        pipeline.put("change_sign", d.sign ^ self.rate.sign, at=at)

    def _weight(self, pipeline: Pipeline) -> None:
        """|w|: puts `magnitude`, in units of 2^-24, and `w_sign`."""
        w, at = self.old, W_AT + 1
        power = pipeline.register("w_power", one_hot(places(w)[:4]), at=at)
        digits = pipeline.register("w_significand", significand(w), at=at)
        pipeline.register("w_high", places(w)[4], at=at)
        pipeline.register("w_sign", w.sign, at=at)
        # In units of 2^-25, or 2^16 of them if high.
        low = pipeline.register("w_low", digits * power, at=at + 1)
        magnitude = Mux(pipeline.get("w_high", at=at + 1), low << 16, low)
        pipeline.register("magnitude", magnitude[1 : 1 + WEIGHT - BELOW], at=at + 2)

    def _align(self, m: Module, pipeline: Pipeline) -> None:
        """|η d| at its places, from 2^-40 up to where it leaves no weight whatever it is taken
        from: puts `change`, complemented if it is `negative`, and whether that is `inexact`."""
        at = TOTAL_AT - 2
        product, shift = (pipeline.get(name, at=at) for name in ("product", "shift"))
        signs = (pipeline.get(name, at=at - 1) for name in ("change_sign", "w_sign"))
        change_sign, w_sign = signs
        subtract = pipeline.register("subtract", change_sign ^ ~w_sign, at=at)
        moved = product
        for k in range(len(shift)):
            further = Signal(len(moved) + (8 << k), name=f"moved{k}")
            m.d.comb += further.eq(Mux(shift[k], moved << (8 << k), moved))
            moved = further
        lost = 2 * 25 - FRACTION - BELOW
        above = Cat(
            (shift == n) & product[lost + WEIGHT - 8 * n :].any()
            for n in range(1 << len(shift))
            if lost + WEIGHT - 8 * n < len(product)
        ).any()
        below = Cat(
            (shift == n) & product[: lost - 8 * n].any() for n in range(-(-lost // 8))
        ).any()
        aligned = Cat(moved[lost : lost + WEIGHT], above)
        pipeline.register("change", aligned ^ subtract.replicate(len(aligned)), at=at + 1)
        pipeline.register("negative", subtract, at=at + 1)
        pipeline.register("inexact", below, at=at + 1)
