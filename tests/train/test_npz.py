"""Spikes in `.npz` files; other arrays are in `test_data`."""

import numpy as np
import pytest

from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.train.data import load, load_unlabelled


def spike_file(path, **changes):
    """Of 10 samples, 3 steps, 2 x 2 inputs."""
    spikes = np.random.default_rng(0).integers(0, 2, (10, 3, 2, 2))
    arrays = {"spikes": spikes, "y": np.arange(10) % 2} | changes
    np.savez(path, **{name: x for name, x in arrays.items() if x is not None})
    return spikes


@pytest.mark.parametrize("kind", [np.uint8, bool, np.int64, np.float32])
def test_spikes_stay_what_they_are(tmp_path, kind):
    """(samples, T, inputs) of 0 and 1 of any type; every fifth sample is to test."""
    path = tmp_path / "s.npz"
    spikes = spike_file(path)
    spike_file(path, spikes=spikes.astype(kind))
    data = load(path)
    assert (data.inputs, data.steps, data.classes, data.scaling) == (4, 3, 2, "spikes as they are")
    parts = np.concatenate([data.train.x, data.test.x])
    assert parts.dtype == np.uint8
    assert sorted(map(bytes, parts)) == sorted(map(bytes, spikes.astype(np.uint8)))
    graph = Sequential(Input((1, 2, 2)), Dense(2))
    data.check_fits(graph, 3)
    with pytest.raises(UserError, match=r"steps is 4, must be 3: data .*s\.npz has them"):
        data.check_fits(graph, 4)
    coded = data.train.coded(graph, 3).spikes(np.array([2, 0]))
    assert coded.shape == (2, 3, 1, 2, 2)
    assert (coded.reshape(2, 3, 4) == data.train.x[[2, 0]]).all()


def test_spikes_with_a_test_set_and_without_labels(tmp_path):
    """`spikes_test` beside `y_test`; without y, what `predict` takes."""
    path = tmp_path / "s.npz"
    spikes = spike_file(path, spikes_test=np.ones((2, 3, 2, 2), int), y_test=np.array([0, 1]))
    data = load(path)
    assert (len(data.train), len(data.test)) == (10, 2)
    assert data.test.x.all()
    spike_file(path, y=None)
    found = load_unlabelled(path)
    assert found is not None
    assert (found[0] == spikes.reshape(10, 3, 4)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spikes": np.full((4, 3, 2), 256)},
            r"\[0, 0, 0\] in data .* is 256, must be 0 or 1, or a count",
        ),
        ({"spikes": np.full((4, 3, 2), np.nan)}, r"spikes\[0, 0, 0\] .* is nan, must be 0 or 1"),
        ({"spikes": np.ones((10, 3))}, r"spikes .* has the shape \(10, 3\), must have \(samples"),
        ({"spikes": np.ones((10, 0, 4))}, r"spikes .* has the shape \(10, 0, 4\), must have"),
        ({"spikes": np.full((10, 3, 2), "a")}, "spikes in data .* is of <U1, must be of 0 and 1"),
        ({"x": np.ones((10, 4))}, "has x and spikes, must have one of them"),
        ({"spikes_test": np.ones((10, 3, 2))}, "has one of spikes_test and y_test, must have both"),
        (
            {"spikes_test": np.ones((10, 4, 2), int), "y_test": np.arange(10)},
            r"spikes_test in data .* is int64 \(10, 4, 2\), must be int64 samples of shape \(3, 2",
        ),
    ],
)
def test_wrong_spikes(tmp_path, changes, message):
    """Each with its reason."""
    spike_file(tmp_path / "s.npz", **changes)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "s.npz")
