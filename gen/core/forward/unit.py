"""The feed-forward engine's drain unit: a leaky integrate-and-fire neuron, one step a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import FORWARD
from backspike.gen.core.forward.surrogate import SurrogateLookup, order
from backspike.gen.core.layout import HALF_BITS, PLACE_BITS, TABLE
from backspike.gen.core.shared.state_file import StateFile, state_of
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.gen.numerics.fixed_to_half import NEAREST_LATENCY, FixedToHalf
from backspike.gen.numerics.half import FRACTION, HALF_FIXED, Half
from backspike.gen.numerics.half_product import HalfProduct, factor
from backspike.gen.numerics.half_subtract import HalfSubtract
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.gen.pipeline import Pipeline

CODE = data.StructLayout({"code": 4, "spike": 1})
"""What is kept of a neuron and step for the way back: surrogate code and spike."""

LEAKED = 67
"""Bits of λ v in units of 2^-48: |λ v| ≤ 65504, below 2^(16 + 48), the sign, and one to spare."""
BELOW = 2
"""Bits below the sum that u is rounded from: whether λ v has a half there, and anything else."""
V_AT = 2
"""Cycles from a sum to v: out of its memory, a register."""
PRODUCT_AT = V_AT + HalfProduct.latency
"""Cycles from a sum to λ v."""
SUM_TO_U = PRODUCT_AT + 1 + NEAREST_LATENCY
"""Cycles from a sum to u: λ v; addition; rounding."""
U_TO_CODE = SurrogateLookup.latency
"""Cycles from u to spike and code."""
U_TO_V = max(HalfSubtract.latency, U_TO_CODE)
"""Cycles from u to v, for a soft reset."""
RECURRENCE = SUM_TO_U + U_TO_V + 1
"""Cycles from the use of v_{t-1} to that of v_t."""


class ForwardUnit(wiring.Component):
    """One neuron update a cycle: u = round(sum + λ v), spike, code, and v by the reset.

    A neuron with a synaptic current takes two passes. In the first i = round(sum + α i) takes the
    place of u, and nothing spikes; in the second i that of the sum.

    Latency: SUM_TO_U cycles from `slot` and `sum` to u, U_TO_CODE more to `spike`, `code` and
    `logit` (which is u), and U_TO_V from u until v can be used. Throughput: one a cycle.

    Parameters: width: of the sum, in units of 2^-(24 + fine); reuse: lanes that it serves; places:
    of what tiles keep.
    """

    latency = SUM_TO_U + U_TO_CODE
    recurrence = RECURRENCE

    def __init__(self, *, width: int, reuse: int, places: int, fine: int = 0):
        self._width, self._reuse, self._places = width, reuse, places
        self._fine = fine
        super().__init__(
            {
                "config": In(FORWARD.config),
                "table": In(TABLE),  # an edge of the surrogate is written
                "slot": In(slot_layout(reuse)),
                "live": In(1),  # the slot holds a neuron and a sample
                "place": In(PLACE_BITS),  # of what the tile keeps
                "sum": In(signed(width)),
                "spike": Out(1),
                "code": Out(4),
                "logit": Out(HALF_BITS),
                "active": Out(1),  # it has a gradient: h(c) is not 0
                "saturated": Out(1),  # u's rounding has or v's, of a live slot
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pipeline = Pipeline(m)  # from cycle 0, that of `slot` and `sum`
        slot = pipeline.put("slot", self.slot, at=0)
        pipeline.put("sum", self.sum, at=0)
        pipeline.put("live", self.live & slot.valid, at=0)
        pipeline.put("place", self.place, at=0)
        current = Signal()  # the slot's pass is the first of two
        m.d.comb += current.eq(config.current & ~slot.second)
        pipeline.put("current", current, at=0)
        u_at, code_at, v_at = SUM_TO_U, SUM_TO_U + U_TO_CODE, SUM_TO_U + U_TO_V

        m.submodules.states = states = StateFile(reuse=self._reuse, places=self._places)
        m.submodules.currents = currents = StateFile(reuse=self._reuse, places=1)
        m.d.comb += [
            Value.cast(states.read).eq(state_of(slot, self.place, current)),
            Value.cast(currents.read).eq(state_of(slot)),
        ]
        v = Signal(Half, reset_less=True)
        fresh = pipeline.get("slot", at=V_AT - 1).fresh
        m.d.sync += v.as_value().eq(Mux(fresh, 0, states.o))
        m.submodules.round_u = round_u = self._potential(m, pipeline, v, currents.o)
        u = pipeline.put("u", round_u.o.as_value(), at=u_at)

        # Beside each other: the code and the spike; v after a soft reset.
        key = Signal(HALF_BITS)
        threshold = Half(config.threshold)
        m.submodules.lookup = lookup = SurrogateLookup()
        m.submodules.subtract = subtract = HalfSubtract()
        currents_pass = pipeline.get("current", at=u_at)
        fires = (key >= order(threshold)) & ~config.readout & ~currents_pass
        pipeline.register("spike", fires, at=u_at + 1)
        m.d.comb += [
            key.eq(order(u)),
            lookup.table.eq(self.table),
            lookup.i_key.eq(key),
            subtract.i_a.as_value().eq(u),
            subtract.i_b.eq(threshold),
            self.code.eq(lookup.o),
            self.spike.eq(pipeline.get("spike", at=code_at)),
            self.active.eq(
                config.nonzero.bit_select(self.code, 1) & (~config.spikes_only | self.spike)
            ),
            self.logit.eq(pipeline.get("u", at=code_at)),
        ]
        spiked, kept, written = (pipeline.get(name, at=v_at) for name in ("spike", "u", "slot"))
        place, currents_pass = (pipeline.get(name, at=v_at) for name in ("place", "current"))
        m.d.comb += [
            states.write.eq(written.valid),
            Value.cast(states.written).eq(state_of(written, place, currents_pass)),
            states.i.eq(Mux(spiked, Mux(config.soft, subtract.o.as_value(), 0), kept)),
            currents.write.eq(written.valid & currents_pass),
            Value.cast(currents.written).eq(state_of(written)),
            currents.i.eq(kept),
        ]
        reset_saturated = subtract.saturated & pipeline.get("live", at=v_at) & spiked & config.soft
        m.d.comb += self.saturated.eq(
            (round_u.saturated & pipeline.get("live", at=u_at)) | reset_saturated
        )
        return m

    def _potential(self, m: Module, pipeline: Pipeline, v, current) -> FixedToHalf:
        """sum + λ v, rounded; in a current's pass sum + α v, in the one after it current + λ v.

        Of what λ v has below the sum only matters whether it is a half of its last place, more or
        less: a one in the place of all that is below tells it.
        """
        m.submodules.leaked = leaked = HalfProduct()
        config = self.config
        factors = []
        for name in ("leak", "synapse"):
            factors.append(Signal.like(leaked.i_factor, name=name, reset_less=True))
            m.d.sync += factors[-1].eq(factor(Half(config[name])))
        # A product takes its factor a cycle after the half.
        current_pass = pipeline.get("current", at=V_AT + 1)
        leak = Mux(current_pass, Value.cast(factors[1]), Value.cast(factors[0]))
        m.d.comb += [leaked.i_half.eq(v), Value.cast(leaked.i_factor).eq(leak)]
        # The current that the pass before has found comes in the sum's place.
        m.submodules.found = found = HalfToFixed()
        pipeline.put("found", current, at=1)
        early = PRODUCT_AT - 1 - HalfToFixed.latency
        whole = Signal(signed(HALF_FIXED), reset_less=True)
        m.d.sync += whole.eq(found.o + found.carry)
        instead = config.current & pipeline.get("slot", at=PRODUCT_AT).second
        m.d.comb += found.i.as_value().eq(pipeline.get("found", at=early))
        below = self._fine + BELOW
        cut = FRACTION - below
        inexact = Signal()
        upper = Signal(signed(LEAKED - cut))
        exact_sum = Signal(signed(self._width))
        m.d.comb += [
            inexact.eq(leaked.o[:cut] != leaked.carry.replicate(cut)),
            upper.eq(Cat(leaked.o[cut] | inexact, leaked.o[cut + 1 : LEAKED])),
            exact_sum.eq(Mux(instead, whole << self._fine, pipeline.get("sum", at=PRODUCT_AT))),
        ]
        total = Signal(signed(self._width + BELOW + 1), reset_less=True)
        m.d.sync += total.eq((exact_sum << BELOW) + upper + (leaked.carry & ~inexact))
        round_u = FixedToHalf(width=len(total), fraction=FRACTION + below)
        m.d.comb += round_u.i.eq(total)
        return round_u
