"""Graded inputs: numbers of several bits from data to golden, and what is refused."""

import numpy as np
import pytest
import torch

from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits, to_bits
from backspike.golden.reference import Reference
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Conv2d, Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.batches import Reader
from backspike.train.data import load
from backspike.train.encode import direct
from backspike.train.network_file import parse_network
from backspike.train.trainer import Trainer


def planes(bits: int, fraction: int | None = None) -> Graph:
    """Digits' planes."""
    return Sequential(
        Input((1, 8, 8), bits, fraction), Conv2d(8, 3, stride=2, padding=1), LIF(), Dense(10)
    )


def test_the_same_frame_in_each_step():
    """Numbers from 0 to 2^bits - 1, rounded half up."""
    x = np.array([[0.0, 0.4, 0.5, 1.0], [1 / 30, 0.1, 0.9999, 0.96]])
    found = direct(x, 3, bits=4)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 6, 8, 15]] * 3, [[1, 2, 15, 14]] * 3]
    assert direct(x, 2, bits=8).max() == 255
    for bits in (0, 9, True, 2.0):
        with pytest.raises(UserError, match=f"bits is {bits!r}, must be a whole number from 1 to"):
            direct(x, 3, bits=bits)
    with pytest.raises(UserError, match=r"threshold is 0.3 beside bits 2, must be left out"):
        direct(x, 3, 0.3, bits=2)


@pytest.mark.parametrize(
    ("bits", "fraction", "scale"), [(4, None, 1 / 8), (8, 0, 1 / 8), (1, 3, 1)]
)
def test_golden_takes_numbers_for_their_values(bits, fraction, scale):
    """Logits of weights whose sums are exact, as the reference's; over a batch that goes on."""
    graph, g = planes(bits, fraction), torch.Generator().manual_seed(1)
    unit = 2.0 ** -(bits if fraction is None else fraction)
    spikes = torch.randint(0, 2**bits, (2, 6, 64), generator=g).numpy().astype(np.uint8)
    weights = {
        name: to_bits(torch.randint(-3, 4, shape, generator=g).double() * scale)
        for name, shape in graph.shapes.items()
    }
    backend = GoldenBackend(graph, Learning())
    backend.load_weights(weights)
    parts = [
        backend.forward({"input": part}, go_on=n > 0)["readout"].copy()
        for n, part in enumerate(np.split(spikes, 2, 1))
    ]
    want = Reference(graph, weights, torch.optim.SGD, torch.float64).logits({"input": spikes})
    (again,) = (
        Reference(planes(1), weights, torch.optim.SGD, torch.float64)
        .logits({"input": spikes * unit})
        .values()
    )
    assert torch.equal(want["readout"], again)
    assert want["readout"].any()
    got = from_bits(np.concatenate(parts, 1))
    assert (got - want["readout"]).abs().max() < 2.0**-6  # potentials are rounded


def test_numbers_beyond_the_bits_are_refused():
    """By the reader, and by golden, which says the largest."""
    spikes = np.full((2, 3, 1, 8, 8), 15.0)
    reader = Reader(planes(4), {"readout": 10}, 4, None)
    (batch,) = reader.samples(spikes)
    assert batch.inputs["input"].dtype == np.uint8
    assert (batch.inputs["input"] == 15).all()
    for wrong, said in ((16, "16"), (-1, "-1"), (0.5, "0.5")):
        spikes[1, 2, 0, 3, 4] = wrong
        with pytest.raises(
            UserError,
            match=rf"at \(1, 2, 0, 3, 4\) are {said}, must be a whole number from 0 to 15",
        ):
            list(reader.samples(spikes))
    with pytest.raises(UserError, match="input input has numbers up to 16, must have 0 to 15"):
        GoldenBackend(planes(4), Learning()).forward({"input": np.full((1, 1, 64), 16, np.uint8)})


def test_digits_are_coded_in_the_bits_of_the_input():
    """And learnt in two epochs as well as half of them."""
    data, graph = load("digits"), planes(4)
    coded = data.train.coded(graph, 4)
    rows = np.array([3, 0])
    want = direct(data.train.x[rows].reshape(2, 1, 8, 8), 4, bits=4)
    assert np.array_equal(coded.spikes(rows), want)
    with Trainer(graph, steps=4, seed=1) as trainer:
        trainer.fit(coded, 2)
        assert trainer.score(data.test.coded(graph, 4)) > 0.6


def test_counts_of_a_file(tmp_path):
    """Stay what they are; a network of fewer bits is told."""
    path = tmp_path / "events.npz"
    counts = np.random.default_rng(0).integers(0, 6, (10, 3, 2, 2))
    np.savez(path, spikes=counts, y=np.arange(10) % 2)
    data = load(path)
    assert data.train.x.max() == 5
    graph = Sequential(Input((1, 2, 2), bits=3, fraction=0), Dense(2))
    data.check_fits(graph, 3)
    assert (
        data.train.coded(graph, 3).spikes(np.arange(2)).reshape(2, 3, 4) == data.train.x[:2]
    ).all()
    with pytest.raises(UserError, match=r"has counts up to 5, must have them up to 3, as the net"):
        data.check_fits(Sequential(Input((1, 2, 2), bits=2), Dense(2)), 3)


def test_a_network_file():
    """An input's bits; a hidden population has none."""
    x = {"name": "x", "shape": [1, 2, 2], "role": "input", "bits": 3, "fraction": 1}
    y = {"name": "y", "shape": 2, "role": "readout"}
    connections = [{"source": "x", "target": "y"}]
    graph = parse_network({"population": [x, y], "connection": connections})
    assert (graph.populations[0].bits, graph.populations[0].fraction) == (3, 1)
    with pytest.raises(UserError, match=r"population 1 \(y\) has 'bits', must have only"):
        parse_network({"population": [x, y | {"bits": 3}], "connection": connections})
