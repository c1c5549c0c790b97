"""A lane: exact sums that take one term a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.sum_buffer import STEP
from backspike.gen.machine import DEPTH
from backspike.gen.numerics.half import Half
from backspike.gen.numerics.half_product import Factor, HalfProduct, shifted_factor
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.gen.pipeline import Pipeline

PART = 52
"""Bits of a sum that are added in one cycle at the most."""


class Lane(wiring.Component):
    """One lane: a vector element, and a file of DEPTH sums that it is added to.

    Throughput: one addition a cycle. A long sum is added in two parts, the upper one a cycle
    later: each part's way from its memory through the adder and back takes one cycle, so nothing
    else changes. Latency from `step` to `total`: the number of parts, `latency`.

    Parameters: product: add element * factor in units of 2^-48 instead of element in 2^-24;
    width: of a sum; places: a term may be shifted by so many.

    Ports: load: take `element` (and `places`, by which it is shifted, if halves may be); shift
    (halves only): the cycle after load, or its sums stay as they were; factor (product only): the
    cycle after load, and for every further term of the element; step: add the term, 3 cycles after
    load, or 2 after shift or factor. total: the sum, signed.
    """

    def __init__(self, *, product: bool, width: int, places: int = 0):
        self._product, self._places = product, places
        self.width = width
        self.latency = -(-width // PART)
        super().__init__(
            {
                "load": In(1),
                "element": In(Half),
                **({"factor": In(shifted_factor(places) if places else Factor)} if product else {}),
                **({} if product else {"shift": In(1)}),
                **({"places": In(range(places + 1))} if places and not product else {}),
                "step": In(STEP),
                "total": Out(signed(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self._product:
            m.submodules.term = term = HalfProduct(places=self._places)
            m.d.comb += [term.i_half.eq(self.element), term.i_factor.eq(self.factor)]
        else:
            m.submodules.term = term = HalfToFixed(places=self._places)
            m.d.comb += [term.i.eq(self.element), term.en.eq(self.shift)]
            if self._places:
                m.d.comb += term.shift.eq(self.places)
        m.d.comb += term.load.eq(self.load)

        addend = Signal(signed(self.width))  # with its sign in all bits
        m.d.comb += addend.eq(term.o)
        pipeline = Pipeline(m)  # from cycle 0, in which the term and its step are there
        pipeline.put("step", self.step, at=0)
        pipeline.put("carry0", term.carry, at=0)
        size = -(-self.width // self.latency)
        totals = []
        for n in range(self.latency):  # part n is added in cycle n
            bits = slice(n * size, min((n + 1) * size, self.width))
            width = bits.stop - bits.start
            m.submodules[f"sums{n}"] = sums = memory.Memory(shape=width, depth=DEPTH, init=[])
            read, write = sums.read_port(domain="comb"), sums.write_port()
            total = Signal(width + 1, name=f"total{n}")
            pipeline.put(f"addend{n}", addend[bits], at=0)
            part, carry = (pipeline.get(f"{name}{n}", at=n) for name in ("addend", "carry"))
            step = pipeline.get("step", at=n)
            m.d.comb += [
                read.addr.eq(step.entry),
                total.eq(part + Mux(step.replace, 0, read.data) + carry),
                write.en.eq(step.write),
                write.addr.eq(step.entry),
                write.data.eq(total),
            ]
            pipeline.put(f"sum{n}", total[:width], at=n)
            totals.append(pipeline.get(f"sum{n}", at=self.latency))
            if n + 1 < self.latency:
                pipeline.register(f"carry{n + 1}", total[width], at=n + 1)
        m.d.comb += self.total.eq(Cat(totals))
        return m
