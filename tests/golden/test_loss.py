"""Losses, and the error that the host feeds back."""

import math

import numpy as np
import torch

from backspike.golden import loss
from backspike.golden.half import from_bits, random_halves, to_bits


def halves(rows) -> np.ndarray:
    return to_bits(torch.tensor(rows, dtype=torch.float64))


def test_error_is_softmax_less_onehot_rounded():
    """Against the math library and an exact sum."""
    g = torch.Generator().manual_seed(4)
    logits = to_bits((torch.randn((50, 7), generator=g, dtype=torch.float64) * 4).half().double())
    labels = torch.randint(0, 7, (50,), generator=g).numpy()
    error = loss.cross_entropy_error(logits, labels)
    for row, label, got in zip(from_bits(logits).tolist(), labels, error, strict=True):
        powers = [math.exp(o - max(row)) for o in row]
        want = [p / math.fsum(powers) - (j == label) for j, p in enumerate(powers)]
        assert (got == np.array(want).astype(np.float16).view(np.uint16)).all()


def test_error_of_certain_and_extreme_logits():
    """Logits at ±65504 and equal ones, by hand."""
    logits = halves([[65504.0, -65504.0, 0.0], [0.0, 0.0, 0.0]])
    error = loss.cross_entropy_error(logits, np.array([0, 1]))
    third = np.float16(1 / 3).view(np.uint16)
    assert error[0].tolist() == [0, 0, 0]
    assert error[1].tolist() == [third, np.float16(-2 / 3).view(np.uint16), third]
    assert loss.cross_entropy_error(logits, np.array([1, 1]))[0].tolist() == [0x3C00, 0xBC00, 0]


def test_error_is_never_a_negative_zero():
    """For logits of any pattern."""
    g = torch.Generator().manual_seed(9)
    logits = to_bits(random_halves((300, 5), g))
    labels = torch.randint(0, 5, (300,), generator=g).numpy()
    assert not (loss.cross_entropy_error(logits, labels) == 0x8000).any()


def test_exponential():
    """Four ulps; the same as the library's to a factor that no rounding to half sees."""
    x = torch.cat([-(2.0 ** torch.linspace(-60, 9.4, 4000).double()), torch.zeros(1).double()])
    want = torch.tensor([math.exp(v) for v in x.tolist()], dtype=torch.float64)
    got = loss.exponential(x)
    assert ((got - want).abs() <= 4 * 2.0**-53 * want).all()
    assert got[-1] == 1
    assert loss.exponential(torch.tensor([-131008.0, -1e300]).double()).max() < 2.0**-1000


def test_an_error_does_not_depend_on_its_batch():
    """A sample alone has the bits it has among others."""
    g = torch.Generator().manual_seed(5)
    logits = to_bits((torch.randn((33, 10), generator=g, dtype=torch.float64) * 4).half().double())
    labels = torch.randint(0, 10, (33,), generator=g).numpy()
    whole = loss.cross_entropy_error(logits, labels)
    alone = [loss.cross_entropy_error(logits[i : i + 1], labels[i : i + 1]) for i in range(33)]
    assert (whole == np.concatenate(alone)).all()


def test_accuracy_counts_the_first_of_equals():
    """Of two equal logits the first is the answer."""
    logits = halves([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [-1.0, -2.0]])
    assert loss.accuracy(logits, np.array([1, 0, 1, 0])) == 0.75
