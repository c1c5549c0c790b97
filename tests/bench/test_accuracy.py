"""Accuracy on digits: what is trained, and what becomes of it."""

import pytest

from backspike.bench import accuracy, learning
from backspike.ir.surrogate import rectangle
from backspike.train.optimizers import SGD


@pytest.mark.parametrize(("rule", "width"), [("bptt", 1.0), ("mpd-ed", 2.0)])
def test_it_is_the_network_of_train(few, rule, width):
    """Sizes, rule, surrogate, rate and steps are those of `backspike train`."""
    case = accuracy.case(few, rule)
    assert list(case.graph.shapes.values()) == [(64, 128), (128, 10)]
    (hidden,) = (p.neuron for p in case.graph.populations if p.neuron is not None)
    assert (hidden.rule, hidden.surrogate, hidden.leak) == (rule, rectangle(width), 0.75)
    assert case.optimizer == SGD(2.0**-6)
    assert case.train[0].shape == (96, 4, 64)
    assert (case.test[1] == few.test.y).all()


def test_both_rules_are_measured(monkeypatch, few):
    """Two figures of each rule, with the goals of digits."""
    monkeypatch.setattr(learning, "halves", lambda case, seed: 96.0)
    monkeypatch.setattr(learning, "float32", lambda case, seed: 99.0)
    figures = accuracy.figures(few, seeds=(4, 8), epochs=1)
    assert [(f.figure, f.value, f.met) for f in figures] == [
        ("test accuracy, bptt, %", 96.0, True),
        ("distance to float32, bptt, points", 3.0, False),
        ("test accuracy, mpd-ed, %", 96.0, True),
        ("distance to float32, mpd-ed, points", 3.0, False),
    ]
