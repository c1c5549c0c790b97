"""The golden backend of any graph: what it takes, hands out, refuses; and that it learns."""

import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits, random_halves, to_bits
from backspike.golden.hash import draw
from backspike.golden.loss import cross_entropy_error
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle
from backspike.train.coding import rate_code
from tests.support.rational_graph import Batch


def dense(name: str, source: str, target: str, **options) -> Connection:
    return Connection(name=name, source=source, target=target, kind=Dense(), **options)


def network(inputs: int, hidden: int, outputs: int, neuron: LIF) -> Graph:
    """x -> h, which listens to itself -> y and, one to one, through k -> z, which spikes."""
    return Graph(
        (
            Population("x", (inputs,), role="input"),
            Population("h", (hidden,), neuron),
            Population("k", (hidden,), LIF(leak=0.5)),
            Population("y", (outputs,), role="readout"),
            Population("z", (2,), LIF(reset="soft"), role="readout"),
        ),
        (
            Connection(name="in", source="x", target="h", kind=Dense(bias=True)),
            dense("again", "h", "h", delay=1),
            dense("out", "h", "y"),
            Connection(name="skip", source="h", target="k", kind=Identity(1.5)),
            dense("side", "k", "z", frozen=True),
        ),
    )


NET = network(4, 5, 3, CubaLIF(leak=0.7, synapse=0.3, surrogate=rectangle(2.0)))


def random_weights(g: torch.Generator) -> dict[str, np.ndarray]:
    return {n: to_bits(torch.randn(s, generator=g).double().half()) for n, s in NET.shapes.items()}


def random_spikes(g: torch.Generator, samples: int, steps: int) -> dict[str, np.ndarray]:
    return {"x": torch.randint(0, 2, (samples, steps, 4), generator=g).numpy().astype(np.uint8)}


def random_errors(g: torch.Generator, samples: int, steps: int) -> dict[str, np.ndarray]:
    return {n: to_bits(random_halves((samples, steps, s), g)) for n, s in (("y", 3), ("z", 2))}


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_batches_are_exact(rounding):
    """Every tensor equals exact rationals', over batches of other sizes, one of which goes on."""
    g = torch.Generator().manual_seed(6)
    learning = Learning(batch=3, rate=0.125, rounding=rounding, seed=77)
    backend = GoldenBackend(NET, learning)
    backend.load_weights(random_weights(g))
    want = None
    for step, (samples, steps, go_on) in enumerate([(3, 4, False), (3, 1, True), (2, 5, False)]):
        inputs, errors = random_spikes(g, samples, steps), random_errors(g, samples, steps)
        before = {name: w.tolist() for name, w in backend.weights().items()}
        want = Batch(NET, before, {"x": inputs["x"].tolist()}, want if go_on else None)
        want.backward({name: e.tolist() for name, e in errors.items()})

        def draws(name: str, step=step) -> list:
            return draw(77, step, list(NET.shapes).index(name), *NET.shapes[name]).tolist()

        updated = want.update(learning.rate, draws if rounding == "stochastic" else None)
        logits = backend.forward(inputs, go_on=go_on)
        backend.update(errors, step)
        tensors = backend.forward_tensors() | backend.update_tensors()
        for name in ("y", "z"):
            assert logits[name].tolist() == want.logits[name] == tensors[f"logits.{name}"].tolist()
        for name in ("h", "k", "z"):
            assert tensors[f"spikes.{name}"].tolist() == want.spikes[name]
            assert tensors[f"codes.{name}"].tolist() == want.codes[name]
        for name in ("h", "k", "y", "z"):
            assert tensors[f"gradients.{name}"].tolist() == want.gradients[name]
        assert list(updated) == ["in", "again", "out"]
        new = {name: w.tolist() for name, w in backend.weights().items()}
        assert new == updated | {"side": before["side"]}
        assert new != before
        assert len(tensors) == 2 + 6 + 4 + 4


