"""Momentum: from a gradient and the old moment to the new one."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.numerics.fixed_to_half import NEAREST_LATENCY, FixedToHalf
from backspike.gen.numerics.half import FRACTION, HALF_FIXED, PRODUCT_FIXED, Half
from backspike.gen.numerics.half_product import Factor, HalfProduct
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.gen.pipeline import Pipeline

PRODUCT_AT = HalfToFixed.latency + 1
"""Cycles from m to μ m, which d has to wait for."""


class Moment(wiring.Component):
    """m = round(μ m + d), one a cycle.

    Latency: `latency` cycles. Throughput: one a cycle.
    """

    latency = PRODUCT_AT + 1 + NEAREST_LATENCY

    mu: In(Factor)  # μ, which stays
    i_gradient: In(Half)  # d
    i_moment: In(Half)  # the old m, beside it
    o: Out(Half)
    saturated: Out(1)  # beside o

    def elaborate(self, platform):
        m = Module()
        m.submodules.kept = kept = HalfProduct()
        m.submodules.added = added = HalfToFixed()
        pipeline = Pipeline(m)  # from cycle 0, that of the halves
        pipeline.put("moment", self.i_moment, at=0)
        whole = Signal(signed(HALF_FIXED))
        m.d.comb += [
            kept.i_half.eq(pipeline.get("moment", at=PRODUCT_AT - HalfProduct.latency)),
            kept.i_factor.eq(self.mu),
            added.i.eq(self.i_gradient),
            whole.eq(added.o + added.carry),
        ]
        gradient = pipeline.register("whole", whole, at=PRODUCT_AT)
        total = Signal(signed(PRODUCT_FIXED + 1), reset_less=True)
        m.d.sync += total.eq((gradient << FRACTION) + kept.o + kept.carry)
        m.submodules.round = rounded = FixedToHalf(width=len(total), fraction=2 * FRACTION)
        m.d.comb += [
            rounded.i.eq(total),
            self.o.eq(rounded.o),
            self.saturated.eq(rounded.saturated),
        ]
        return m
