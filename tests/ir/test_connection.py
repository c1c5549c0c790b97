"""Kinds of connections: what they take, and what they refuse."""

import re

import pytest

from backspike.ir.connection import Conv2d, GlobalAverage
from backspike.ir.errors import UserError


def test_numbers_are_pairs():
    """One number is for rows and columns; lists are taken, as files have them."""
    one = Conv2d(4, 3, stride=2, padding=1, pool=2)
    assert one == Conv2d(4, (3, 3), stride=(2, 2), padding=(1, 1), pool=(2, 2))
    assert one == Conv2d(4, [3, 3], pool=[2, 2], stride=2, padding=1)  # pyright: ignore
    assert GlobalAverage(5, bias=True) == Conv2d(5, 1, pool="all", average=True, bias=True)
    assert Conv2d(None, (11, 1), padding=(10, 0), stride=(4, 1)).padding == (10, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "a Conv2d's channels is 0, must be a whole number from 1 up"),
        ({"kernel": 12}, "a Conv2d's kernel is 12, must be a whole number from 1 to 11, or a pair"),
        ({"kernel": 0}, "a Conv2d's kernel is 0, must"),
        ({"kernel": True}, "a Conv2d's kernel is True, must"),
        ({"kernel": (3, 3, 3)}, "a Conv2d's kernel is (3, 3, 3), must"),
        ({"kernel": (3, 12)}, "a Conv2d's kernel is (3, 12), must"),
        ({"kernel": 3.0}, "a Conv2d's kernel is 3.0, must"),
        ({"stride": 5}, "a Conv2d's stride is 5, must be a whole number from 1 to 4, or a pair"),
        ({"stride": (1, 0)}, "a Conv2d's stride is (1, 0), must"),
        ({"padding": 3}, "a Conv2d's padding is 3, must be a whole number from 0 to 2, or a pair"),
        ({"padding": -1}, "a Conv2d's padding is -1, must"),
        ({"kernel": (3, 1), "padding": 1}, "must be a whole number from 0 to 2 and 0, or a pair"),
        ({"pool": 0}, "a Conv2d's pool is 0, must be a whole number from 1 up, or a pair of them"),
        ({"pool": "sum"}, "a Conv2d's pool is 'sum', must"),
        ({"pool": "max"}, "a Conv2d's pool is \"max\", must be a sum or an average, as a neuron's"),
        (
            {"pool": 3, "average": True},
            "a Conv2d averages over 3x3 pixels, must be over a power of",
        ),
        ({"average": True}, "a Conv2d averages over a pool of 1 pixel, must have a larger pool"),
        ({"pool": 2, "average": 1}, "average is 1, must be True or False"),
        ({"bias": "no"}, "bias is 'no', must be True or False"),
    ],
)
def test_what_is_no_convolution_is_refused(options, message):
    """With what is allowed."""
    with pytest.raises(UserError, match=re.escape(message)):
        Conv2d(**options)