def test_digits_row_by_row_are_learnt():
    """Each of 8 rows for two steps: what is left of the first rows at the end, recurrence holds."""
    x, y = load_digits(return_X_y=True)
    x, y = np.asarray(x).reshape(-1, 8, 8) / 16, np.asarray(y)
    spikes = np.concatenate([rate_code(x[:, row], 2) for row in range(8)], 1)  # (samples, 16, 8)
    graph = Graph(
        (
            Population("x", (8,), role="input"),
            Population("h", (48,), LIF(leak=0.9, surrogate=rectangle(2.0))),
            Population("y", (10,), role="readout"),
        ),
        (dense("in", "x", "h"), dense("again", "h", "h", delay=1), dense("out", "h", "y")),
    )
    g = torch.Generator().manual_seed(1)
    backend = GoldenBackend(graph, Learning(batch=16, rate=2.0**-6))
    gains = {"in": 1.5, "again": 0.5, "out": 0.5}
    backend.load_weights(
        {
            n: to_bits((gains[n] * torch.randn(s, generator=g) / s[0] ** 0.5).half().double())
            for n, s in graph.shapes.items()
        }
    )
    for step, start in enumerate(range(0, 1440, 16)):
        rows = slice(start, start + 16)
        logits = backend.forward({"x": spikes[rows]})["y"]
        errors = np.zeros_like(logits)
        errors[:, -1] = cross_entropy_error(logits[:, -1], y[rows])
        backend.update({"y": errors}, step)
    right = 0
    for start in range(1440, 1792, 16):
        logits = from_bits(backend.forward({"x": spikes[start : start + 16]})["y"][:, -1])
        right += int((logits.argmax(1).numpy() == y[start : start + 16]).sum())
    assert right / 352 > 0.4  # one epoch; chance is 0.1
    assert not backend.saturated()


GOOD = {"x": np.zeros((2, 3, 4), np.uint8)}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs are of [], must be of ['x']"),
        (GOOD | {"h": GOOD["x"]}, "inputs are of ['h', 'x'], must be of ['x']"),
        ({"x": [[[0]]]}, "input x is a list, must be an array of uint8"),
        ({"x": np.zeros((2, 3, 4))}, "input x is of float64, must be an array of uint8"),
        (
            {"x": np.zeros((4, 3, 4), np.uint8)},
            "input x has the shape (4, 3, 4), must have (1",
        ),
        ({"x": np.zeros((2, 0, 4), np.uint8)}, "input x has the shape (2, 0, 4), must have"),
        ({"x": np.zeros((2, 3, 5), np.uint8)}, "input x has the shape (2, 3, 5), must have"),
        ({"x": np.full((2, 3, 4), 2, np.uint8)}, "input x has numbers up to 2, must have 0 and 1"),
    ],
)
def test_wrong_inputs_are_refused(inputs, message):
    """By name, before anything is computed."""
    with pytest.raises(UserError, match=re.escape(message)):
        GoldenBackend(NET, Learning(batch=3)).forward(inputs)


def test_what_else_is_refused():
    """Weights and errors of other names or shapes, another batch that goes on, no batch at all."""
    backend = GoldenBackend(NET, Learning(batch=3))
    with pytest.raises(RuntimeError, match="update without a forward"):
        backend.update({}, 0)
    with pytest.raises(UserError, match=r"weights are of \['in'\], must be of \['again', 'in', "):
        backend.load_weights({"in": np.zeros((5, 5), np.uint16)})
    weights = backend.weights() | {"out": np.zeros((5, 4), np.uint16)}
    with pytest.raises(UserError, match=r"weights of out has the shape \(5, 4\), must have \(5, 3"):
        backend.load_weights(weights)
    backend.forward(GOOD)
    with pytest.raises(UserError, match=r"errors are of \['y'\], must be of \['y', 'z'\]"):
        backend.update({"y": np.zeros((2, 3, 3), np.uint16)}, 0)
    errors = {"y": np.zeros((2, 1, 3), np.uint16), "z": np.zeros((2, 3, 2), np.uint16)}
    with pytest.raises(UserError, match=r"errors of y has the shape \(2, 1, 3\), must have \(2, 3"):
        backend.update(errors, 0)
    with pytest.raises(UserError, match="step is -1, must be"):
        backend.update(errors | {"y": np.zeros((2, 3, 3), np.uint16)}, -1)
    with pytest.raises(UserError, match="the batch has 1 samples, must have 2, as the one that it"):
        backend.forward({"x": GOOD["x"][:1]}, go_on=True)


def test_two_inputs_have_the_same_samples_and_steps():
    """The message names both."""
    both = Graph(
        (
            Population("a", (4,), role="input"),
            Population("b", (4,), role="input"),
            Population("y", (2,), role="readout"),
        ),
        (dense("c", "a", "y"), dense("d", "b", "y")),
    )
    backend = GoldenBackend(both, Learning(batch=3))
    with pytest.raises(UserError, match=r"b has \(2, 2\) samples and steps, must have \(2, 3\)"):
        backend.forward({"a": GOOD["x"], "b": GOOD["x"][:, :2]})
