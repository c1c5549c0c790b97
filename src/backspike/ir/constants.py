"""The numeric contract's constants: golden and the generator read the same ones."""

ENGINES: tuple[str, ...] = ("fp", "bp", "wg")
"""Feed-forward, back-propagation and weight-gradient engine, as JSON and registers name them."""

LARGEST = 65504.0
"""The largest FP16 magnitude. Rounding saturates to it."""
LARGEST_BITS = 0x7BFF
"""Its pattern."""
SMALLEST = 2.0**-24
"""The smallest subnormal. Every FP16 number is an integer multiple of it."""

PART_BITS = 64
"""Of a part of a weight gradient's sum: two's complement, in units of 2^-24."""
PART_TERMS = 1 << 23
"""Terms of all parts of a sum at the most: each is below 2^40, so their sum is below 2^63."""

RANDOM_BITS = 16
"""Bits that stochastic rounding draws, below 2^-24."""
HASH_OFFSET = 0x9E3779B9
"""Keeps key = word = 0 from giving 0. (2^32 over the golden ratio.)"""
HASH_ROUNDS = ((4, 14, 17, 24), (6, 14, 27, 20), (7, 13, 29, 25))
"""A round's left shift, two rotations of the state, rotation of the key.

Found by search: the least avalanche bias of 1500 random choices whose differences are uniform.
"""


def ceil_div(a: int, b: int) -> int:
    """The least integer >= a / b."""
    return -(-a // b)
