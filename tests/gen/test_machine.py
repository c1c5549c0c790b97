"""gen.machine: sizes that no machine may have."""

import dataclasses

import pytest

from backspike.gen.machine import MACHINES


def test_a_weight_memory_holds_blocks():
    """P rows, those of one block of P x P weights, at the least, and whole blocks."""
    for rows in (8, 24):
        assert dataclasses.replace(MACHINES["default"], weight_rows=rows).weight_rows == rows
    for rows in (4, 20):
        with pytest.raises(ValueError, match=f"weight_rows is {rows}, must be a multiple of lanes"):
            dataclasses.replace(MACHINES["default"], weight_rows=rows)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("units", 1, "units is 1, must be 2 or more"),
        ("gradient_units", 1, "gradient_units is 1, must be 0, or 2 or more"),
        ("gradient_units", -2, "gradient_units is -2, must be 0, or 2 or more"),
        ("states", 3, "states is 3, must be a power of two from 2 up"),
        ("states", 2048, "states is 2048, must be up to 1024"),
        ("momentum", 2, "momentum is 2, must be 0 or 1"),
        ("parts", 2, "parts is 2, must be 0 or 1"),
        ("spike_units", 200, "spike_units is 200, must be a power of two from 2 up"),
    ],
)
def test_sizes_that_no_machine_has(parameter, value, message):
    """What each may be is said."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MACHINES["default"], **{parameter: value})


def test_as_many_gradients_as_codes_unless_fewer_are_given():
    """0 stands for as many."""
    assert MACHINES["default"].gradients == MACHINES["default"].units
    assert dataclasses.replace(MACHINES["default"], gradient_units=24).gradients == 24
