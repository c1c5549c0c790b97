"""MNIST beside float32: what is trained."""

from backspike.bench import learning, mnist
from backspike.train.data import mnist5k


def test_both_rules_are_measured_on_mnist(monkeypatch):
    """784-128-10 with eight steps, 4,000 to train and 1,000 to test, of both rules."""
    seen = []
    monkeypatch.setattr(learning, "halves", lambda case, seed: seen.append(case) or 93.0)
    monkeypatch.setattr(learning, "float32", lambda case, seed: 93.25)
    figures = mnist.figures(mnist5k(), seeds=(1,), epochs=2)
    assert [(f.figure, f.value, f.met) for f in figures] == [
        ("test accuracy, mnist bptt, %", 93.0, True),
        ("distance to float32, mnist bptt, points", 0.25, True),
        ("test accuracy, mnist mpd-ed, %", 93.0, True),
        ("distance to float32, mnist mpd-ed, points", 0.25, True),
    ]
    for case in seen:
        assert list(case.graph.shapes.values()) == [(784, 128), (128, 10)]
        assert case.train[0].shape == (4000, 8, 784)
        assert case.test[0].shape == (1000, 8, 784)
        assert case.epochs == 2
