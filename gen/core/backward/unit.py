"""The back-propagation engine's drain unit: a neuron backward in time, one step a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import BACKWARD
from backspike.gen.core.forward.unit import CODE
from backspike.gen.core.layout import HALF_BITS, PLACE_BITS, TABLE
from backspike.gen.core.shared.state_file import StateFile, state_of
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.gen.numerics.fixed_to_half import NEAREST_LATENCY, FixedToHalf
from backspike.gen.numerics.half import FRACTION, ONE, PRODUCT_FIXED, Half
from backspike.gen.numerics.half_product import Factor, HalfProduct, factor
from backspike.gen.pipeline import Pipeline

SUM_TO_E = NEAREST_LATENCY
"""Cycles from a sum to e: rounding."""
FACTORS_AT = SUM_TO_E + 1
"""Cycles from a sum to h and κ, which a product takes a cycle after e and g_{t+1}."""
PRODUCTS_AT = SUM_TO_E + HalfProduct.latency
"""Cycles from a sum to the products."""
E_TO_G = HalfProduct.latency + 1 + NEAREST_LATENCY
"""Cycles from e to g: products, addition; rounding."""
RECURRENCE = 2 + E_TO_G + 1
"""Cycles from the reading of g_{t+1} to that of g_t: out of its memory, a register; to g."""
CODE_LATENCY = 1
"""Cycles from a slot to its code, logit and label."""
MINUS_ONE = 0x8000 | ONE


class BackwardUnit(wiring.Component):
    """One backward neuron update a cycle: g = round(h e + κ g_{t+1}), e = round(sum).

    A neuron with a synaptic current takes two passes. In the first g is found, which stays in the
    unit; in the second q = round(g + α q_{t+1}) takes its place.

    At a read-out g is the loss's error, the same in every step: with the logit o in the place of e
    and α in that of h, round(α o - onehot) is the same sum of two products. (The host's own error
    comes in the logit's place, times 1.)

    Latency: `latency` cycles from `slot` and `sum` to `gradient`. Throughput: one a cycle.

    Parameters: width: of the sum, in units of 2^-(48 + fine); reuse: lanes that it serves; places:
    of what tiles keep.
    """

    latency = SUM_TO_E + E_TO_G
    recurrence = RECURRENCE

    def __init__(self, *, width: int, reuse: int, places: int, fine: int = 0):
        self._width, self._reuse, self._places = width, reuse, places
        self._fine = fine
        super().__init__(
            {
                "config": In(BACKWARD.config),
                "table": In(TABLE),  # a surrogate derivative h is written
                "slot": In(slot_layout(reuse)),
                "live": In(1),  # the slot holds a neuron and a sample; else its gradient is 0
                "place": In(PLACE_BITS),  # of what the tile keeps
                "sum": In(signed(width)),
                "code": In(CODE),  # CODE_LATENCY cycles after slot
                "logit": In(HALF_BITS),  # likewise
                "onehot": In(1),  # likewise: the label is this neuron
                "gradient": Out(HALF_BITS),
                "saturated": Out(1),  # beside gradient
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.round_e = round_e = FixedToHalf(
            width=self._width, fraction=2 * FRACTION + self._fine
        )
        m.d.comb += round_e.i.eq(self.sum)
        pipeline = Pipeline(m)  # from cycle 0, that of `slot` and `sum`
        pipeline.put("slot", self.slot, at=0)
        pipeline.put("live", self.live & self.slot.valid, at=0)
        pipeline.put("place", self.place, at=0)
        # The slot's pass is the second of two.
        pipeline.put("current", config.current & self.slot.second, at=0)
        for name in ("code", "logit", "onehot"):
            pipeline.put(name, getattr(self, name), at=CODE_LATENCY)
        h, kappa = self._factors(m, pipeline)
        m.submodules.states = states = StateFile(reuse=self._reuse, places=self._places)
        m.submodules.found = found = StateFile(reuse=self._reuse, places=1)
        asked = pipeline.get("slot", at=SUM_TO_E - 2)
        m.d.comb += Value.cast(found.read).eq(state_of(asked))
        # What comes in the place of e has its register, as all that a block RAM gives.
        second = pipeline.get("current", at=SUM_TO_E - 1)
        logit = pipeline.get("logit", at=SUM_TO_E - 1)
        instead = pipeline.register("instead", Mux(config.loss, logit, found.o), at=SUM_TO_E)
        replaced = pipeline.register("replaced", config.loss | second, at=SUM_TO_E)
        next_g = self._next_gradient(m, pipeline, states)

        # h e + κ g as ±(|h e| ± κ |g|): one product has no sign, and the result may get one.
        e = Signal(Half)
        m.submodules.product_e = product_e = HalfProduct()
        m.submodules.product_g = product_g = HalfProduct()
        total = Signal(signed(PRODUCT_FIXED + 1), reset_less=True)
        m.submodules.round_g = round_g = FixedToHalf(width=PRODUCT_FIXED + 1, fraction=2 * FRACTION)
        pipeline.put("e_sign", e.sign, at=SUM_TO_E)
        negative = pipeline.get("e_sign", at=FACTORS_AT) ^ h.factor.sign
        pipeline.put("negative", negative, at=FACTORS_AT)
        m.d.comb += [
            e.as_value().eq(Mux(replaced, instead, round_e.o.as_value())),
            product_e.i_half.eq(e),
            product_e.i_half.sign.eq(0),
            product_e.i_factor.eq(h.factor),
            product_e.i_factor.sign.eq(0),
            product_g.i_half.eq(next_g),
            product_g.i_half.sign.eq(next_g.sign ^ e.sign),
            product_g.i_factor.eq(kappa),
            product_g.i_factor.sign.eq(h.factor.sign),
            round_g.i.eq(total),
            round_g.i_negate.eq(pipeline.get("negative", at=PRODUCTS_AT + 1)),
        ]
        m.d.sync += total.eq(product_e.o + product_g.o + product_g.carry)

        # e counts as saturated where it is used: lanes and tiles that skip it must not differ.
        pipeline.put("e_saturated", round_e.saturated & ~replaced, at=SUM_TO_E)
        used_saturated = pipeline.get("e_saturated", at=FACTORS_AT) & h.nonzero
        pipeline.put("used_saturated", used_saturated, at=FACTORS_AT)
        written = pipeline.get("slot", at=self.latency)
        place, second = (pipeline.get(name, at=self.latency) for name in ("place", "current"))
        m.d.comb += [
            self.gradient.eq(round_g.o),
            states.write.eq(written.valid),
            Value.cast(states.written).eq(state_of(written, place, second)),
            states.i.eq(self.gradient),
            found.write.eq(written.valid & config.current & ~second),
            Value.cast(found.written).eq(state_of(written)),
            found.i.eq(self.gradient),
            self.saturated.eq(round_g.saturated | pipeline.get("used_saturated", at=self.latency)),
        ]
        return m

    def _factors(self, m: Module, pipeline: Pipeline):
        """h, with a bit that it is not 0, and κ (at a read-out: α or 1, and 1), at FACTORS_AT."""
        config = self.config
        leak, synapse = Signal(Factor, reset_less=True), Signal(Factor, reset_less=True)
        m.d.sync += [leak.eq(factor(Half(config.leak))), synapse.eq(factor(Half(config.synapse)))]
        one = Signal(Factor)
        m.d.comb += one.eq(factor(Half(Const(ONE, HALF_BITS))))
        row = data.StructLayout({"factor": Factor, "nonzero": 1})
        m.submodules.derivatives = table = memory.Memory(shape=row, depth=16, init=[])
        h_read, h_write = table.read_port(domain="comb"), table.write_port()
        given = Half(self.table.half)
        live, code = (pipeline.get(name, at=SUM_TO_E) for name in ("live", "code"))
        m.d.comb += [
            h_write.en.eq(self.table.write),
            h_write.addr.eq(self.table.index),
            h_write.data.factor.eq(factor(given)),
            h_write.data.nonzero.eq(given.as_value().any()),
            h_read.addr.eq(code.code),
        ]
        h = Signal(row, reset_less=True)
        kappa = Signal(Factor, reset_less=True)
        # Whether h and κ do not depend on the code: at a read-out, and in a current's pass.
        current = pipeline.get("current", at=SUM_TO_E)
        plain = config.loss | config.integrate | current
        m.d.sync += [
            h.nonzero.eq(h_read.data.nonzero | plain),
            h.factor.eq(
                Mux(
                    plain,
                    Mux(config.loss & config.squared, Value.cast(leak), Value.cast(one)),
                    Value.cast(h_read.data.factor),
                )
            ),
            kappa.eq(
                Mux(
                    config.loss | config.integrate,
                    Value.cast(one),
                    Mux(current, Value.cast(synapse), Value.cast(leak)),
                )
            ),
        ]
        with m.If(~live | (~plain & config.spikes_only & ~code.spike)):
            m.d.sync += h.eq(0)
        passes = config.temporal & (current | config.soft | ~code.spike)
        with m.If(~(config.loss | config.integrate | passes)):
            m.d.sync += kappa.eq(0)
        return h, kappa

    def _next_gradient(self, m: Module, pipeline: Pipeline, states: StateFile):
        """g_{t+1}, beside e; at a read-out the label's -1."""
        config = self.config
        asked = pipeline.get("slot", at=SUM_TO_E - 2)
        slot, live, onehot = (
            pipeline.get(name, at=SUM_TO_E - 1) for name in ("slot", "live", "onehot")
        )
        next_g = Signal(Half, reset_less=True)
        label = Mux(config.squared & onehot, MINUS_ONE, 0)
        place, second = (pipeline.get(name, at=SUM_TO_E - 2) for name in ("place", "current"))
        m.d.comb += Value.cast(states.read).eq(state_of(asked, place, second))
        m.d.sync += next_g.as_value().eq(Mux(config.loss, label, states.o))
        with m.If(~live | (~config.loss & slot.fresh)):
            m.d.sync += next_g.eq(0)
        return next_g
