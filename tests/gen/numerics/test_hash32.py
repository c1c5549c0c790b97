"""gen.numerics.hash32 and golden.hash: the same bits, and bits that pass for random.

The quality tests have fixed inputs, so they are not a matter of luck; their bounds are what a
truly random source would exceed less than once in a million runs, but for the avalanche's.
"""

import numpy as np
import pytest
import torch

from backspike.gen.numerics import hash32 as hardware
from backspike.golden.hash import draw, layer_key, mix
from backspike.sim.bench.array_bench import ArrayBench, after

MILLION = 1_000_000
SIGMAS = 4.9
"""Standard deviations that a normal variable exceeds (to either side) once in a million."""


def words(seed, count):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2**32, (count,), generator=generator)


@pytest.mark.verilator
def test_a_million_words():
    """The hardware's mix of a million keys and words equals golden's."""
    key, word = words(1, MILLION), words(2, MILLION)
    key[:40], word[:40] = 0, torch.arange(40)
    inputs = {"i_key": key.numpy(), "i_word": word.numpy()}
    got = after(hardware.Hash32.latency, ArrayBench(hardware.Hash32(), "hash32"), **inputs)["o"]
    wrong = np.flatnonzero(got != mix(key, word).numpy())
    assert not len(wrong), f"{len(wrong)} differ, the first at {wrong[0]}"


def test_integers_and_tensors_agree():
    """Golden's hash gives the same for integers and tensors, and follows its definition."""
    key, word = words(3, 100), words(4, 100)
    assert mix(key, word).tolist() == [
        mix(k, w) for k, w in zip(key.tolist(), word.tolist(), strict=True)
    ]
    assert draw(7, 8, 9, 3, 5)[2, 4] == mix(mix(mix(mix(0, 7), 8), 9), 2 << 16 | 4) >> 16
    assert layer_key(7, 8, 9) == mix(mix(mix(0, 7), 8), 9)


def test_values_are_kept():
    """Checkpoints and results depend on these for ever."""
    assert draw(0, 0, 0, 2, 3).tolist() == [[55514, 31865, 6896], [28998, 45457, 27169]]
    assert layer_key(1, 2, 3) == 0x753CF7BE


def test_a_draw_depends_on_its_name_only():
    """A weight's draw does not depend on the size of its matrix."""
    whole = draw(5, 6, 1, 200, 300)
    assert torch.equal(whole[:70, :33], draw(5, 6, 1, 70, 33))


def test_each_key_permutes_the_words():
    """With one key, different words have different hashes."""
    for key in (0, 0xDEADBEEF):
        block = torch.arange(1 << 20) << 12 | 0x123
        assert len(mix(key, block).unique()) == 1 << 20


def chi_square(values, kinds):
    """How many standard deviations int64 values in [0, kinds) are from being uniform."""
    count = torch.bincount(values.flatten(), minlength=kinds).double()
    assert len(count) == kinds
    expected = values.numel() / kinds
    assert expected >= 5
    chi = ((count - expected) ** 2 / expected).sum().item()
    freedom = kinds - 1
    # Wilson and Hilferty 1931: the cube root of chi-square / freedom is nearly normal.
    return ((chi / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5


STEPS = 128


@pytest.fixture(scope="module")
def draws():
    """(step, k, j): 2 million draws of one layer in 128 steps."""
    return torch.stack([draw(3, step, 0, 128, 128) for step in range(STEPS)])


def test_uniform(draws):
    """Draws are uniform by chi-square, and every bit is a fair coin."""
    assert abs(chi_square(draws, 1 << 16)) < SIGMAS
    for bit in range(16):
        ones = (draws >> bit & 1).double().mean().item()
        assert abs(ones - 0.5) < SIGMAS * 0.5 / draws.numel() ** 0.5, f"bit {bit}"


def test_rows_columns_and_steps_have_the_right_means(draws):
    """Not only alike: a lattice would be too even, and its means too good."""
    for axis in range(3):
        means = draws.double().mean(axis)
        spread = (65536**2 / 12 / draws.shape[axis]) ** 0.5
        deviations = (means - 32767.5) / spread
        assert deviations.abs().max() < SIGMAS + 1  # of 16384 means
        relative_error = SIGMAS / (2 * deviations.numel()) ** 0.5
        assert abs(deviations.std().item() - 1) < relative_error


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("axis", ["step", "k", "j", "diagonal"])
def test_neighbours_are_independent(draws, axis, distance):
    """Pairs of the upper 6 bits are uniform, and so are differences of the lower 10."""
    a, b = draws, draws
    axes = {"step": [0], "k": [1], "j": [2], "diagonal": [1, 2]}[axis]
    for n in axes:
        a = a.narrow(n, 0, draws.shape[n] - distance)
        b = b.narrow(n, distance, draws.shape[n] - distance)
    assert abs(chi_square((a >> 10) << 6 | b >> 10, 1 << 12)) < SIGMAS
    assert abs(chi_square((a ^ b) & 0x3FF, 1 << 10)) < SIGMAS


def test_squares_of_four_do_not_cancel(draws):
    """draw[k, j] ^ draw[k+1, j] ^ draw[k, j+1] ^ draw[k+1, j+1]: 0 for separable hashes."""
    x = draws[:, :-1, :-1] ^ draws[:, 1:, :-1] ^ draws[:, :-1, 1:] ^ draws[:, 1:, 1:]
    assert abs(chi_square(x >> 6, 1 << 10)) < SIGMAS


@pytest.mark.parametrize("other", [(4, 6, 1), (5, 7, 1), (5, 6, 2), (5 + 2**31, 6, 1)])
def test_seeds_steps_and_layers_are_independent(other):
    """Draws of another seed, step or layer are independent and uncorrelated."""
    seed, step, layer = other
    a, b = draw(5, 6, 1, 800, 800), draw(seed, step, layer, 800, 800)
    assert abs(chi_square((a >> 10) << 6 | b >> 10, 1 << 12)) < SIGMAS
    correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]).double())[0, 1].item()
    assert abs(correlation) < SIGMAS / a.numel() ** 0.5


@pytest.mark.parametrize("flipped", ["key", "word"])
def test_avalanche(flipped):
    """One bit of key or word changes each of a draw's bits with probability 0.5 ± 0.01.

    Words are counters of a layer of 256 x 256. The hash's own bias is up to 0.008; 200,000
    samples add 0.0055 (SIGMAS).
    """
    count = 200_000
    key, place = words(5, count), words(6, count)
    word = place >> 16 & 0xFF0000 | place & 0xFF
    before = mix(key, word)
    worst = 0.0
    for n in range(32):
        after_flip = mix(key ^ 1 << n, word) if flipped == "key" else mix(key, word ^ 1 << n)
        changed = (before ^ after_flip) >> 16
        rates = torch.tensor([(changed >> bit & 1).double().mean() for bit in range(16)])
        worst = max(worst, (rates - 0.5).abs().max().item())
    assert worst < 0.0135


def test_refused():
    """A step or a column out of range is a ValueError."""
    with pytest.raises(ValueError, match="step is -1, must be 0 to"):
        draw(0, -1, 0, 2, 2)
    with pytest.raises(ValueError, match="columns is 65537, must be 0 to"):
        draw(0, 0, 0, 2, 65537)
