"""Busy cycles of an engine on layers of many shapes, over its bound and its drain slots."""

import numpy as np
import pytest

from backspike.bench import shapes
from backspike.bench.alone import Run
from backspike.bench.efficiency import MACHINE
from backspike.bench.shapes import Shape
from backspike.compile.drain import pipeline_cycles
from backspike.drive.comparison import Counts
from backspike.ir.constants import ENGINES
from tests.support.bench_cases import LAYER, TINY


@pytest.mark.verilator
def test_a_layer_alone_is_measured_by_each_engine():
    """The layer's three runs have golden's bits, and no fewer busy cycles than either bound."""
    counts = Counts()
    runs = {run.engine: run for run in shapes.measure(LAYER, TINY, counts)}
    assert set(runs) == set(ENGINES)
    assert counts.mismatches == 0
    assert {engine: run.layer for engine, run in runs.items()} == shapes.MEASURED
    for run in runs.values():
        assert max(run.bound, run.drain) <= run.busy
    # Half of wg's drain slots, but for its pipeline, are the rows that its bound counts twice.
    rows = runs["wg"].drain - pipeline_cycles(TINY, "wg")
    assert 0 < rows <= runs["wg"].bound
    # Every spike of the 10 sources is added in 4 tiles of 2 neurons.
    random = np.random.Generator(np.random.PCG64(0))
    spikes = random.random((5, 3, shapes.INPUTS)) < LAYER.density
    assert runs["fp"].events == 4 * spikes[:, :, :10].sum()


def test_shapes_that_take_too_long_are_left_out():
    """Corners, the middle and one sample a batch; none has more events than is said."""
    found = shapes.shapes()
    assert {(s.sources, s.neurons) for s in found} == set(shapes.LAYERS)
    assert {s.steps for s in found} == set(shapes.STEPS)
    assert {s.density for s in found} == set(shapes.DENSITIES)
    assert max(s.events for s in found) <= shapes.EVENTS
    assert all(s.batch == 1 and min(s.sources, s.neurons) >= 128
               for s in shapes.one_sample_shapes())  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "learns"),
    [(Shape(16, 16, 4, 0.1), ("a", "b")), (Shape(512, 16, 100, 0.1), ("b",))],
    ids=str,
)
def test_what_does_not_fit_is_measured_without_it(shape, learns):
    """Where gradients of the sources have no room, bp is left out, and the others are measured."""
    assert shapes.fitting(shape, MACHINE).graph.learning == set(learns)


def run(engine: str, busy: int, bound: int, drain: int) -> Run:
    return Run(engine, shapes.MEASURED[engine], busy + 5, busy, bound, drain, bound, {"drain": 3})


def test_figures_are_the_worst_of_their_shapes():
    """One figure counts the drain, one is of large layers, one of one sample; misses are named."""
    large, small = Shape(128, 128, 4, 0.1), Shape(16, 16, 4, 0.1)
    single = Shape(128, 128, 100, 0.1, batch=1)
    measured = [
        (large, run("fp", 105, 100, 90)),
        (small, run("fp", 120, 50, 100)),
        (single, run("fp", 240, 100, 20)),
    ]
    found = {figure.figure: figure for figure in shapes.made(measured, [Shape(1, 2, 3, 0.5)])}
    with_drain = found["busy / max(bound, drain slots), fp alone"]
    assert (with_drain.value, with_drain.met) == (1.2, False)
    assert "1 missed: 16-16, T 4, density 0.1)" in with_drain.how
    assert "1-2, T 3, density 0.5: the batch does not fit" in with_drain.how
    assert found["busy / bound, 128 or more, fp alone"].value == 1.05
    assert found["busy / bound, one sample, fp alone"].value == 2.4
    assert len(found) == 3
