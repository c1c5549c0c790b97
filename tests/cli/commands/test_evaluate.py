"""`backspike evaluate`: where it computes, and what its JSON says."""

import json
from dataclasses import replace

import pytest

from backspike.cli.main import main
from backspike.train.checkpoint import load_checkpoint

SMALL = "train --backend golden --layers 64,8,10 --steps 1 --limit 24 --epochs 2 --save c"
SAME = ("saturated", "saturated_batch", "diverged", "diverged_batch", "accuracy")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Run a command; the JSON on stdout (or None), and stderr."""

    def run(text: str) -> tuple[dict, str]:
        assert main(text.split()) == 0
        out, err = capsys.readouterr()
        return json.loads(out) if "--json -" in text else {}, err

    return run


def test_it_computes_where_the_checkpoint_was_trained(run):
    """Backend and machine of the checkpoint, which is said; options stand over them."""
    run(f"{SMALL} --machine tiny")
    result, err = run("evaluate c --json -")
    assert (result["backend"], result["machine"]) == ("golden", "tiny")
    assert err == "evaluating c on backend golden\n"
    assert run("evaluate c --machine wide --json -")[0]["machine"] == "wide"
    replace(load_checkpoint("c"), backend="rtl").save("d")
    assert run("evaluate d --backend golden --json -")[0]["backend"] == "golden"


@pytest.mark.verilator
def test_on_the_rtl_if_the_checkpoint_was(run):
    """Every tensor is compared, as when training."""
    run(f"{SMALL} --machine tiny")
    replace(load_checkpoint("c"), backend="rtl").save("d")
    result, err = run("evaluate d --json -")
    assert (result["backend"], result["machine"]) == ("rtl", "tiny")
    assert err.startswith("evaluating d on backend rtl, machine tiny\n")
    assert result["check"]["tensors"] > 0


def test_a_checkpoint_that_names_neither(capsys, monkeypatch, run):
    """As of format 1: rtl and default, like a run without options."""
    made = []

    def make(name, network, learning, machine, **_):
        made.append((name, machine.name))
        raise KeyboardInterrupt

    run(SMALL)
    replace(load_checkpoint("c"), backend=None, machine=None).save("d")
    monkeypatch.setattr("backspike.train.stepper.make_backend", make)
    assert main(["evaluate", "d"]) == 130
    assert made == [("rtl", "default")]


def test_the_json_says_what_that_of_the_training_says(run):
    """Of a run that saturated and diverged, and of a good one."""
    for options, bad in (("--rate 1024", True), ("", False)):
        trained, _ = run(f"{SMALL} {options} --json -")
        evaluated, err = run("evaluate c --json -")
        assert trained["diverged"] is bad
        assert {name: evaluated[name] for name in SAME} == {name: trained[name] for name in SAME}
        assert ("warning: the training has diverged" in err) is bad
        assert len(evaluated["warnings"]) == err.count("backspike: warning: ")


def test_a_wrong_option_before_a_missing_file(capsys):
    """Options are looked at first; an empty name is not the folder that one is in."""
    for text, message in (
        ("none --backend gpu", "backend is 'gpu', must be golden"),
        ("none --machine huge", "machine is 'huge', must be one of"),
        ("none", "checkpoint none is not there"),
    ):
        assert main(["evaluate", *text.split()]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", ""]) == 2
    assert capsys.readouterr().err == "backspike: checkpoint is '', must be the name of a file\n"
