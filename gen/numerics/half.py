"""The half: IEEE binary16 with subnormals, always finite, zero always +0."""

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

FRACTION = 24
"""A half is an integer multiple of 2^-24, the smallest subnormal."""
HALF_FIXED = 41
"""Bits of a half as a two's-complement integer in units of 2^-24: sign and 65504 * 2^24 < 2^40."""
PRODUCT_FIXED = 81
"""Bits of a product of two halves in units of 2^-48: sign and (65504 * 2^24)^2 < 2^80."""
ONE = 0x3C00
"""The half 1.0."""


class Half(data.Struct):
    """Fields of a half, mantissa lowest."""

    mantissa: 10
    exponent: 5
    sign: 1


def significand(half) -> Value:
    """11 bits: the mantissa with its hidden bit (none in a subnormal)."""
    return Cat(half.mantissa, half.exponent.any())


def scale(half) -> Value:
    """5 bits, 0..29: the power of two of the significand's last bit, in units of 2^-24."""
    return Mux(half.exponent == 0, 0, half.exponent - 1)[:5]


def signed_significand(half) -> Value:
    """12 bits, signed."""
    magnitude = significand(half)
    return Mux(half.sign, -magnitude, magnitude)[:12].as_signed()


def to_fixed(half) -> Value:
    """The half as a signed integer of HALF_FIXED bits in units of 2^-24, combinationally."""
    return (signed_significand(half) << scale(half))[:HALF_FIXED].as_signed()


def is_half(bits: Value) -> Value:
    """Whether 16 bits are a half: finite and not -0."""
    return (bits[10:15] != 0x1F) & (bits != Const(0x8000, 16))
