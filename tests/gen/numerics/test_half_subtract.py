"""gen.numerics.half_subtract: differences against golden, of every pair of sizes."""

import functools

import numpy as np
import pytest
import torch

from backspike.gen.numerics.half_subtract import HalfSubtract
from backspike.golden import exact, half
from backspike.ir.constants import LARGEST
from backspike.sim.bench.array_bench import ArrayBench, after

pytestmark = pytest.mark.verilator

ROUNDS = 120
"""Pairs of mantissas for each pair of signs and exponents."""


@functools.cache
def built() -> ArrayBench:
    return ArrayBench(HalfSubtract(), "half_subtract")


def pairs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of a >= b: every pair of signs and exponents; mantissas of every kind."""
    size = np.arange(62)
    a, b = (x.ravel() for x in np.meshgrid(size, size))
    few = np.array([0, 1, 2, 3, 0x1FF, 0x200, 0x201, 0x3FE, 0x3FF])
    found = []
    for _ in range(ROUNDS):
        mantissas = np.where(
            rng.random((2, len(a))) < 0.4,
            rng.choice(few, (2, len(a))),
            rng.integers(0, 1 << 10, (2, len(a))),
        )
        near = rng.random(len(a)) < 0.3  # b's mantissa is about a's
        mantissas[1] = np.where(near, mantissas[0] + rng.integers(-2, 3, len(a)), mantissas[1])
        x, y = (
            (size // 31 << 15) | (size % 31 << 10) | (mantissa & 0x3FF)
            for size, mantissa in zip((a, b), mantissas, strict=True)
        )
        found.append(np.stack([x, y]))
    both = np.concatenate(found, 1)
    both[both == 0x8000] = 0  # there is no -0
    values = both.astype(np.uint16).view(np.float16).astype(float)
    return tuple(np.where(values[0] >= values[1], both, both[::-1]))


def test_every_pair_of_sizes_is_subtracted_as_by_golden():
    """Differences of halves of every pair of signs and exponents equal golden's rounding."""
    a, b = pairs(np.random.default_rng(1))
    late, early = np.insert(a, 0, 0), np.append(b, 0)
    found = after(HalfSubtract.latency, built(), i_a=late, i_b=early)
    out = {name: values[1:] for name, values in found.items()}
    x, y = (torch.from_numpy(p.astype(np.uint16).view(np.float16).astype(float)) for p in (a, b))
    want = half.nearest(exact.odd_sum(x, -y))
    beyond = (want > LARGEST).numpy()
    bits = half.to_bits(want.clamp(max=LARGEST))
    wrong = np.flatnonzero(out["o"] != bits)
    assert not len(wrong), (
        f"{len(wrong)} differ; {a[wrong[0]]:#06x} - {b[wrong[0]]:#06x}: "
        f"got {int(out['o'][wrong[0]]):#06x}, want {int(bits[wrong[0]]):#06x}"
    )
    assert (out["saturated"] == beyond).all()
    assert 100 < beyond.sum() < len(a) // 10
    assert ((a & 0x8000) != 0).sum() > 10_000  # both are negative
    # Every distance of exponents, taken away and added, with something to round.
    inexact = (want != x - y).numpy()
    for negative in (0, 1):
        some = inexact & (b >> 15 == negative) & (a >> 15 == 0)
        distances = (a[some] >> 10 & 31).astype(int) - (b[some] >> 10 & 31).astype(int)
        assert set(range(2, 28)) <= set(distances.tolist())
