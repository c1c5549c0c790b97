"""ir.surrogate: tables of the spike's derivative, and what no table may be."""

import pytest

from backspike.ir.errors import UserError
from backspike.ir.surrogate import rectangle


def test_a_rectangle_is_as_high_as_it_says():
    """Or 1 / width; its edges are the width's alone. A height is the nearest half."""
    assert rectangle(2.0).values == (0.0, 0.5, 0.0)
    assert rectangle(2.0, 1.5).values == (0.0, 1.5, 0.0)
    assert rectangle(2.0, 1.5).edges == rectangle(2.0).edges == (-1.0, 1.0)
    assert rectangle(1.0, 0.1).values[1] == 0.0999755859375


def test_a_height_lets_a_rectangle_be_narrow():
    """1 / width alone must be a half."""
    assert rectangle(1e-6, 3.0).values[1] == 3.0
    with pytest.raises(UserError, match="rectangle's width is 1e-06, must be 1/65504 or more"):
        rectangle(1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1.0, 0.0), "rectangle's height is 0.0, must be a positive number"),
        ((1.0, -2.0), "rectangle's height is -2.0, must be a positive number"),
        ((1.0, 1e6), "rectangle's height is 1000000.0, must be a finite number within ±65504"),
        ((-1.0, 1.0), "rectangle's width is -1.0, must be a positive number"),
    ],
)
def test_what_no_rectangle_has(given, message):
    """Width and height are named, with what they are and must be."""
    with pytest.raises(UserError, match=message):
        rectangle(*given)
