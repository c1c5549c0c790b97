"""Digits row by row: coding, network, and a run on the RTL."""

import numpy as np
import pytest

from backspike.bench import learning, rows
from backspike.drive.comparison import Counts
from backspike.gen.machine import MACHINES
from backspike.ir.neuron import CubaLIF
from backspike.train.data import Split


def test_each_row_is_shown_for_two_steps():
    """A pixel of 12 and more spikes in both steps of its row, of 4 and more in the second."""
    levels = np.array([0, 3, 4, 8, 11, 12, 15, 16])
    image = np.zeros((8, 8))
    image[5] = levels
    spikes, labels = rows.read(Split(image.reshape(1, 64) / 16, np.array([7])))
    assert spikes.shape == (1, 16, 8)
    assert list(labels) == [7]
    assert (spikes[0, 10] == (levels >= 12)).all()
    assert (spikes[0, 11] == (levels >= 4)).all()
    assert spikes.sum() == spikes[0, 10:12].sum()


@pytest.mark.verilator
@pytest.mark.parametrize("name", rows.NEURONS)
def test_a_few_batches_on_the_rtl_are_counted(few, name):
    """A small network on a small machine: no mismatch, and what was compared is told."""
    case, counts = rows.case(few, rows.NEURONS[name], hidden=8), Counts()
    told = rows.lockstep(case, counts, MACHINES["four"], batches=2)
    assert counts.tensors > 0
    assert counts.mismatches == 0
    assert f"{counts.values:,} values" in told


def test_both_neurons_are_measured(monkeypatch, few):
    """Two figures of each, the same recipe for both, and the RTL's run told with the accuracy."""
    seen = []
    monkeypatch.setattr(learning, "halves", lambda case, seed: seen.append(case) or 85.9)
    monkeypatch.setattr(learning, "float32", lambda case, seed: 87.0)
    monkeypatch.setattr(rows, "lockstep", lambda case, counts, machine: "as golden")
    figures = rows.figures(few, Counts(), seeds=(1,), epochs=3)
    assert [(f.figure, f.value, f.met) for f in figures] == [
        ("test accuracy, rows LIF, %", 85.9, False),
        ("distance to float32, rows LIF, points", 1.1, True),
        ("test accuracy, rows CUBA-LIF, %", 85.9, False),
        ("distance to float32, rows CUBA-LIF, points", 1.1, True),
    ]
    assert figures[0].how.endswith("; as golden")
    lif, cuba = (case.graph.by_name["h"].neuron for case in seen)
    assert isinstance(cuba, CubaLIF)
    assert (lif.leak, lif.surrogate) == (cuba.leak, cuba.surrogate)
