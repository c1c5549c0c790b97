"""FP16 numbers as bits, for descriptors."""

import struct
from fractions import Fraction

from backspike.ir.constants import LARGEST_BITS

INFINITY = 0x7C00


def half_bits(value: float) -> int:
    """The pattern of a value that is an FP16 number; +0 for zero."""
    bits = struct.unpack("<H", struct.pack("<e", value + 0.0))[0]
    return 0 if bits == 0x8000 else bits


def _ordered(index: int) -> int:
    """Pattern of the FP16 number at `index` in ascending order; 0 is zero."""
    return index if index >= 0 else 0x8000 | -index


def _value(bits: int) -> Fraction:
    return Fraction(struct.unpack("<e", struct.pack("<H", bits))[0])


def least_half(threshold: float, edge: float) -> int:
    """Pattern of the least FP16 number u with u - threshold >= edge, exactly.

    It is infinity's if there is none.
    So hardware compares patterns where the definition compares real numbers.
    """
    bound = Fraction(threshold) + Fraction(edge)
    low, high = -LARGEST_BITS, LARGEST_BITS + 1  # in order; the last is infinity's pattern
    while low < high:
        middle = (low + high) // 2
        if _value(_ordered(middle)) >= bound:
            high = middle
        else:
            low = middle + 1
    return _ordered(low)
