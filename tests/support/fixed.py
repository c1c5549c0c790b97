"""Random exact numbers that are hard to round, for the hardware and for golden at once."""

import numpy as np
import torch

PIECE = 33
"""Bits of one of three pieces: each is exact in a float64."""


def hard_numbers(rng: np.random.Generator, count: int, width: int):
    """`count` signed integers of at most `width` bits (2 to 99), of every length and sign.

    Many end in zeros or ones within two places of where a half is cut (11 bits) or a random
    number is compared (27 bits): ties, and what is next to a tie.
    Returns uint64 (count, limbs) or (count,), two's complement, and three float64 tensors (count,)
    whose sum they are.
    """
    length = rng.integers(0, width, count)
    cut = length - rng.choice([9, 10, 11, 12, 13, 26, 27, 28, 29, 200], count)
    cut = np.where(rng.random(count) < 0.2, rng.integers(0, width, count), cut)
    ones, negative = rng.integers(0, 2, (2, count)).astype(bool)
    pieces = []
    for n in range(3):

        def below(place, n=n):
            return (1 << np.clip(place - n * PIECE, 0, PIECE)) - 1

        piece = rng.integers(0, 1 << PIECE, count) & ~below(cut)
        piece |= np.where(ones, below(cut), 0) | (below(length) & ~below(length - 1))
        pieces.append(piece & below(length))
    terms = tuple(
        torch.from_numpy(np.where(negative, -piece, piece) * 2.0 ** (n * PIECE))
        for n, piece in enumerate(pieces)
    )
    return _limbs(pieces, negative, width), terms


def as_numbers(values: np.ndarray, fraction: int, width: int) -> np.ndarray:
    """float64 (count,), multiples of 2^-fraction, as integers in these units: uint64 limbs."""
    rest = np.abs(values) * 2.0**fraction
    pieces = []
    for n in reversed(range(3)):
        piece = np.floor(rest / 2.0 ** (n * PIECE))
        rest = rest - piece * 2.0 ** (n * PIECE)
        pieces.insert(0, piece.astype(np.int64))
    assert not rest.any()
    return _limbs(pieces, values < 0, width)


def _limbs(pieces: list[np.ndarray], negative: np.ndarray, width: int) -> np.ndarray:
    """Two's complement of `width` bits: uint64 (count,), or (count, 2) if wider than 64."""
    low, middle, high = (piece.astype(np.uint64) for piece in pieces)
    upper = middle >> np.uint64(31) | high << np.uint64(2)
    limbs = np.stack([low | middle << np.uint64(33), upper])
    inverse = ~limbs + np.stack([np.ones(len(low)), limbs[0] == 0]).astype(np.uint64)
    limbs = np.where(negative, inverse, limbs)
    if width <= 64:
        return limbs[0] & np.uint64((1 << width) - 1)
    limbs[1] &= np.uint64((1 << width - 64) - 1)
    return np.ascontiguousarray(limbs.T)
