"""Accuracy of halves and of float32 on the same batches."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from backspike.bench import accuracy, learning
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits, to_bits
from backspike.golden.reference import Reference
from backspike.ir.learning import Learning
from backspike.train.losses import Criterion
from backspike.train.optimizers import SGD, Momentum
from backspike.train.trainer import Trainer


@pytest.fixture
def case(few):
    """Digits, a few, for two epochs; 95 samples, so that the last batch is a sample short."""
    found = accuracy.case(few, "bptt", epochs=2)
    return replace(found, train=tuple(x[:95] for x in found.train))


def test_float32_sees_the_batches_that_the_trainer_sees(monkeypatch, case):
    """What float32 is trained on gives, through golden, the trainer's weights, bit for bit."""
    seen = []

    class Recorder(Reference):
        def train_batch(self, inputs, loss):
            seen.append((inputs, loss))
            return super().train_batch(inputs, loss)

    monkeypatch.setattr(learning, "Reference", Recorder)
    learning.float32(case, 3)
    golden = GoldenBackend(case.graph, Learning(rate=case.optimizer.rate, seed=3))
    golden.load_weights(learning.initial_weights(case.graph, 3))
    criterion = Criterion(case.graph, case.loss)
    for step, (inputs, loss) in enumerate(seen):
        logits = golden.forward(inputs)
        # The gradient of the loss that float32 has, rounded once, is the error that golden gets.
        leaf = from_bits(logits["readout"]).requires_grad_()
        loss({"readout": leaf}).backward()
        assert leaf.grad is not None
        labels = labels_of(case, inputs)
        errors = criterion.errors(logits, {"readout": labels})
        assert (from_bits(errors["readout"]) - leaf.grad).abs().max() < 2.0**-11
        golden.update(errors, step)
    with Trainer(case.graph, optimizer=case.optimizer, seed=3) as trainer:
        trainer.fit(case.train, 2)
        for name, w in golden.weights().items():
            got = to_bits(torch.from_numpy(trainer.weights[name].T.copy()))
            assert (w == got).all(), name


def labels_of(case, inputs) -> np.ndarray:
    """Of samples, found by their spikes."""
    spikes, labels = case.train
    rows = {x.tobytes(): y for x, y in zip(spikes, labels, strict=True)}
    return np.array([rows[x.tobytes()] for x in inputs["input"]])


def test_both_learn(case):
    """Either gains more than 20 points in three epochs, of core's and of PyTorch's optimizers."""
    for optimizer in (case.optimizer, partial(torch.optim.Adam, lr=3e-3)):
        for accuracy_of in (learning.halves, learning.float32):
            first = accuracy_of(replace(case, epochs=1, optimizer=SGD(2.0**-24)), 0)
            assert accuracy_of(replace(case, epochs=3, optimizer=optimizer), 0) > first + 20


def test_in_torch_a_step_is_the_cores():
    """SGD and Momentum of PyTorch's take the core's steps, twice."""
    for optimizer in (SGD(0.25), Momentum(0.25, 0.5)):
        w = torch.nn.Parameter(torch.ones(1))
        made = learning.in_torch(optimizer)([w])
        for _ in range(2):
            w.grad = torch.ones(1)
            made.step()
        m = 1.5 if isinstance(optimizer, Momentum) else 1.0
        assert w.item() == 1 - 0.25 * (1 + m)


def test_figures_are_of_means(monkeypatch, case):
    """Accuracy is the mean over seeds, and its distance to float32's mean is in points."""
    monkeypatch.setattr(learning, "halves", lambda case, seed: 90 + seed)
    monkeypatch.setattr(learning, "float32", lambda case, seed: 93 + seed / 2)
    found = learning.compared("some", case, (4, 8), 95, 1.5, "a network")
    assert [(f.figure, f.value, f.met) for f in found] == [
        ("test accuracy, some, %", 96, True),
        ("distance to float32, some, points", 0, True),
    ]
    assert "94.00, 98.00" in found[0].how
    assert "95.00, 97.00; mean 96.00" in found[1].how


def test_the_rate_falls_to_nothing():
    """Its steps are Adam's at 4/4, 3/4, ... of the rate, and at 0 after as many steps."""
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    falling, plain = learning.Falling(weights[:1], lr=0.5, steps=4), torch.optim.Adam(weights[1:])
    for n in range(6):
        plain.param_groups[0]["lr"] = 0.5 * max(0, 4 - n) / 4
        before = weights[0].detach().clone()
        for w, optimizer in zip(weights, (falling, plain), strict=True):
            w.grad = torch.tensor([1.0, -2.0, float(n)])
            optimizer.step()
        assert torch.equal(*weights)
        assert torch.equal(before, weights[0]) == (n >= 4)


def test_the_rate_falls_over_all_batches():
    """97 samples are seven batches an epoch."""
    assert learning.falling(1.0, 3, 97).keywords == {"lr": 1.0, "steps": 21}
