"""The counter-based hash that stochastic rounding draws from.

A draw is a function of (seed, step, layer, k, j) and of nothing else, so lanes, cores, tiles and
the order of work cannot change it. All tensors are int64 and hold 32-bit unsigned numbers.
"""

from typing import overload

import torch

from backspike.ir.constants import HASH_OFFSET, HASH_ROUNDS

MASK = 0xFFFF_FFFF

Word = torch.Tensor | int


def _rotate_left(x: Word, n: int) -> Word:
    return (x << n | x >> 32 - n) & MASK


@overload
def mix(key: int, word: int) -> int: ...
@overload
def mix(key: torch.Tensor, word: Word) -> torch.Tensor: ...
@overload
def mix(key: Word, word: torch.Tensor) -> torch.Tensor: ...
def mix(key: Word, word: Word) -> Word:
    """32 random bits for a key and a word, int or int64 tensors in [0, 2^32) that broadcast.

    For each key a permutation of the words. A tensor if either is one, else an int.
    """
    x = word ^ key ^ HASH_OFFSET
    for a, b, c, d in HASH_ROUNDS:
        x = x + (x << a) & MASK
        x = x ^ _rotate_left(x, b) ^ _rotate_left(x, c) ^ _rotate_left(key, d)
    return x


def layer_key(seed: int, step: int, layer: int) -> int:
    """The key of one layer's draws in one update: each number below 2^32 is hashed in, in turn."""
    key = 0
    for name, word in (("seed", seed), ("step", step), ("layer", layer)):
        if not 0 <= word <= MASK:
            raise ValueError(f"{name} is {word}, must be 0 to 2^32 - 1")
        key = mix(key, word)
    return key


def draw(seed: int, step: int, layer: int, rows: int, columns: int) -> torch.Tensor:
    """int64 (rows, columns) in [0, 2^16): the upper half of mix(layer_key, k << 16 | j).

    rows and columns: up to 2^16.
    """
    for name, count in (("rows", rows), ("columns", columns)):
        if not 0 <= count <= 1 << 16:
            raise ValueError(f"{name} is {count}, must be 0 to 2^16")
    words = torch.arange(rows)[:, None] << 16 | torch.arange(columns)
    return mix(layer_key(seed, step, layer), words) >> 16
