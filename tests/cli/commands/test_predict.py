"""The command `predict`: classes and logits of samples, on every backend the same."""

import json

import numpy as np
import pytest

from backspike.cli.main import main
from backspike.train.data import load

TRAIN = "train --backend golden --layers 64,8,10 --steps 2 --limit 40 --epochs 1 --save run"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(TRAIN) == 0


def run(text: str) -> int:
    return main(text.split())


def predicted(capsys, text: str) -> dict:
    capsys.readouterr()
    assert run(f"predict run {text} --json -") == 0
    return json.loads(capsys.readouterr().out)


def test_labels_classes_and_logits(capsys):
    """Of the samples that the checkpoint was tested with, as evaluate counts them."""
    found = predicted(capsys, "")
    assert run("evaluate run --json -") == 0
    assert found["accuracy"] == json.loads(capsys.readouterr().out)["accuracy"]["test"]
    assert [s["label"] for s in found["samples"]] == load("digits").test.y[:40].tolist()
    for sample in found["samples"]:
        assert len(sample["logits"]) == 10
        assert sample["predicted"] == sample["logits"].index(max(sample["logits"]))
    confusion = np.array(found["confusion"])
    assert confusion.sum() == 40
    assert confusion.trace() == round(40 * found["accuracy"])
    assert (
        confusion.sum(1).tolist() == np.bincount(load("digits").test.y[:40], minlength=10).tolist()
    )
    assert (found["backend"], found["part"], found["data"]) == ("golden", "test", "digits")
    assert found["warnings"] == []
    train = predicted(capsys, "--part train --limit 30")
    assert [s["label"] for s in train["samples"]] == load("digits").train.y[:30].tolist()


@pytest.mark.verilator
def test_the_rtl_predicts_the_same(capsys):
    """Logits of the simulated core are golden's, and were compared."""
    golden = predicted(capsys, "--limit 20")
    rtl = predicted(capsys, "--limit 20 --backend rtl --machine tiny")
    assert rtl["samples"] == golden["samples"]
    assert rtl["check"]["values"] > 400
    assert rtl["check"]["mismatches"] == 0


def test_samples_without_labels(capsys):
    """All of x, in the file's order; no confusion matrix."""
    test = load("digits").test
    np.savez("mine.npz", x=test.x[:7] * 16)
    found = predicted(capsys, "--data mine.npz")
    want = predicted(capsys, "--limit 7")
    assert [s["logits"] for s in found["samples"]] == [s["logits"] for s in want["samples"]]
    assert (found["confusion"], found["accuracy"], found["part"]) == (None, None, None)
    assert {s["label"] for s in found["samples"]} == {None}
    assert len(predicted(capsys, "--data mine.npz --limit 3")["samples"]) == 3


def test_the_table(capsys):
    """A line a sample, the confusion matrix, the accuracy."""
    capsys.readouterr()
    assert run("predict run --limit 5") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["sample", "label", "predicted", "logits"]
    assert out[1].split()[0] == "0"
    assert len(out[1].split()) == 3 + 10
    assert out[7].split() == ["label", *map(str, range(10)), "predicted"]
    assert out[-1].startswith("accuracy ")
    assert out[-1].endswith("% of 5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predict none", "checkpoint none is not there"),
        ("predict run --part all", "part is 'all', must be test or train"),
        (
            "predict run --data wide.npz",
            "the network has 64 inputs, must have 65: data wide.npz has samples of 65",
        ),
        ("predict run --data mine.npz --limit 0", "limit is 0, must be a whole number from 1 up"),
        ("predict run --data nan.npz", "x[0, 3] in data nan.npz is nan, must be finite"),
        ("predict run --data none.npz", "data 'none.npz' is not there"),
        ("predict run --data y.npz", "data y.npz has the arrays ['y'], must have x and y"),
        ("predict run --data empty.npz", "x in data empty.npz has the shape (0, 64), must have 1"),
        ("predict run --json missing/\0", "embedded null byte"),
    ],
)
def test_bad_input(capsys, text, message):
    """One sentence, and exit code 2."""
    np.savez("mine.npz", x=np.ones((2, 64)))
    np.savez("wide.npz", x=np.ones((2, 65)))
    np.savez("nan.npz", x=np.where(np.arange(64) == 3, np.nan, 1.0)[None])
    np.savez("y.npz", y=np.arange(3))
    np.savez("empty.npz", x=np.ones((0, 64)))
    capsys.readouterr()
    assert run(text) == 2
    assert message in capsys.readouterr().err
