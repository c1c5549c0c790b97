"""Rotations of a line's words by twiddle factors."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.pipeline import Pipeline
from backspike.gen.spectral.layout import point_layout
from backspike.gen.spectral.normalise import Normalise
from backspike.gen.spectral.twiddle import Twiddles
from backspike.ir.spectral_constants import TWIDDLE_FRACTION

MULTIPLIER = 18
"""Bits of both signed operands of a multiplier, MULT18X18D on ECP5: a twiddle factor fills one."""
LOW = TWIDDLE_FRACTION
"""Bits of the lower piece, unsigned, of a word wider than a multiplier: all that is rounded off is
in this piece's products."""
WIDEST = LOW + MULTIPLIER
"""Bits of the widest word that two pieces hold."""
GRAIN = 2
"""Exponents are multiples of it: fewer of them, so narrower shifters."""


def rotation_latency(width: int, mantissa: int | None = None) -> int:
    """Steps that `Rotate` takes: factor, product, sum, rounding; with exponents, shifting back."""
    return Twiddles.latency + 3 + (mantissa is not None and mantissa < width)


class Rotate(wiring.Component):
    """The words of a line times twiddle factors, rounded to integers, halves up.

    With `mantissa`, words are made mantissas of so many bits and an exponent (unless they have no
    more bits than that), and the rounded product is shifted back. Without, the whole word is
    multiplied, in two pieces if it is wider than a multiplier.

    Latency: `latency` steps. Throughput: one word a step. On ECP5 4 multipliers, 8 for two pieces.

    Parameters: width of the word's parts; block and upper: see `Twiddles`; mantissa: None, or 2 to
    MULTIPLIER bits; out: bits of the result's parts, width + 1 unless given. Who asks for fewer
    knows a bound on the words: results keep their lowest bits.

    Ports: step: everything moves, only then; i, o: points; `first` restarts the factors, and comes
    out beside its word, unless there is a reset between.

    Errors: ValueError for a mantissa or, without one, a width that is too wide to multiply, for an
    `out` above width + 1, and as of `Normalise` and `Twiddles`.
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
        if mantissa is None and width > WIDEST:
            raise ValueError(f"width is {width}, must be up to {WIDEST}")
        if mantissa is not None and mantissa > MULTIPLIER:
            raise ValueError(f"mantissa is {mantissa}, must be up to {MULTIPLIER}")
        self._out = width + 1 if out is None else out
        if not 1 <= self._out <= width + 1:
            raise ValueError(f"out is {out}, must be 1 to {width + 1}")
        self._factor = width if mantissa is None else min(width, mantissa)
        self._twiddles = Twiddles(block=block, upper=upper)
        self._normalise = None
        if self._factor < width:
            self._normalise = Normalise(width=width, mantissa=self._factor, grain=GRAIN)
        self.latency = rotation_latency(width, mantissa)
        ports = {"i": In(point_layout(width)), "o": Out(point_layout(self._out))}
        super().__init__({"step": In(1, init=1), **ports})

    def elaborate(self, platform):
        m = Module()
        m.submodules.twiddles = twiddles = self._twiddles
        m.d.comb += [twiddles.step.eq(self.step), twiddles.first.eq(self.i.first)]
        c, s = twiddles.o.re, twiddles.o.im
        names = ("re", "im")

        pipeline = Pipeline(m, enable=self.step)  # from step 0, that of i
        factor_at = Twiddles.latency
        rounded_at = factor_at + 3  # after product and sum

        def multiply(name: str, re: Value, im: Value, width: int) -> list[Value]:
            # Signed parts of `width` bits are a magnitude of up to sqrt(2) 2^(width - 1), and a
            # factor's is 2^TWIDDLE_FRACTION, or greater by less than one.
            re_c, re_s, im_c, im_s = (
                pipeline.register(f"{name}_{part}_{factor}", x * y, at=factor_at + 1)
                for part, x in zip(names, (re, im), strict=True)
                for factor, y in (("c", c), ("s", s))
            )
            parts = zip(names, (re_c - im_s, re_s + im_c), strict=True)
            bits = width + TWIDDLE_FRACTION + 1
            return [
                pipeline.register(f"{name}_{part}", total[:bits].as_signed(), at=factor_at + 2)
                for part, total in parts
            ]

        # The operands, when the factor is there. (The normaliser takes as long.)
        exponent = None
        if self._normalise:
            m.submodules.normalise = normalise = self._normalise
            m.d.comb += [
                normalise.step.eq(self.step),
                normalise.i.re.eq(self.i.re),
                normalise.i.im.eq(self.i.im),
            ]
            re, im = normalise.o.re, normalise.o.im
            pipeline.put("exponent", normalise.exponent, at=factor_at)
            exponent = pipeline.get("exponent", at=rounded_at)
        else:
            for name in names:
                pipeline.put(name, self.i[name], at=0)
            re, im = (pipeline.get(name, at=factor_at) for name in names)

        # Products and their sums, rounded.
        if self._factor <= MULTIPLIER:
            sums = multiply("sum", re, im, self._factor)
            totals = [part[LOW:].as_signed() + part[LOW - 1] for part in sums]
        else:
            low = multiply("low", re[:LOW], im[:LOW], LOW + 1)
            high = multiply("high", re[LOW:].as_signed(), im[LOW:].as_signed(), self._factor - LOW)
            # The bit to round by is a carry into the sum, from a place below it.
            totals = [
                (Cat(1, x).as_signed() + Cat(y[LOW - 1], y[LOW:]).as_signed()) >> 1
                for x, y in zip(high, low, strict=True)
            ]

        for name, total in zip(names, totals, strict=True):
            part = total[: self._factor + 1].as_signed()
            part = pipeline.register(f"{name}_rounded", part, at=rounded_at)
            if exponent is not None:  # shift back
                for n in range(exact_log2(GRAIN), len(exponent)):
                    shifted = Signal(signed(self._out), name=f"{name}_shifted_by{1 << n}")
                    m.d.comb += shifted.eq(Mux(exponent[n], part << (1 << n), part))
                    part = shifted
                part = pipeline.register(f"{name}_shifted", part, at=rounded_at + 1)
            m.d.comb += self.o[name].eq(part)

        pipeline.put("first", self.i.first, at=0, reset=True)  # a reset forgets the words inside
        m.d.comb += self.o.first.eq(pipeline.get("first", at=self.latency))
        return m
