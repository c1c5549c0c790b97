"""Data of graphs: arrays, iterables, dicts and DataLoaders become the same batches; or an error."""

import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from backspike.ir.builder import Network
from backspike.ir.errors import UserError
from backspike.ir.neuron import LIF
from backspike.train.batches import Reader, check_again, epoch_order, is_pair, parts_of


def reader(batch=4, steps=None, inputs=1, readouts=1) -> Reader:
    """Of inputs x (3) and, if there are two, i of shape (2, 1, 2)."""
    net = Network()
    h = net.population("h", 3, LIF())
    net.connect(net.input("x", 3), h)
    if inputs > 1:
        net.connect(net.input("i", (2, 1, 2)), h)
    net.connect(h, net.readout("y", 3))
    classes = {"y": 3} if readouts == 1 else {"y": 3, "z": 2}
    return Reader(net.graph, classes, batch, steps)


RNG = np.random.default_rng(0)
SPIKES = RNG.integers(0, 2, (10, 5, 3)).astype(np.uint8)
IMAGES = RNG.integers(0, 2, (10, 5, 2, 1, 2)).astype(np.uint8)
LABELS = RNG.integers(0, 3, 10)


def joined(found) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of x and labels of y of all batches."""
    found = list(found)
    assert all(b.inputs["x"].dtype == np.uint8 and b.labels["y"].dtype == np.int64 for b in found)
    spikes = np.concatenate([batch.inputs["x"] for batch in found])
    return spikes, np.concatenate([batch.labels["y"] for batch in found])


def test_a_pair_is_cut_and_shuffled():
    """Batches of up to the batch; each epoch in its own order; in order to evaluate."""
    pair = (SPIKES, LABELS)
    assert [b.samples for b in reader().epoch(pair, None)] == [4, 4, 2]
    spikes, labels = joined(reader().epoch(pair, None))
    assert np.array_equal(spikes, SPIKES)
    assert np.array_equal(labels, LABELS)
    for epoch in (0, 1):
        order = epoch_order(7, epoch, 10)
        spikes, labels = joined(reader().epoch(pair, (7, epoch)))
        assert np.array_equal(spikes, SPIKES[order])
        assert np.array_equal(labels, LABELS[order])


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, torch.float32, torch.bool])
def test_any_type_of_0_and_1(dtype):
    """Arrays and tensors."""
    tensor = isinstance(dtype, torch.dtype)
    x = torch.from_numpy(SPIKES).to(dtype) if tensor else SPIKES.astype(dtype)
    y = torch.from_numpy(LABELS) if tensor else LABELS.astype(np.uint8)
    for data in ((x, y), [x, y], [(x[:3], y[:3]), [x[3:6], y[3:6]], (x[6:], y[6:])]):
        spikes, labels = joined(reader().epoch(data, None))
        assert np.array_equal(spikes, SPIKES)
        assert np.array_equal(labels, LABELS)


def test_a_loader():
    """A torch DataLoader, which gives lists of tensors."""
    data = TensorDataset(torch.from_numpy(SPIKES).float(), torch.from_numpy(LABELS))
    loader = DataLoader(data, batch_size=4)
    for _ in range(2):
        spikes, labels = joined(reader().epoch(loader, (0, 0)))
        assert np.array_equal(spikes, SPIKES)
        assert np.array_equal(labels, LABELS)


@pytest.mark.parametrize("most", [1, 3, 4, 9, 10, 11])
def test_parts_of_a_batch(most):
    """As few as it takes, as equal as can be, in order; and where each is among them."""
    whole = next(reader(batch=10).epoch((SPIKES, LABELS)))
    parts = list(parts_of(whole, most))
    sizes = [part.batch.samples for part in parts]
    assert len(parts) == -(-10 // most)
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert all(
        (a == b).all() for a, b in zip(joined(p.batch for p in parts), joined([whole]), strict=True)
    )
    assert all(part.whole is whole for part in parts)
    assert [part.first for part in parts] == [n == 0 for n in range(len(parts))]
    assert [part.last for part in parts] == [n + 1 == len(parts) for n in range(len(parts))]


def test_dicts():
    """Spikes by input, flattened; labels by read-out, or shared; as a pair and as batches."""
    y = {"y": LABELS, "z": LABELS % 2}
    pair = ({"x": SPIKES, "i": IMAGES}, y)
    assert is_pair(pair)
    batches = [({"x": SPIKES[:4], "i": IMAGES[:4]}, {n: z[:4] for n, z in y.items()})] * 2
    for data in (pair, batches):
        first = next(iter(reader(inputs=2, readouts=2).epoch(data, None)))
        assert np.array_equal(first.inputs["i"], IMAGES[:4].reshape(4, 5, 4))
        assert np.array_equal(first.inputs["x"], SPIKES[:4])
        assert np.array_equal(first.labels["z"], LABELS[:4] % 2)
    shared = next(iter(reader(readouts=2).epoch((SPIKES, LABELS % 2), None)))
    assert np.array_equal(shared.labels["y"], shared.labels["z"])


def test_samples_without_labels():
    """Cut in batches, in order."""
    found = list(reader().samples(SPIKES))
    assert [b.samples for b in found] == [4, 4, 2]
    assert np.array_equal(np.concatenate([b.inputs["x"] for b in found]), SPIKES)


BAD = SPIKES.astype(float)
BAD[1, 2, 0] = 0.5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "data is a int, must be an iterable of batches (spikes, labels), or a pair of arrays"),
        ("digits", "data is a str, must be an iterable"),
        (SPIKES, "data is a ndarray, must be an iterable"),
        ({"x": SPIKES}, "data is a dict, must be an iterable"),
        ([], "data has no batch, must have 1 or more"),
        ([SPIKES], "batch 0 of the data is a ndarray, must be (spikes, labels)"),
        ([(SPIKES[:4], LABELS[:4]), (SPIKES,)], "batch 1 of the data is a tuple of 1, must be"),
        ([(SPIKES, LABELS)], "batch 0 of the data: it has 10 samples, must have 1 to 4, the tra"),
        ((SPIKES[:, :, 0], LABELS), "spikes of x have the shape (10, 5), must have (B, T, 3)"),
        ((SPIKES[:0], LABELS[:0]), "spikes of x have the shape (0, 5, 3), must have (B, T, 3)"),
        ((SPIKES[..., :2], LABELS), "spikes of x have the shape (10, 5, 2), must have (B, T, 3)"),
        ((SPIKES[:, :0], LABELS), "spikes of x have 0 steps, must have 1 or more"),
        ((BAD, LABELS), "spikes of x at (1, 2, 0) are 0.5, must be 0 or 1"),
        ((SPIKES * np.nan, LABELS), "spikes of x at (0, 0, 0) are nan, must be 0 or 1"),
        ((SPIKES.astype(str), LABELS), "spikes of x are of <U3, must be numbers"),
        ([([[0], [1, 2]], LABELS)], "spikes of x are a list, must be an array of numbers"),
        (({"y": SPIKES}, LABELS), "spikes are of ['y'], must be of ['x']"),
        ((SPIKES, LABELS[:9]), "labels have the shape (9,), must have (10,): one for each sample"),
        ((SPIKES, LABELS[:, None]), "labels have the shape (10, 1), must have (10,)"),
        ((SPIKES, LABELS * 1.0), "labels are of float64, must be of integers"),
        ((SPIKES, LABELS - 1), "labels have the label -1, must have labels from 0 to 2, as read-"),
        ((SPIKES, LABELS + 1), "have the label 3, must have labels from 0 to 2, as read-out y has"),
        ((SPIKES, {"z": LABELS}), "labels are of ['z'], must be of ['y']"),
        ((SPIKES, {"y": LABELS + 1}), "labels of y have the label 3"),
    ],
)
def test_wrong_data(data, message):
    """Each error says what it is, and what it must be."""
    with pytest.raises(UserError, match=re.escape(message)):
        list(reader().epoch(data, None))


def test_wrong_data_of_two_inputs():
    """Spikes by input, of as many samples and steps."""
    both = reader(inputs=2)
    for spikes, message in (
        (SPIKES, "spikes are a ndarray for the inputs x, i, must be a dict by input"),
        ({"x": SPIKES}, r"spikes are of \['x'\], must be of \['i', 'x'\]"),
        ({"x": SPIKES, "i": IMAGES[:9]}, "spikes of i have 9 samples, must have 10, as those of x"),
        ({"x": SPIKES, "i": IMAGES[:, :4]}, "spikes of i have 4 steps, must have 5"),
        ({"x": SPIKES, "i": SPIKES}, r"i have the shape .*, must have \(B, 5, 2, 1, 2\)"),
    ):
        with pytest.raises(UserError, match=message):
            both.spikes(spikes)


def test_steps_are_as_they_were():
    """Where they are known, others are refused."""
    with pytest.raises(UserError, match="spikes of x have 5 steps, must have 4"):
        reader(steps=4).spikes(SPIKES)
    with pytest.raises(UserError, match=r"must have \(B, 4, 3\)"):
        reader(steps=4).spikes(SPIKES[0])


def test_a_generator_is_for_one_epoch():
    """For more it would have nothing left."""
    batches = (each for each in [(SPIKES[:4], LABELS[:4])])
    with pytest.raises(UserError, match="data is a generator, which ends after one epoch of 2, mu"):
        check_again(batches, 2)
    check_again(batches, 1)
    check_again([], 2)
