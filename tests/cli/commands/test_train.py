"""`backspike train`: layers that fit the data; what contradicts a checkpoint, in plain words."""

import json
from pathlib import Path

import numpy as np
import pytest

from backspike.cli.main import main
from backspike.train.checkpoint import load_checkpoint
from backspike.train.graph_json import graph_to_json
from backspike.train.network_file import surrogate_of

SMALL = "train --backend golden --layers 64,8,10 --steps 1"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(text: str) -> int:
    return main(text.split())


def test_a_limit_beside_a_checkpoint_without_one(capsys):
    """It is to be left out, as it was."""
    assert run(f"{SMALL} --epochs 1 --batch 256 --save c") == 0
    assert run("train --resume c --epochs 2 --limit 3") == 2
    sentence = "backspike: limit is 3, must be left out, as in the checkpoint c\n"
    assert capsys.readouterr().err.endswith(sentence)


@pytest.mark.parametrize("kept", ["rectangle:1", "arctan:3"])
def test_a_surrogate_of_another_parameter(capsys, kept):
    """What it must be is said as the table that it is."""
    assert run(f"{SMALL} --limit 8 --epochs 1 --surrogate {kept} --save c") == 0
    assert run("train --resume c --epochs 2 --surrogate rectangle:2") == 2
    table = surrogate_of(kept)
    assert capsys.readouterr().err.endswith(
        f"surrogate is rectangle:2, must be the {table.name} with edges {table.edges} and values "
        f"{table.values}, as in the checkpoint c\n"
    )
    assert run(f"train --resume c --epochs 2 --surrogate {kept}") == 0


def test_layers_that_are_left_open_fit_the_data(capsys):
    """An input a number of a sample, 128 hidden neurons, an output a class."""
    rng = np.random.default_rng(1)
    np.savez("mine.npz", x=rng.random((30, 3, 4)), y=np.arange(30) % 3)
    assert run("train --backend golden --data mine.npz --epochs 1 --json - --save c") == 0
    assert json.loads(capsys.readouterr().out)["layers"] == [12, 128, 3]
    assert run("train --resume c --epochs 2") == 0
    assert run("train --backend golden --data mine.npz --epochs 1 --layers 12,5,4") == 0
    assert run("train --backend golden --data mine.npz --epochs 1 --layers 64,5,4") == 2
    assert "the network has 64 inputs, must have 12" in capsys.readouterr().err


def test_an_empty_name(capsys):
    """It is not taken for the folder that one is in."""
    assert run("train --resume=") == 2
    assert capsys.readouterr().err == "backspike: checkpoint is '', must be the name of a file\n"


def test_a_threshold_rate_goes_on(capsys):
    """Thresholds are in the checkpoint, and their rate; other ones are refused."""
    adaptive = f"{SMALL} --limit 64 --threshold-rate 0.2"
    assert run(f"{adaptive} --epochs 2 --save whole --json whole.json") == 0
    assert run(f"{adaptive} --epochs 1 --save c") == 0
    capsys.readouterr()
    for option, message in (
        ("--threshold-rate 0.3", "threshold-rate is 0.3, must be 0.2, as in the checkpoint c"),
        ("--threshold 1", "threshold is 1.0, must be left out, as in the checkpoint c"),
    ):
        assert run(f"train --resume c --epochs 2 {option}") == 2
        assert message in capsys.readouterr().err
    assert run("train --resume c --epochs 2 --threshold-rate 0.2 --save c --json c.json") == 0
    whole, resumed = (load_checkpoint(name) for name in ("whole", "c"))
    assert whole.graph == resumed.graph
    assert all((w == resumed.weights[name]).all() for name, w in whole.weights.items())
    found = json.loads(Path("c.json").read_text())["network"]["populations"][1]["neuron"]
    kept = graph_to_json(whole.graph)["populations"][1]["neuron"]
    assert found["threshold"] == kept["threshold"] != 1
    assert run(f"{SMALL} --threshold-rate 1") == 2
    assert "threshold rate is 1.0, must be more than 0" in capsys.readouterr().err


def test_a_network_file_whose_thresholds_adapt(capsys):
    """It may be given again beside its checkpoint; another network may not."""
    text = """
[[population]]
name = "x"
shape = 64
role = "input"
[[population]]
name = "h"
shape = 8
neuron = "LIF"
[[population]]
name = "y"
shape = 10
role = "readout"
[[connection]]
source = "x"
target = "h"
[[connection]]
source = "h"
target = "y"
"""
    Path("a.toml").write_text(text)
    Path("b.toml").write_text(text.replace("shape = 8", "shape = 9"))
    begin = "train --backend golden --steps 1 --limit 64 --threshold-rate 0.2"
    assert run(f"{begin} --network a.toml --epochs 1 --save c") == 0
    assert run("train --resume c --epochs 2 --network b.toml") == 2
    assert "network b.toml is not that of the checkpoint c" in capsys.readouterr().err
    assert run("train --resume c --epochs 2 --network a.toml") == 0


def test_a_falling_rate(capsys):
    """It falls to 0 in the epochs that were asked for, and a run does not go on beyond them."""
    begin = f"{SMALL} --limit 40 --falling"
    assert run(f"{begin} --epochs 2 --save c") == 0
    assert load_checkpoint("c").optimizer["values"]["falling"] == 6
    assert run(f"{SMALL} --limit 40 --epochs 1 --save d") == 0
    capsys.readouterr()
    for text, message in (
        ("train --resume c --epochs 3", "epochs is 3, must be up to 2: the rate falls to 0"),
        ("train --resume d --epochs 2 --falling", "falling is given, must be left out, as in"),
        (f"{begin} --optimizer adam", "falling is given beside optimizer adam, must be beside"),
    ):
        assert run(text) == 2
        assert message in capsys.readouterr().err
