"""Exact sums in float64: what lets a sum of any length be rounded once.

A float64 holds integers up to 2^53 exactly, so a matrix product whose every partial sum stays
below that (in units of its last place) is exact in whatever order it is summed. Where the span
of halves is wider, operands are split into two bands, and the sum is returned as the few float64
terms that it is made of. `odd_sum` adds those terms so that rounding the result once more, to a
half, gives what rounding the exact sum would have given.
"""

import torch

_SPLIT = 2.0**-4
"""Halves are multiples of 2^-24 up to 2^16; 2^-4 cuts these 40 bits in two bands of 20."""
_GATED_TERMS = 2**12
"""Sums of more halves than this could pass 2^53 * 2^-24 = 2^(16 + 12 + 1)."""
_PRODUCT_TERMS = 2**13
"""The mixed bands' sum has 2 n terms of 2^20 * 2^19: 2^53 for this n. (Hardware: 2^11.)"""

Terms = tuple[torch.Tensor, ...]
"""An exact number: the unevaluated sum of float64 tensors of one shape, multiples of 2^-64."""


def _bands(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x = high + low: high a multiple of _SPLIT, up to 2^20 times it; low up to half of it."""
    high = (x / _SPLIT).round() * _SPLIT
    return high, x - high


def gated_sum(counts: torch.Tensor, values: torch.Tensor, most: int = 1) -> Terms:
    """counts @ values for whole numbers (..., D, K) from 0 to `most`, all times one power of two,
    and halves (..., K, N): (..., D, N), exact. Spikes are numbers up to 1.

    float64 throughout. One term up to K · most = 4096 halves, two beyond (up to 2^32).
    """
    if values.shape[-2] * most <= _GATED_TERMS:
        return (counts @ values,)
    high, low = _bands(values)  # each spans 21 bits: exact to 2^32 summands
    return counts @ high, counts @ low


def product_sum(left: torch.Tensor, right: torch.Tensor, most: int = 1) -> Terms:
    """left @ right for halves (..., J) and (J, K): terms of (..., K), exact; all float64.
    `most` of such sums may be added, term by term, and are exact still.

    A product of two halves is a multiple of 2^-48 below 2^32: 80 bits. Bands of 20 bits leave 13
    for the number of summands: three terms for each 8192 / most of them.
    """
    piece = _PRODUCT_TERMS // most
    terms: Terms = ()
    for a, b in zip(left.split(piece, -1), right.split(piece), strict=True):
        (left_high, left_low), (right_high, right_low) = _bands(a), _bands(b)
        mixed = torch.cat([left_high, left_low], -1) @ torch.cat([right_low, right_high], -2)
        terms += (left_high @ right_high, mixed, left_low @ right_low)
    return terms


def two_sum(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(s, r): s = a + b rounded to float64 and r = a + b - s exactly (Knuth, TAOCP 4.2.2)."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def _odd(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a + b rounded to odd: exact if it fits a float64, else the neighbour with an odd last bit.

    So the last bit is sticky, and a further rounding to fewer bits (two less at least) is right
    (Boldo and Melquiond 2008, Emulation of FMA and correctly rounded sums).
    """
    s, remainder = two_sum(a, b)
    if not remainder.any():  # as most often: halves are near each other
        return s
    pattern = s.view(torch.int64)
    inexact_even = (remainder != 0) & (pattern & 1 == 0)
    outward = torch.where((remainder < 0) == (s < 0), 1, -1)  # patterns order magnitudes
    return (pattern + inexact_even * outward).view(torch.float64)


def _three_terms(terms: Terms) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sum of up to 2^14 terms, multiples of 2^-64 below 2^48, as three: whole numbers, and two
    times 32 bits between them. Integers of 64 bits add each. From 2^53 on a sum loses last places,
    which does not matter: it is far beyond the largest half."""
    limbs: list[torch.Tensor | int] = [0, 0, 0]
    for term in terms:
        rest = term
        for n, scale in enumerate((1.0, 2.0**32, 2.0**32)):
            rest = rest * scale
            limb = rest.trunc()  # towards 0, so that the rest needs no more bits than the term
            limbs[n] = limbs[n] + limb.long()
            rest = rest - limb
    whole, high, low = (torch.as_tensor(limb) for limb in limbs)
    high = high + (low >> 32)
    whole = whole + (high >> 32)
    mask = 2**32 - 1
    return whole.double(), (high & mask).double() * 2.0**-32, (low & mask).double() * 2.0**-64


def odd_sum(*terms: torch.Tensor) -> torch.Tensor:
    """The sum of float64 terms (broadcast), multiples of 2^-64, rounded to odd, float64.

    Three terms follow Boldo and Melquiond's correctly rounded sum: what the first two additions
    lose is summed to odd itself, far below the last place of what is kept. More are three at first.
    """
    match terms:
        case (a,):
            return a
        case (a, b):
            return _odd(a, b)
        case (a, b, c):
            high, low = two_sum(b, c)
            top, remainder = two_sum(a, high)
            return _odd(top, _odd(remainder, low))
        case ():
            raise ValueError("a sum has no terms, must have 1 or more")
        case _:
            return odd_sum(*_three_terms(terms))
