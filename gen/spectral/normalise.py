"""Block floating point: a complex integer as two mantissas and the exponent that they share."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.numerics.fixed_to_half import highest
from backspike.gen.pipeline import Pipeline
from backspike.gen.spectral.layout import complex_layout


class Normalise(wiring.Component):
    """word = mantissa 2^exponent, rounded, halves up; the exponent is the least that will do.

    It is a multiple of `grain`, the least with which both parts fit before rounding. What then
    would round up to 2^(mantissa - 1) stays the greatest mantissa.

    Latency: `latency` steps. Throughput: one word a step.

    Parameters: width of the word's parts; mantissa: bits of a mantissa, fewer than width; grain,
    a power of two.

    Ports: step: everything moves, only then; i: the word; o: the mantissas, and beside them
    exponent, 0 … `greatest`.

    Errors: ValueError for a mantissa below 2 or not below width, or another grain.
    """

    latency = 3

    def __init__(self, *, width: int, mantissa: int, grain: int = 1):
        if not 2 <= mantissa < width:
            raise ValueError(f"mantissa is {mantissa}, must be 2 to {width - 1}")
        if grain < 1 or grain & (grain - 1):
            raise ValueError(f"grain is {grain}, must be a power of two")
        self._width, self._mantissa, self._grain = width, mantissa, grain
        self._grains = -(-(width - mantissa) // grain)
        super().__init__(
            {
                "step": In(1, init=1),
                "i": In(complex_layout(width)),
                "o": Out(complex_layout(mantissa)),
                "exponent": Out(range(self.greatest + 1)),
            }
        )

    @property
    def greatest(self) -> int:
        """The greatest exponent."""
        return self._grains * self._grain

    def elaborate(self, platform):
        m = Module()

        pipeline = Pipeline(m, enable=self.step)  # from cycle 0, that of i

        # Step 1: of the bits above the mantissa's, which is the highest that is not the sign's?
        # Bit n of `reached` asks for an exponent of n grains or more.
        words = [self.i.re, self.i.im]
        above = [(part ^ part[-1].replicate(len(part)))[self._mantissa - 1 : -1] for part in words]
        either = above[0] | above[1]
        reached = Signal(1 + self._grains)
        m.d.comb += reached.eq(
            Cat(1, (either[n : n + self._grain].any() for n in range(0, len(either), self._grain)))
        )
        count, _ = highest(reached)
        grains = pipeline.register("grains", count, at=1)
        last_grains = pipeline.get("grains", at=3)
        m.d.comb += self.exponent.eq(last_grains << exact_log2(self._grain))

        for name, part, mantissa in zip(("re", "im"), words, (self.o.re, self.o.im), strict=True):
            # Step 2: shift; below the mantissa's last place one more is kept, to round by.
            pipeline.put(name, part, at=0)
            shifted = Cat(Const(0, 1), pipeline.get(name, at=1)).as_signed()
            for n in reversed(range(len(grains))):
                needed = self._mantissa + 1 + self._grain * ((1 << n) - 1)
                places = Mux(grains[n], shifted >> (self._grain << n), shifted)
                shifted = Signal(signed(min(needed, len(shifted))), name=f"{name}_shifted{n}")
                m.d.comb += shifted.eq(places)
            shifted = pipeline.register(f"{name}_shifted", shifted, at=2)
            # Step 3: round. 0111…1 does not go up.
            half, floor = shifted[0], shifted[1:].as_signed()
            full = ~floor[-1] & floor[:-1].all()
            rounded = (floor + (half & ~full))[: self._mantissa]
            m.d.comb += mantissa.eq(pipeline.register(f"{name}_rounded", rounded, at=3))
        return m
