"""Encoders: which steps spike, any shape and type, and what is refused."""

import numpy as np
import pytest
import torch

from backspike.ir.errors import UserError
from backspike.train.coding import rate_code
from backspike.train.encode import direct, latency, rate

X = np.array([[0.0, 0.1, 0.5, 0.75, 1.0]])
ENCODERS = (rate, direct, latency)


def test_rate_is_the_rate_code():
    """Each sample's numbers, whatever their shape, as `rate_code` has them."""
    x = np.random.default_rng(0).random((3, 2, 4, 5))
    assert np.array_equal(rate(x, 7).reshape(3, 7, 40), rate_code(x.reshape(3, 40), 7))


def test_direct_is_the_same_in_each_step():
    """A spike in every step from the threshold on, else none."""
    assert direct(X, 3)[0].tolist() == [[0, 0, 1, 1, 1]] * 3
    assert direct(X, 2, threshold=0.75)[0].tolist() == [[0, 0, 0, 1, 1]] * 2


def test_latency_is_one_spike_earlier_for_larger_numbers():
    """1 at once, the smallest numbers in the last step, 0 never."""
    spikes = latency(np.array([[0.0, 1e-9, 0.1, 0.5, 0.75, 1.0]]), 5)[0]
    assert spikes.sum(0).tolist() == [0, 1, 1, 1, 1, 1]
    assert spikes.argmax(0)[1:].tolist() == [4, 4, 2, 1, 0]
    assert latency(X, 1)[0].tolist() == [[0, 1, 1, 1, 1]]


@pytest.mark.parametrize("encode", ENCODERS)
def test_shapes_and_types(encode):
    """uint8 (B, T, *shape) of arrays, tensors and integers, the same of each; none of none."""
    x = np.random.default_rng(1).integers(0, 2, (2, 1, 3, 4))
    found = encode(x, 6)
    assert found.dtype == np.uint8
    assert found.shape == (2, 6, 1, 3, 4)
    assert found.max() == 1
    for same in (x.astype(np.float32), x.astype(bool), torch.tensor(x * 1.0, requires_grad=True)):
        assert np.array_equal(encode(same, 6), found)
    assert encode(np.zeros((0, 4)), 6).shape == (0, 6, 4)


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    ("x", "steps", "message"),
    [
        (X, 0, "steps is 0, must be a whole number from 1 up"),
        (X, 2.0, "steps is 2.0, must be a whole number from 1 up"),
        (X[0], 3, r"x has the shape \(5,\), must have \(samples, ...\)"),
        (X + 0.5, 3, "x spans 0.5 to 1.5, must be finite and within 0..1"),
        (-X, 3, "x spans -1 to -0, must be finite"),
        (X * np.nan, 3, "x spans nan to nan, must be finite"),
        (X.astype(str), 3, "x is of <U32, must be of real numbers"),
        ([[1], [2, 3]], 3, "x is a list, must be an array of numbers"),
    ],
)
def test_what_is_no_number_of_0_to_1(encode, x, steps, message):
    """Each encoder says what is wrong."""
    with pytest.raises(UserError, match=message):
        encode(x, steps)


@pytest.mark.parametrize("threshold", [np.nan, "a", True])
def test_a_threshold_is_a_number(threshold):
    """Others are refused."""
    with pytest.raises(UserError, match=r"threshold is .*, must be a finite number"):
        direct(X, 2, threshold)
