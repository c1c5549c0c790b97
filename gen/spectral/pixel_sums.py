"""Sums of pixels: what mean, deviation and covariance are made of."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.machine import SpectralMachine
from backspike.ir.spectral_constants import MANTISSA

TAPS = wiring.Signature({"valid": Out(1), "re": Out(signed(MANTISSA)), "im": Out(signed(MANTISSA))})
"""Samples as they are read: image and reference, less mid-scale."""


def pixel_total_width(machine: SpectralMachine) -> int:
    """Bits of a sum of samples: of size^2, each at least -2^(MANTISSA-1)."""
    return MANTISSA + 2 * machine.log_size


def pixel_product_width(machine: SpectralMachine) -> int:
    """Bits of a sum of products, signed: of size^2, each up to 2^(2 MANTISSA - 2)."""
    return 2 * MANTISSA + 2 * machine.log_size


class PixelSums(wiring.Component):
    """Sums over samples: x of the image, y of the reference, xx, yy and xy of their products.

    Latency: `latency` cycles from a sample to the sums. Throughput: one sample a cycle. Three
    multipliers of 18 x 18 bits.

    Ports: clear: forget everything, with what is on the way; taps: see `TAPS`; x, y:
    `pixel_total_width` bits, xx, yy, xy: `pixel_product_width` bits, signed.
    """

    latency = 3

    def __init__(self, machine: SpectralMachine):
        total = Out(signed(pixel_total_width(machine)))
        product = Out(signed(pixel_product_width(machine)))
        super().__init__(
            {
                "clear": In(1),
                "taps": In(TAPS),
                **dict.fromkeys(("x", "y"), total),
                **dict.fromkeys(("xx", "yy", "xy"), product),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = Signal(2)
        x = Signal(signed(MANTISSA), name="x1", reset_less=True)
        y = Signal(signed(MANTISSA), name="y1", reset_less=True)
        m.d.sync += [valid.eq(Cat(self.taps.valid, valid)), x.eq(self.taps.re), y.eq(self.taps.im)]
        for total, number in ((self.x, x), (self.y, y)):
            with m.If(valid[0]):
                m.d.sync += total.eq(total + number)
            with m.If(self.clear):
                m.d.sync += total.eq(0)
        for name, left, right in (("xx", x, x), ("yy", y, y), ("xy", x, y)):
            total = getattr(self, name)
            product = Signal(signed(2 * MANTISSA), name=f"{name}2", reset_less=True)
            m.d.sync += product.eq(left * right)
            with m.If(valid[1]):
                m.d.sync += total.eq(total + product)
            with m.If(self.clear):
                m.d.sync += total.eq(0)
        with m.If(self.clear):
            m.d.sync += valid.eq(0)
        return m
