"""gen.spectral.delay: words come out so many steps later, whatever the pauses."""

import functools
import gc

import numpy as np
import pytest

from backspike.gen.spectral.delay import Delay
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.pipelines import Together, check, stepped

WIDTH = 40
STEPS = [1, 2, 3, 7, 15, 127]
"""Registers, a RAM of LUTs, block RAMs."""

pytestmark = pytest.mark.verilator


@functools.cache
def built() -> ArrayBench:
    return ArrayBench(Together({f"d{n}": Delay(width=WIDTH, steps=n) for n in STEPS}), "delay")


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("steps", STEPS)
def test_words(steps, pause):
    """Words come out exactly `steps` steps later, with and without pauses."""
    rng = np.random.default_rng(steps)
    words = rng.integers(0, 1 << WIDTH, 1000, np.uint64)
    run = built()
    got = stepped(run, steps, pause, rng, **{f"d{steps}_i": words})
    check("words", got[f"d{steps}_o"], words)


def test_words_after_a_reset():
    """From wherever the rings were."""
    rng, run = np.random.default_rng(0), built()
    for _ in range(5):
        stepped(run, 0, 0.3, rng, **{"d1_i": rng.integers(0, 99, rng.integers(1, 50), np.uint64)})
        run(rst=np.ones(1, np.uint64))
        words = rng.integers(0, 1 << WIDTH, 300, np.uint64)
        got = stepped(run, 127, 0.3, rng, **{f"d{n}_i": words for n in STEPS})
        check("words", got["d127_o"], words)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("steps", [-1, 4, 8, 16])
def test_refused(steps):
    """A number of steps that the memory cannot make is a ValueError."""
    with pytest.raises(ValueError, match=f"steps is {steps}, must be 0 to 3 or one"):
        Delay(width=8, steps=steps)
    gc.collect()  # Amaranth warns of the unfinished object now, where it is expected
