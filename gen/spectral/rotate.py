"""Rotations of a line's words by twiddle factors."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import TWIDDLE_FRACTION, point_layout
from backspike.gen.spectral.normalise import Normalise
from backspike.gen.spectral.twiddle import Twiddles

MULTIPLIER = 18
"""Bits of both signed operands of a multiplier, MULT18X18D on ECP5: a twiddle factor fills one."""
LOW = TWIDDLE_FRACTION
"""Bits of the lower piece, unsigned, of a word wider than a multiplier: so only its products have
places that are rounded off."""
WIDEST = LOW + MULTIPLIER
"""Bits of the widest word that two pieces hold."""


class Rotate(wiring.Component):
    """The words of a line times twiddle factors, rounded to integers, halves up.

    With `mantissa`, words are made mantissas of so many bits and an exponent in steps of 2 (unless
    they have no more bits than that), and the rounded product is shifted back. Without, the whole
    word is multiplied, in two pieces if it is wider than a multiplier.

    Latency: `latency` steps. Throughput: one word a step. On ECP5 4 multipliers, 8 for two pieces.

    Parameters: width of the word's parts; block and upper: see `Twiddles`; mantissa: None, or 2 to
    MULTIPLIER bits; out: bits of the result's parts, width + 1 unless given. Who asks for fewer
    knows a bound on the words: results are cut to what there is room for.

    Ports: step: everything moves, only then; i, o: points; `first` restarts the factors, and comes
    out beside its word.

    Errors: ValueError for a mantissa above MULTIPLIER, words too wide to multiply, an `out` above
    width + 1, and as of `Normalise` and `Twiddles`.
    """

    def __init__(
        self,
        *,
        width: int,
        block: int,
        mantissa: int | None = None,
        out: int | None = None,
        upper: bool = True,
    ):
        widest = WIDEST if mantissa is None else MULTIPLIER
        factor = width if mantissa is None else min(width, mantissa)
        if factor > widest:
            name = "width" if mantissa is None else "mantissa"
            raise ValueError(f"{name} is {factor}: up to {widest} is allowed")
        out = width + 1 if out is None else out
        if out > width + 1:
            raise ValueError(f"out is {out}: up to {width + 1} is allowed")
        self._factor = factor
        self._out = out
        self._twiddles = Twiddles(block=block, upper=upper)
        self._normalise = (
            Normalise(width=width, mantissa=factor, grain=2) if factor < width else None
        )
        super().__init__(
            {
                "step": In(1, init=1),
                "i": In(point_layout(width)),
                "o": Out(point_layout(out)),
            }
        )

    @property
    def latency(self) -> int:
        """Steps from i to o: factor, product, sum, rounding; with exponents one to shift back."""
        return Twiddles.latency + 3 + (self._normalise is not None)

    def elaborate(self, platform):
        m = Module()
        m.submodules.twiddles = twiddles = self._twiddles
        m.d.comb += [twiddles.step.eq(self.step), twiddles.first.eq(self.i.first)]
        c, s = twiddles.o.re, twiddles.o.im

        def stage(name: str, value: Value) -> Signal:
            register = Signal(value.shape(), name=name, reset_less=True)
            with m.If(self.step):
                m.d.sync += register.eq(value)
            return register

        def later(name: str, value: Value, steps: int) -> Value:
            for n in range(steps):
                value = stage(f"{name}_{n + 1}", value)
            return value

        def product_sum(name: str, re: Value, im: Value, width: int) -> tuple[Value, Value]:
            # Of parts of `width` bits: their magnitude is up to sqrt(2) 2^(width - 1), a factor's
            # 2^TWIDDLE_FRACTION and at most one more.
            products = [
                stage(f"{name}_{part}{factor}", x * y)
                for part, x in (("re", re), ("im", im))
                for factor, y in (("c", c), ("s", s))
            ]
            sums = (products[0] - products[3], products[1] + products[2])
            shape = signed(width + TWIDDLE_FRACTION + 1)
            return tuple(
                stage(f"{name}_{part}", total[: shape.width].as_signed())
                for part, total in zip(("re", "im"), sums, strict=True)
            )

        first = later("first", self.i.first, self.latency)
        exponent = None
        re: Value
        im: Value
        if self._normalise is None:
            re, im = (later(n, getattr(self.i, n), Twiddles.latency) for n in ("re", "im"))
        else:
            m.submodules.normalise = normalise = self._normalise
            m.d.comb += [
                normalise.step.eq(self.step),
                normalise.i.re.eq(self.i.re),
                normalise.i.im.eq(self.i.im),
            ]
            re, im = normalise.o.re, normalise.o.im
            exponent = later("exponent", normalise.exponent, 3)

        if self._factor <= MULTIPLIER:
            sums = product_sum("sum", re, im, self._factor)
            rounded = [total[LOW:].as_signed() + total[LOW - 1] for total in sums]
        else:
            low = product_sum("low", re[:LOW], im[:LOW], LOW + 1)
            high = product_sum(
                "high", re[LOW:].as_signed(), im[LOW:].as_signed(), self._factor - LOW
            )
            # The bit to round by is a carry into the sum, from a place below it.
            rounded = [
                (Cat(1, x).as_signed() + Cat(y[LOW - 1], y[LOW:]).as_signed()) >> 1
                for x, y in zip(high, low, strict=True)
            ]
        for name, part, port in zip(("re", "im"), rounded, (self.o.re, self.o.im), strict=True):
            part = stage(f"{name}_rounded", part[: self._factor + 1].as_signed())
            if exponent is not None:
                for n in range(1, len(exponent)):  # it is even
                    shifted = Signal(signed(self._out), name=f"{name}_shifted{n}")
                    m.d.comb += shifted.eq(Mux(exponent[n], part << (1 << n), part))
                    part = shifted
                part = stage(f"{name}_shifted", part)
            m.d.comb += port.eq(part)
        m.d.comb += self.o.first.eq(first)
        return m
