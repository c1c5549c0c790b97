"""Accuracy of golden, and of float32 on the same batches."""

from backspike.bench import accuracy
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.train.digits_run import batches, learning, network
from backspike.train.trainer import Trainer
from tests.support.bench_cases import SMALL


def test_float32_sees_the_batches_that_the_trainer_sees(few):
    """The same batches through golden give the trainer's weights."""
    golden = GoldenBackend(network("bptt", SMALL), learning(3))
    golden.load_weights(initial_weights(network("bptt", SMALL), 3))
    step = 0
    for epoch in range(2):
        for batch in batches(few.train, learning(3), epoch):
            logits = golden.forward(batch.spikes, batch.labels)
            golden.update(cross_entropy_error(logits, batch.labels), step)
            step += 1
    with Trainer(network("bptt", SMALL), learning=learning(3)) as trainer:
        trainer.train(few, 2)
        want = trainer.backend.weights()
    assert all((a == b).all() for a, b in zip(golden.weights(), want, strict=True))


def test_accuracy_is_a_mean_and_its_distance(monkeypatch, few):
    """Accuracy is the mean over seeds, and its distance to float32 is in points."""
    monkeypatch.setattr(accuracy, "golden", lambda data, rule, seed, epochs: 0.9 + seed / 100)
    monkeypatch.setattr(accuracy, "float32", lambda data, rule, seed, epochs: 0.93)
    figures = accuracy.figures(few, seeds=(4, 8), epochs=1)
    values = [(figure.figure, round(float(figure.value or 0), 6), figure.met) for figure in figures]
    assert values[:2] == [
        ("test accuracy, bptt, %", 96.0, True),
        ("distance to float32, bptt, points", 3.0, False),
    ]
    assert [name.split(", ")[1] for name, _, _ in values] == ["bptt", "bptt", "mpd-ed", "mpd-ed"]


def test_float32_learns(few):
    """The float32 baseline gains more than 20 points of accuracy in 3 epochs."""
    untrained = accuracy.float32(few, "bptt", 0, 0)
    assert accuracy.float32(few, "bptt", 0, 3) > untrained + 0.2
