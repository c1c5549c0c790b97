"""gen.spectral.twiddle: the factors of golden's rotation, one after another."""

import functools
import gc

import numpy as np
import pytest

from backspike.gen.spectral.twiddle import Twiddles, twiddles
from backspike.golden import fft
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.pipelines import Together, check, signed_field, stepped

BLOCK = 32


def table(block: int) -> np.ndarray:
    """Golden's factors, int64 (2, block)."""
    return np.stack([part.numpy() for part in fft.twiddles(block)])


@pytest.mark.parametrize("block", [16, 32, 64, 128, 256, 512, 1024])
def test_the_table_is_goldens(block):
    """The table of factors equals golden's for every block size."""
    assert np.array_equal(np.array(twiddles(block)).T, table(block))


@functools.cache
def built() -> ArrayBench:
    whole, half = Twiddles(block=BLOCK), Twiddles(block=BLOCK, upper=False)
    return ArrayBench(Together({"whole": whole, "half": half}), "twiddles")


@pytest.mark.verilator
@pytest.mark.parametrize(("name", "size"), [("whole", BLOCK), ("half", BLOCK // 2)])
def test_a_line_after_another(name, size):
    """Lines of any length, longer than a block too, begin with the first factor."""
    rng = np.random.default_rng(1)
    lengths = rng.choice([1, 2, 5, 8, 16, 31, 32, 33, 64], 400)
    place = np.concatenate([np.arange(length) for length in lengths])
    inputs = {f"{name}_first": place == 0}
    got = stepped(built(), Twiddles.latency, 0.3, rng, **inputs)[f"{name}_o"]
    want = table(BLOCK)[:, place % size]
    check("re", signed_field(got, 0, 18), want[0], place)
    check("im", signed_field(got, 18, 18), want[1], place)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("block", [8, 24])
def test_refused(block):
    """A block that is no power of two from 16 on is a ValueError."""
    with pytest.raises(ValueError, match=f"block is {block}, must be a power of two from 16 on"):
        Twiddles(block=block)
    gc.collect()  # Amaranth warns of the unfinished object now, where it is expected
