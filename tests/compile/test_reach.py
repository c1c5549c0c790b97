"""Windows of pixels and pixels of taps, against loops over every source, target and tap."""

from itertools import product

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.reach import Spot, by_pixel, met, spots
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Input, Sequential
from backspike.ir.connection import Conv2d
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.fuzz_graphs import roomy

TINY = roomy(MACHINES["tiny"])
CONVS = [
    Conv2d(3, 3, padding=1),
    Conv2d(2, (2, 3), stride=(2, 1), padding=(1, 2), bias=True),
    Conv2d(2, (1, 2), stride=(3, 3), padding=(0, 1)),
]


def conv_plan(conv: Conv2d) -> Plan:
    graph = Sequential(Input((2, 5, 4)), conv, LIF(), Dense(3))
    return compile_graph(graph, 2, Learning(batch=2), TINY)


def pairs(conv: Conv2d, plan: Plan) -> list[tuple]:
    """(tap, source, target) that meet, pixels as (row, column)."""
    rows, columns = plan.populations["hidden1"].plane
    found = []
    for y, x, ky, kx in product(*map(range, (rows, columns, *conv.kernel))):
        at = y * conv.stride[0] - conv.padding[0] + ky, x * conv.stride[1] - conv.padding[1] + kx
        if 0 <= at[0] < 5 and 0 <= at[1] < 4:
            found.append(((ky, kx), at, (y, x)))
    return found


@pytest.mark.parametrize("conv", CONVS)
def test_windows_are_those_of_all_pairs_that_meet(conv):
    """Forward of targets, backward of sources, each with the mean of what its pixels have."""
    plan = conv_plan(conv)
    connection = plan.graph.into("hidden1")[0]
    rng, meeting = np.random.default_rng(0), pairs(conv, plan)
    for engine, neurons, others, end in (
        ("fp", "hidden1", "input", 2),
        ("bp", "input", "hidden1", 1),
    ):
        share = rng.random(plan.populations[others].plane)
        found = list(spots(plan, engine, connection, share))
        pixels = list(np.ndindex(plan.populations[neurons].plane))
        assert len(found) == len(pixels)
        for pixel, spot in zip(pixels, found, strict=True):
            here = [share[pair[3 - end]] for pair in meeting if pair[end] == pixel]
            assert spot.pixels == len(here)
            assert not here or spot.density == pytest.approx(np.mean(here))


@pytest.mark.parametrize("conv", CONVS)
def test_taps_meet_the_pixels_of_all_pairs(conv):
    """Of each tap of a kernel; a bias of its own meets all pixels; a dense layer one a pixel."""
    plan, meeting = conv_plan(conv), pairs(conv, conv_plan(conv))
    taps = list(np.ndindex(*conv.kernel))
    assert met(plan, "hidden1") == [sum(pair[0] == tap for pair in meeting) for tap in taps]
    pixels = plan.populations["hidden1"].pixels
    assert met(plan, "readout") == [1] * pixels
    if conv.bias:
        assert met(plan, "hidden1:bias") == [pixels]


def test_a_share_that_is_the_same_everywhere_stays():
    """A number is that of every pixel, to the bit, also where a window is empty."""
    plan = conv_plan(CONVS[2])
    connection = plan.graph.into("hidden1")[0]
    found = set(spots(plan, "bp", connection, 0.1))
    assert found == {Spot(0, 0.1), Spot(1, 0.1)}
    assert by_pixel(0.3, 2) == [0.3, 0.3]
    assert by_pixel(np.array([[0.1, 0.2]]), 2) == [0.1, 0.2]
