"""Busy cycles of an engine on convolutions, over its bound and its drain slots."""

import numpy as np
import pytest

from backspike.bench import convolutions
from backspike.bench.alone import Run
from backspike.bench.convolutions import Measured, Shape
from backspike.drive.comparison import Counts
from backspike.gen.machine import MACHINES
from backspike.ir.constants import ENGINES, ceil_div
from backspike.train.fuzz_graphs import roomy

TINY = roomy(MACHINES["tiny"])


def spikes(shape: Shape, steps: int) -> np.ndarray:
    """The inputs that a shape is given: (B, T, C, rows, columns)."""
    random = np.random.Generator(np.random.PCG64(0))
    size = (convolutions.BATCH, steps, shape.sources * shape.plane**2)
    found = random.random(size) < shape.density
    return found.reshape(*size[:2], shape.sources, shape.plane, shape.plane)


@pytest.mark.verilator
@pytest.mark.parametrize("shortcut", [False, True])
def test_a_convolution_alone_is_measured_by_each_engine(shortcut):
    """Golden's bits, every event of fp, and no engine below its bound or its drain slots."""
    shape, counts = Shape(3, 5, 4, 2, 0.3, shortcut), Counts()
    measured = {one.run.engine: one for one in convolutions.measure(shape, TINY, counts)}
    assert set(measured) == set(ENGINES)
    assert counts.mismatches == 0
    for one in measured.values():
        assert 0 < max(one.run.bound, one.run.drain) <= one.run.busy
        assert one.run.bound <= one.least
    steps = measured["fp"].steps
    x, tiles = spikes(shape, steps), ceil_div(shape.neurons, TINY.lanes)
    reached = [len([o for o in range(2) if 0 <= at - 2 * o + 1 < 3]) for at in range(4)]
    if not shortcut:
        events = np.einsum("btcyx,y,x->", x.astype(int), reached, reached)
        assert measured["fp"].run.bound == tiles * events
        assert measured["wg"].run.layer == "a-b"
        padded = np.pad(x.astype(int), [(0, 0)] * 3 + [(1, 1)] * 2)
        sums = [padded[:, t, :, 2 * y : 2 * y + 3, 2 * z : 2 * z + 3].sum()
                for t in range(steps) for y in range(2) for z in range(2)]  # fmt: skip
        slots = convolutions.BATCH * TINY.fp_reuse
        assert min(sums) > slots
        assert measured["fp"].full
        assert measured["fp"].least == tiles * sum(sums)
    else:  # 3x3 of m's spikes, which are those of some sources, and 1x1 of every second pixel
        assert measured["fp"].run.bound > tiles * x[..., ::2, ::2].sum()
        assert measured["wg"].run.layer == "m-b and a-b"


def test_every_corner_is_there():
    """Channels, planes, strides and densities at their ends, and blocks of both strides."""
    found = set(convolutions.shapes())
    assert len(found) == len(convolutions.shapes())
    for corner in np.ndindex(2, 2, 2, 2, 2):
        c, n, plane, stride, density = corner
        assert (
            Shape(16 << 2 * c, 16 << 2 * n, 4 << 2 * plane, 1 + stride, (0.05, 0.3)[density])
            in found
        )
    assert {s.stride for s in convolutions.blocks()} == {1, 2}
    assert all(s.shortcut for s in convolutions.blocks())


def test_what_is_long_has_fewer_steps_and_what_does_not_fit_is_left_out():
    """Steps by events; the gradients of 64 channels of 16x16 have no room on the machine."""
    machine = convolutions.PLANES
    assert convolutions.fitting(Shape(16, 16, 4, 1, 0.05), machine).steps == 4
    assert convolutions.fitting(Shape(64, 64, 4, 1, 0.3), machine).steps == 2
    plan = convolutions.fitting(Shape(64, 64, 16, 1, 0.05), machine)
    assert (plan.steps, plan.graph.learning) == (1, {"b", "y"})


def test_weights_copy_spikes():
    """Each neuron has one source at one tap; a shortcut brings nothing."""
    for shortcut in (False, True):
        shape = Shape(3, 5, 4, 2, 0.3, shortcut)
        graph = shape.graph(("fp", "bp", "wg"))
        found = convolutions.weights_of(shape, graph, np.random.default_rng(0))
        conv = found["m-b" if shortcut else "a-b"]
        assert np.count_nonzero(conv, axis=0).tolist() == [1] * 5
        assert not shortcut or not found["a-b"].any()


def run(engine: str, busy: int, bound: int, drain: int) -> Run:
    return Run(engine, "x", busy + 5, busy, bound, drain, bound, {"drain": 3})


def test_figures_are_the_worst_of_their_kind():
    """Layers that are full are held against their bound alone; others and blocks against both."""
    shape, block = Shape(16, 32, 8, 2, 0.1), Shape(16, 32, 8, 1, 0.1, shortcut=True)
    found = {
        figure.figure: figure
        for figure in convolutions.made(
            [
                Measured(shape, 4, run("fp", 104, 100, 90), True, 100),
                Measured(shape, 4, run("fp", 106, 100, 90), True, 100),
                Measured(shape, 2, run("fp", 112, 80, 100), False, 110),
                Measured(block, 4, run("fp", 109, 80, 100), False, 105),
            ]
        )
    }
    full, other, shortcut = found.values()
    assert (full.value, full.met) == (1.06, False)
    assert "1 missed: 16-32 8x8 s2 0.1 T 4 1.060)" in full.how
    assert (other.value, other.met) == (1.12, False)
    assert "(110 are of each sum the larger of both)" in other.how
    assert (shortcut.value, shortcut.met) == (1.09, True)
    assert "shortcut" in shortcut.figure
