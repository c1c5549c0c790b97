"""gen.machine: sizes that no machine may have."""

import dataclasses

import pytest

from backspike.gen.machine import MACHINES


def test_a_weight_memory_holds_a_block():
    """P rows, those of one block of P x P weights, at the least."""
    assert dataclasses.replace(MACHINES["default"], weight_rows=8).weight_rows == 8
    with pytest.raises(ValueError, match="weight_rows is 4, must be at least lanes"):
        dataclasses.replace(MACHINES["default"], weight_rows=4)
