"""The weight update: from a finished sum of gradients and the old weight to the new one."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.drain import later
from backspike.gen.numerics.half import FRACTION, Half, significand
from backspike.gen.numerics.hash import Mix
from backspike.gen.numerics.round import NEAREST_LATENCY, STOCHASTIC_LATENCY, Round
from backspike.ir.constants import RANDOM_BITS

D_AT = 1 + NEAREST_LATENCY
"""Cycles from a sum to d: a register, and rounding."""
CHANGE_LATENCY = 6
"""Cycles from d to what is rounded: its exponent and η's, decoded; two products; alignment;
subtraction."""
SUM_TO_W = D_AT + CHANGE_LATENCY + STOCHASTIC_LATENCY
"""Cycles from a sum to its weight."""
W_AT = D_AT + 2
"""Cycles from a sum until its old weight is needed."""
WORD_AT = D_AT + CHANGE_LATENCY - Mix.latency
"""Cycles from a sum until its weight's word is needed, from which the random bits are made."""

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

    Latency: SUM_TO_W cycles from `sum` to `weight`. Throughput: one a cycle.

    Parameters: width, bits of a sum.
    Ports: rate, η; key and stochastic, of the rounding; live: the sum counts; sum in units of
    2^-24; old: the weight, W_AT cycles after sum; word: source k and neuron j, WORD_AT cycles after
    sum; weight; saturated, beside weight.
    """

    def __init__(self, *, width: int):
        self._width = width
        super().__init__(
            {
                "rate": In(Scaled),
                "key": In(32),
                "stochastic": In(1),
                "live": In(1),
                "sum": In(signed(width)),
                "old": In(Half),
                "word": In(32),
                "weight": Out(Half),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        # The difference is |w| - |η d| or |w| + |η d|, with the sign of w; so nothing is negated
        # but what is subtracted, by its complement. All in units of 2^-40: what η d has below, at
        # most, makes the difference inexact, and takes a unit away if it is subtracted.
        m = Module()

        def stage(name: str, value: Value) -> Signal:
            register = Signal(len(value), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        m.submodules.round_d = round_d = Round(width=self._width, fraction=FRACTION)
        m.d.comb += round_d.i.eq(later(m, self.sum, 1, "sum"))

        # η d. A multiplier shifts, too: its other factor is a power of two.
        d = Signal(Scaled, reset_less=True)
        exponent = Signal(6, reset_less=True)
        m.d.sync += [
            d.eq(scaled(round_d.o)),
            exponent.eq(places(round_d.o) + self.rate.places),
        ]
        power = stage("d_power", one_hot(exponent[:FINE]))
        significand_2 = stage("d_significand", d.significand)
        factor = stage("factor", significand_2 * power)
        product = stage("product", factor * self.rate.significand)  # units of 2^-50, * 2^(8 shift)
        shift = later(m, exponent[FINE:], 3, "shift")
        change_sign = later(m, d.sign ^ self.rate.sign, 2, "change_sign")

        # |w|
        w = self.old
        w_power = stage("w_power", one_hot(places(w)[:4]))
        w_significand = stage("w_significand", significand(w))
        w_high = stage("w_high", places(w)[4])
        w_sign = stage("w_sign", w.sign)
        low = stage("w_low", w_significand * w_power)  # units of 2^-25, and 2^16 of them if high
        high = stage("w_high_2", w_high)
        subtract = stage("subtract", change_sign ^ ~w_sign)
        weight = stage("w", Mux(high, low << 16, low)[1 : 1 + WEIGHT - BELOW])

        # η d at its places, from 2^-40 up to where it leaves no weight whatever it is taken from.
        moved = product
        for k in range(len(shift)):
            further = Signal(len(moved) + (8 << k), name=f"moved{k}")
            m.d.comb += further.eq(Mux(shift[k], moved << (8 << k), moved))
            moved = further
        lost = 2 * 25 - FRACTION - BELOW
        beyond = Cat(
            (shift == n) & product[lost + WEIGHT - 8 * n :].any()
            for n in range(1 << len(shift))
            if lost + WEIGHT - 8 * n < len(product)
        ).any()
        below = Cat(
            (shift == n) & product[: lost - 8 * n].any() for n in range(-(-lost // 8))
        ).any()
        aligned = Cat(moved[lost : lost + WEIGHT], beyond)
        change = stage("change", aligned ^ subtract.replicate(len(aligned)))
        negative = stage("negative", subtract)
        inexact = stage("inexact", below)
        whole = negative & ~inexact
        total = Signal(signed(WEIGHT + 3), reset_less=True)
        least = stage("least", inexact)
        # The carry in is made by a place below.
        minuend = Cat(whole, Const(0, BELOW), weight)
        m.d.sync += total.eq((minuend + Cat(whole, change, negative).as_signed()) >> 1)

        m.submodules.round_w = round_w = Round(
            width=len(total) + 1, fraction=FRACTION + BELOW + 1, stochastic=True
        )
        m.submodules.mix = mix = Mix()
        m.d.comb += [
            mix.i_key.eq(self.key),
            mix.i_word.eq(self.word),
            round_w.i.eq(Cat(least, total)),
            round_w.i_random.eq(mix.o[32 - RANDOM_BITS :]),
            round_w.i_stochastic.eq(self.stochastic),
        ]
        turned = later(m, w_sign, SUM_TO_W - W_AT - 1, "turned")
        found = round_w.o
        nonzero = found.mantissa.any() | found.exponent.any()
        live_d = later(m, self.live, D_AT, "live_d")
        saturated_d = later(m, live_d & round_d.saturated, SUM_TO_W - D_AT, "saturated_d")
        live = later(m, live_d, SUM_TO_W - D_AT, "live")
        m.d.comb += [
            self.weight.eq(found),
            self.weight.sign.eq((found.sign ^ turned) & nonzero),
            self.saturated.eq(saturated_d | (live & round_w.saturated)),
        ]
        return m
