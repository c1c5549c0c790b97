"""Flows through components that run in bulk: numbers with gaps, and what comes of them."""

import random

import numpy as np

from backspike.sim.bench.array_bench import LIMB, ArrayBench, limbs_of, to_limbs
from tests.support.streams import packed

TAIL = 16
"""Cycles for what is on the way to come out."""


def as_rows(numbers: list[int], width: int) -> np.ndarray:
    """Numbers as ArrayBench takes a port of so many bits."""
    limbs = to_limbs(numbers, width)
    return limbs[:, 0] if limbs_of(width) == 1 else limbs


def as_numbers(rows: np.ndarray, width: int, *, signed: bool = False) -> list[int]:
    """What ArrayBench gives of a port, as Python integers."""
    limbs = rows.reshape(len(rows), -1)
    numbers = [sum(int(limb) << LIMB * n for n, limb in enumerate(row)) for row in limbs]
    return [n - (1 << width) if signed and n >> (width - 1) else n for n in numbers]


def send(
    run: ArrayBench, shape, payloads: list[dict], rng: random.Random, gap: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every output in each cycle from a reset on, and the cycles in which the payloads went in.

    The payloads go to port i, noise between them.
    """
    layout = packed(shape)
    cycles, rows = [], [0]  # the first cycle is the reset's
    for payload in payloads:
        while rng.random() < gap:
            rows.append(rng.getrandbits(layout.width))
        cycles.append(len(rows))
        rows.append(layout.pack(payload))
    rows += [rng.getrandbits(layout.width) for _ in range(TAIL)]
    valid, reset = np.zeros((2, len(rows)), np.uint64)
    valid[cycles], reset[0] = 1, 1
    out = run(i__valid=valid, i__payload=as_rows(rows, layout.width), rst=reset)
    return out, np.array(cycles)


def received(out: dict[str, np.ndarray], shape) -> tuple[list[dict], np.ndarray]:
    """What came from port o, and in which cycles; nothing in the reset's."""
    layout = packed(shape)
    cycles = np.flatnonzero(out["o__valid"][1:]) + 1
    return [layout.unpack(n) for n in as_numbers(out["o__payload"][cycles], layout.width)], cycles


def same(name: str, got: list[dict], want: list[dict]) -> None:
    """The same in the same order; the first difference is named."""
    for n, (g, w) in enumerate(zip(got, want, strict=False)):
        assert g == w, f"{name} {n}: got {g}, want {w}"
    assert len(got) == len(want), f"{len(got)} {name}, not {len(want)}"
