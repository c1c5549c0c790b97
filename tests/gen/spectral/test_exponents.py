"""gen.spectral.exponents: the greatest exponent of each line, pass after pass."""

import numpy as np
import pytest

from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.spectral.exponents import LineExponents
from backspike.gen.spectral.layout import EXPONENT
from backspike.sim.bench.array_bench import ArrayBench

LOG_SIZE = 4
LATENCY = LineExponents.latency
HIGH = 1 << EXPONENT


def updates(rng, lines: int, places: int, gaps: float):
    """(place, value, replace) in each cycle, or None; the same place LATENCY apart or more."""
    cycles = []
    for line in range(lines):
        for place in rng.permutation(places):
            while rng.random() < gaps:
                cycles.append(None)
            # Mostly small ones: the greatest must come from any line.
            value = int(rng.integers(HIGH) if rng.random() < 0.2 else rng.integers(4))
            recent = [u[0] for u in cycles[1 - LATENCY :] if u]
            cycles += [None] * (LATENCY if place in recent else 0)
            cycles.append((int(place), value, line == 0))
    return cycles


@pytest.mark.verilator
def test_passes():
    """The exponents read are the greatest of each line of the pass before, in 40 random ones."""
    rng = np.random.default_rng(1)
    run = ArrayBench(LineExponents(log_size=LOG_SIZE), "line_exponents")
    size = 1 << LOG_SIZE
    known = np.zeros((2, size), np.int64)  # of rows, of columns
    for n in range(40):
        columns, gaps = int(rng.integers(2)), (0.0, 0.3)[n % 2]
        places = int(rng.choice([8, size]))
        given = updates(rng, int(rng.integers(1, 6)), places, gaps)
        cycles = len(given) + LATENCY
        inputs = {
            "columns": np.full(cycles, columns),
            "line": rng.integers(size, size=cycles),
            **{
                name: rng.integers(high, size=cycles)
                for name, high in (("place", size), ("value", HIGH), ("replace", 2))
            },
            "update": np.zeros(cycles, np.int64),
        }
        for cycle, update in enumerate(given):
            if update:
                inputs["update"][cycle] = 1
                for name, value in zip(("place", "value", "replace"), update, strict=True):
                    inputs[name][cycle] = value
        found = run(**inputs)["exponent"].astype(int)
        want = known[columns][inputs["line"]]
        np.testing.assert_array_equal(found[READ_LATENCY:], want[:-READ_LATENCY])
        for place in range(places):
            values = [u[1] for u in given if u and u[0] == place]
            known[1 - columns][place] = max(values)


@pytest.mark.verilator
@pytest.mark.parametrize("apart", [LATENCY, LATENCY + 1])
def test_in_time(apart):
    """An update counts for the next one of its place, and can be read, LATENCY cycles later."""
    values = np.array([9, 11, 7, 4])
    run = ArrayBench(LineExponents(log_size=LOG_SIZE), "line_exponents")
    when = np.arange(len(values) * apart)
    own = when % apart == 0  # place 3: greatest 11; the others' is place 5's
    until = (len(values) - 1) * apart + LATENCY
    cycles = np.arange(until + READ_LATENCY + 1)
    update = np.zeros(len(cycles), np.int64)
    update[: len(when)] = (own | (when % apart == 1))[: len(cycles)] & (when < until)
    found = run(
        columns=(cycles >= until).astype(np.int64),
        line=np.full(len(cycles), 3),
        update=update,
        place=np.where(cycles % apart == 0, 3, 5),
        value=np.where(cycles % apart == 0, values[np.minimum(cycles // apart, 3)], HIGH - 1),
        replace=(cycles < apart).astype(np.int64),
    )
    assert found["exponent"][until + READ_LATENCY] == 11
