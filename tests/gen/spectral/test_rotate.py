"""gen.spectral.rotate: rotated lines as golden's."""

import functools
import gc

import numpy as np
import pytest
import torch

from backspike.gen.spectral.rotate import Rotate, rotation_latency
from backspike.golden.fft import Words, rotate, twiddles
from backspike.ir.spectral_constants import TWIDDLE_FRACTION
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.pipelines import Together, check, fields, hard_integers, signed_field, stepped

FORMS = {
    "one_piece": {"width": 18, "block": 32, "mantissa": 18},
    "mantissas": {"width": 23, "block": 16, "mantissa": 18},
    "two_pieces": {"width": 28, "block": 16},
    "half_a_table": {"width": 21, "block": 64, "upper": False},
    "no_growth": {"width": 21, "block": 32, "mantissa": 18, "out": 21},
}
LINES = 600

pytestmark = pytest.mark.verilator


@functools.cache
def built():
    parts = {name: Rotate(**form) for name, form in FORMS.items()}
    return parts, ArrayBench(Together(dict(parts)), "rotate")


def near_ties(rng, re, im, block: int) -> np.ndarray:
    """Some of a line's `re` so that a product lies a half, or about one, above an integer.

    Where a factor's real part c is odd, re = (2^15 + im s + d) / c modulo 2^16 for d = -1, 0, 1.
    """
    modulus = 1 << TWIDDLE_FRACTION
    c, s = (np.resize(part.numpy(), len(re)) for part in twiddles(block))
    inverse = np.array([pow(int(x), -1, modulus) if x % 2 else 0 for x in c])
    tie = ((modulus >> 1) + im * s + rng.integers(-1, 2, len(re))) * inverse % modulus
    chosen = (c % 2 == 1) & (rng.random(len(re)) < 0.4)
    return np.where(chosen, re >> TWIDDLE_FRACTION << TWIDDLE_FRACTION | tie, re)


def lines(rng, width: int, block: int, upper: bool):
    """Lines (re, im) of a quarter block to two blocks."""
    lengths = [block // 4, block // 2] + [block, 2 * block] * upper
    greatest = (1 << width - 1) - 1
    for n in range(LINES):
        length = rng.choice(lengths)
        re, im = (hard_integers(rng, length, width) for _ in range(2))
        if n % 20 == 0:  # the corners of the square
            re, im = (rng.choice([greatest, -greatest - 1], length) for _ in range(2))
        elif n % 2:
            re = near_ties(rng, re, im, block)
        yield re, im


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("name", FORMS)
def test_lines(name, pause):
    """Random lines and near ties are rotated as by golden's `rotate`, with and without pauses."""
    form = FORMS[name]
    width, block, mantissa = form["width"], form["block"], form.get("mantissa")
    rng = np.random.default_rng(1)
    parts, run = built()
    given = list(lines(rng, width, block, form.get("upper", True)))
    if "out" in form:  # the bound that its user knows: a magnitude of 2^(out - 3/2)
        shrunk = 2.0 ** (form["out"] - 1.5)
        given = [
            tuple((part / max(1.0, max(np.hypot(re, im)) / shrunk)).astype(np.int64)
                  for part in (re, im))
            for re, im in given
        ]  # fmt: skip
    words = [Words(*map(torch.from_numpy, line)) for line in given]
    want = [rotate(line, block, mantissa) for line in words]
    re, im = (np.concatenate([line[n] for line in given]) for n in range(2))
    first = np.concatenate([np.arange(len(line.re)) == 0 for line in words])
    i = fields(re=(re, width), im=(im, width), first=(first, 1))
    got = stepped(run, parts[name].latency, pause, rng, **{f"{name}_i": i})[f"{name}_o"]
    out = form.get("out", width + 1)
    check("re", signed_field(got, 0, out), torch.cat([w.re for w in want]).numpy(), re, im)
    check("im", signed_field(got, out, out), torch.cat([w.im for w in want]).numpy(), re, im)
    check("first", (got >> np.uint64(2 * out)) & np.uint64(1), first, re, im)


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_reset_forgets_marks(steps):
    """What comes out afterwards is no line's first before a new line's is."""
    parts, run = built()
    latency = parts["mantissas"].latency
    first = np.zeros(40, np.uint64)
    first[[0, 20]] = 1
    i = fields(re=(np.full(40, 5), 23), im=(np.full(40, -7), 23), first=(first, 1))
    got = run(rst=np.arange(40) == steps, mantissas_i=i)["mantissas_o"] >> np.uint64(48)
    before = [latency] if steps >= latency else []
    assert np.flatnonzero(got).tolist() == [*before, 20 + latency]


def test_latency():
    """The latencies of all forms are the documented 6 or 7 cycles."""
    assert [part.latency for part in built()[0].values()] == [6, 7, 6, 6, 7]
    assert rotation_latency(23, 18) == 7
    assert rotation_latency(18, 18) == rotation_latency(28) == 6


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refused():
    """Widths, mantissas and blocks out of range are ValueErrors."""
    with pytest.raises(ValueError, match="width is 35, must be up to 34"):
        Rotate(width=35, block=16)
    with pytest.raises(ValueError, match="mantissa is 19, must be up to 18"):
        Rotate(width=23, block=16, mantissa=19)
    with pytest.raises(ValueError, match="out is 25, must be 1 to 24"):
        Rotate(width=23, block=16, out=25)
    with pytest.raises(ValueError, match="block is 8, must be a power of two from 16 on"):
        Rotate(width=23, block=8)
    gc.collect()  # Amaranth warns of the unfinished objects now, where it is expected
