"""Drawn content is read back from the figures; that they please is for eyes to say."""

from typing import Any

import matplotlib.image
import numpy as np
import pytest

from backspike.ir.errors import UserError
from backspike.train.plots import (
    KINDS,
    Sample,
    check_free,
    classes,
    draw,
    engines,
    entitle,
    raster,
    training,
)
from backspike.train.report import table
from backspike.train.result import Result

HISTORY = [
    {"epoch": 1, "loss": 1.5, "accuracy": 0.5, "test": 0.6},
    {"epoch": 2, "loss": 0.5, "accuracy": 0.8, "test": 0.7},
]
COUNTERS = {
    "total": 1000,
    "fp": {"busy": 300, "bound": 250, "stalled": {"token": 100, "vector": 10, "drain": 5}},
    "bp": {"busy": 200, "bound": 200, "stalled": {"token": 300, "vector": 0, "drain": 0}},
    "wg": {"busy": 500, "bound": 400, "stalled": {"token": 600, "vector": 70, "drain": 60}},
}
SPIKES = {
    "input": np.array([[1, 0, 0], [0, 1, 0]], np.uint8),
    "hidden1": np.array([[0, 0, 0, 1, 0], [1, 0, 0, 0, 1]], np.uint8),
}


def result(**changes) -> Result:
    fields = {
        "backend": "rtl",
        "machine": "tiny",
        "layers": [3, 5, 2],
        "steps": 2,
        "batch": 1,
        "epochs": 2,
        "rule": "bptt",
        "loss": "ce",
        "seed": 0,
        "accuracy": {"train": 0.875, "test": 0.7},
        "check": {"tensors": 1234, "values": 56789, "mismatches": 0},
        "cycles": COUNTERS,
        "density": {"input": 0.25, "spikes": 0.125, "gradients": None},
        "simulation": {"cycles": 2000, "seconds": 0.5, "cycles_per_second": 4000.0},
        "history": HISTORY,
        "counters": COUNTERS,
        "data": {"name": "digits"},
        "words": "3-5-2",
    }
    return Result(**(fields | changes))


def test_training_shows_history():
    """The curves of loss and accuracy hold the history's numbers."""
    figure: Any = training(result())
    loss, accuracy = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 1.5], [2, 0.5]]
    shown = {line.get_label(): line.get_xydata().tolist() for line in accuracy.lines}
    assert shown == {
        "training samples, before each update": [[1, 0.5], [2, 0.8]],
        "test samples, after the epoch": [[1, 0.6], [2, 0.7]],
        "guessing (50%)": [[0, 0.5], [1, 0.5]],
    }


def test_raster_shows_every_spike_once():
    """The raster's dashes are exactly the spikes of the arrays."""
    figure: Any = raster(SPIKES, 7)
    for axes, bits in zip(figure.axes, SPIKES.values(), strict=True):
        (dashes,) = axes.collections
        shown = {(int(s[0][0]), int(s[0][1])) for s in dashes.get_segments()}
        assert shown == set(zip(*(i.tolist() for i in np.nonzero(bits)), strict=True))


def test_engines_show_their_cycles():
    """The bars of each engine add up to all cycles, each part of its length."""
    figure: Any = engines(COUNTERS)
    (axes,) = figure.axes
    widths = [round(1000 * patch.get_width()) for patch in axes.patches]
    # Bound, no vector, drain full, otherwise busy, waiting, idle; wg, bp, fp.
    assert widths[:6] == [400, 70, 30, 0, 500, 0]
    assert widths[6:12] == [200, 0, 0, 0, 300, 500]
    assert widths[12:] == [250, 10, 5, 35, 100, 600]
    starts = [round(1000 * patch.get_x()) for patch in axes.patches]
    assert starts[12:] == [0, 250, 260, 265, 300, 400]
    assert [text.get_text() for text in axes.texts] == ["50% busy", "20% busy", "30% busy"]


CONFUSION = np.array([[3, 1], [0, 4]])


def test_classes_show_the_counts():
    """A square for each pair of classes, its number in it."""
    figure: Any = classes(CONFUSION)
    (axes,) = figure.axes
    shown = {text.get_position()[::-1]: int(text.get_text()) for text in axes.texts}
    assert shown == {(0, 0): 3, (0, 1): 1, (1, 1): 4}
    assert axes.get_title() == "7 of 8 test samples right"
    assert np.asarray(axes.images[0].get_array()).tolist() == [[0.75, 0.25], [0.0, 1.0]]


@pytest.mark.parametrize("counters", [None, COUNTERS])
def test_files(tmp_path, counters):
    """`draw` writes its pictures into a new folder, that of engines only with counters; each says
    what was run, and is the same again."""
    sample = Sample(SPIKES, 7, CONFUSION)
    paths = draw(result(counters=counters), sample, tmp_path / "new")
    names = ["training", "spikes", "classes"] + ["engines"] * (counters is not None)
    assert [path.name for path in paths] == [f"{n}.{kind}" for n in names for kind in KINDS]
    for path in paths:
        if path.suffix == ".png":
            pixels = matplotlib.image.imread(path)
            assert pixels.shape[0] > 200
            assert pixels.std() > 0.05  # something is drawn
        else:
            assert path.read_text().startswith("<?xml")
    again = draw(result(counters=counters), sample, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_every_figure_has_its_title():
    """Network, options, machine, seed and data."""
    figure: Any = training(result())
    entitle(figure, result())
    shown = figure.get_suptitle().replace("\n", " ")
    assert shown == ("3-5-2, 2 steps, batch 1, bptt, ce, seed 0: 2 epochs on rtl tiny; data digits")


def test_nothing_is_drawn_over(tmp_path):
    """A figure that is there is named."""
    check_free(tmp_path)
    (tmp_path / "other.png").touch()
    check_free(tmp_path)
    (tmp_path / "spikes.svg").touch()
    with pytest.raises(UserError, match=r"plots .*spikes\.svg is there already, must be removed"):
        check_free(tmp_path)


def test_table():
    """The table of an RTL run is exact to the character."""
    assert table(result()) == (
        "3-5-2, 2 steps, batch 1, bptt, ce, seed 0: 2 epochs on rtl tiny\n"
        "\n"
        "accuracy         train 87.5%, test 70.0%\n"
        "density          input 0.25, spikes 0.12, gradients -\n"
        "compared         56,789 values in 1,234 tensors, 0 mismatches\n"
        "\n"
        "cycles                     busy         bound  busy / bound\n"
        "  forward                   300           250          1.20\n"
        "  backward                  200           200          1.00\n"
        "  weight gradient           500           400          1.25\n"
        "  in all                  1,000, 1.00 of the engines' busy cycles\n"
        "\n"
        "simulated        2,000 cycles in 0.5 s: 4,000 cycles/s\n"
    )


def test_table_of_golden():
    """The table of a golden run leaves out cycles, and says that a sum saturated."""
    check = {"tensors": 0, "values": 0, "mismatches": 0}
    shown = table(
        result(
            backend="golden",
            check=check,
            cycles=None,
            simulation=None,
            saturated=True,
            saturated_batch=7,
        )
    )
    assert shown == (
        "3-5-2, 2 steps, batch 1, bptt, ce, seed 0: 2 epochs on golden\n"
        "\n"
        "accuracy         train 87.5%, test 70.0%\n"
        "density          input 0.25, spikes 0.12, gradients -\n"
        "compared         nothing\n"
        "saturated        yes: a sum was cut off at ±65504, first in batch 7\n"
    )
