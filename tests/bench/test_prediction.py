"""Random graphs, their measured densities, and cycles that are predicted from them."""

import pytest

from backspike.bench import prediction
from backspike.bench.prediction import Measured
from backspike.drive.comparison import Counts
from backspike.gen.machine import MACHINES
from backspike.train.fuzz_graphs import draw_case, roomy

TINY = MACHINES["tiny"]


@pytest.mark.verilator
@pytest.mark.parametrize("seed", [1000, 1008, 1015, 1025])
def test_a_random_net_is_predicted(seed):
    """Golden's bits, every engine's busy cycles within the goal, and its bound exactly: nets of the
    figure, with delays and biases (1008), numbers of several bits (1015) and pools (1025)."""
    counts = Counts()
    measured = prediction.measure(draw_case(roomy(TINY), seed), counts)
    assert (counts.mismatches, counts.tensors > 0) == (0, True)
    assert measured.off <= prediction.WITHIN
    assert measured.bounds == pytest.approx(measured.bound)
    assert measured.exact


def test_the_figure_counts_nets_of_which_every_engine_is_within():
    """One engine that is off is enough to miss; the farthest nets are named."""
    bound = {"fp": 90, "bp": 0, "wg": 40}
    good = Measured("a", {"fp": 100, "bp": 0, "wg": 50}, {"fp": 104.0, "bp": 0.0, "wg": 50.0},
                    bound, {"fp": 90.0, "bp": 0.0, "wg": 40.0 + 1e-9})  # fmt: skip
    bad = Measured("b", {"fp": 100, "bp": 10, "wg": 50}, {"fp": 100.0, "bp": 11.0, "wg": 50.0},
                   bound, {"fp": 90.0, "bp": 0.0, "wg": 39.0})  # fmt: skip
    figure = prediction.figure([good, bad])
    assert (figure.value, figure.met) == (0.5, False)
    assert "1 of 2 random nets" in figure.how
    assert "Farthest off: b 10.0%, a 4.0%" in figure.how
    assert prediction.figure([good]).met
    exact = prediction.exact([good, bad])
    assert (exact.value, exact.met) == (0.5, False)
    assert "not of b" in exact.how
    assert prediction.exact([good]).met
