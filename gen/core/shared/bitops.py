"""Operations on bit masks: the lowest bit, counts up to a few, and choices by one-hot masks."""

import itertools

from amaranth.hdl import Cat, Const, Mux
from amaranth.utils import exact_log2

PART = 4
"""Bits of a group: a LUT takes them together. A carry chain would be longer and slower."""


def parts_of(bits) -> list:
    """Groups of PART bits, lowest first."""
    return [bits[n : n + PART] for n in range(0, len(bits), PART)]


def lowest(bits):
    """One-hot: the lowest bit that is set."""
    if len(bits) <= PART:
        return Cat(bits[n] & ~bits[:n].any() for n in range(len(bits)))
    parts = parts_of(bits)
    part = lowest(Cat(part.any() for part in parts))
    return Cat(
        lowest(bits) & chosen.replicate(len(bits)) for bits, chosen in zip(parts, part, strict=True)
    )


def at_most(bits, most: int):
    """Whether no more than `most` bits are set."""
    return ~at_least(bits, most + 1)[-1]


def at_least(bits, most: int) -> list:
    """Whether 1, 2, … `most` bits are set, or more."""
    if len(bits) <= PART:
        return [
            Cat(Cat(chosen).all() for chosen in itertools.combinations(bits, n)).any()
            for n in range(1, most + 1)
        ]
    low, high = (
        [Const(1), *at_least(Cat(half), most)]
        for half in (bits[: split_at(bits)], bits[split_at(bits) :])
    )
    return [
        Cat(low[n] & high[count - n] for n in range(count + 1)).any()
        for count in range(1, most + 1)
    ]


def split_at(bits) -> int:
    """Where whole parts are cut in half."""
    parts = -(-len(bits) // PART)
    return (parts + 1) // 2 * PART


def clear_lowest(bits):
    """The bits but for the lowest one that is set."""
    parts = parts_of(bits)
    some = Cat(part.any() for part in parts)
    return Cat(
        Mux(some[:n].any(), part, part & ~lowest(part)) if n else part & ~lowest(part)
        for n, part in enumerate(parts)
    )


def encode(one_hot):
    """Index of the only bit that is set; 0 if none is."""
    width = max(1, (len(one_hot) - 1).bit_length())
    return Cat(
        Cat(one_hot[i] for i in range(len(one_hot)) if i >> n & 1).any() for n in range(width)
    )


def first_index(bits):
    """Index of the lowest bit that is set; 0 if none is. The part and the place in each part are
    found beside each other."""
    parts = parts_of(bits)
    chosen = lowest(Cat(part.any() for part in parts))
    inner = [encode(lowest(part)) for part in parts]
    return Cat(select_onehot(inner, chosen), encode(chosen))


def select_onehot(values, one_hot):
    """The value whose bit is set; 0 if none is. It takes half of a multiplexer's LUTs."""
    return Cat(
        Cat(
            v[bit] & chosen for v, chosen in zip(values, one_hot, strict=True) if bit < len(v)
        ).any()
        for bit in range(max(map(len, values)))
    )


def exceeds(total, limit: int):
    """total > limit; if that is a power of two, without a subtraction."""
    if limit & (limit - 1):
        return total > limit
    bit = exact_log2(limit)
    if len(total) <= bit:  # it cannot
        return Const(0)
    return total[bit + 1 :].any() | (total[bit] & total[:bit].any())
