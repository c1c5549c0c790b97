"""Networks from files and lines of text, and spikes as data, through the commands."""

import json

import numpy as np
import pytest

from backspike.cli.main import main
from backspike.train.checkpoint import load_checkpoint

NETWORK = """
[[population]]
name = "x"
shape = [1, 2, 3]
role = "input"

[[population]]
name = "h"
shape = 8
neuron = "CubaLIF"

[[population]]
name = "y"
shape = 2
role = "readout"

[[connection]]
source = "x"
target = "h"
bias = true

[[connection]]
source = "h"
target = "h"
delay = 1

[[connection]]
source = "h"
target = "y"
"""
TRAIN = "train --network net.toml --data spikes.npz --batch 8 --optimizer adam --rate 2^-5"


@pytest.fixture(autouse=True)
def _in_a_folder_with_files(tmp_path, monkeypatch):
    """Spikes that tell their class: each class has its own half of the inputs."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    shares = np.where(labels[:, None] == np.arange(6) // 3, 0.7, 0.1)
    spikes = rng.random((60, 5, 6)) < shares[:, None]
    np.savez("spikes.npz", spikes=spikes, y=labels)
    np.savez("alone.npz", spikes=spikes[:3])
    (tmp_path / "net.toml").write_text(NETWORK)


def run(text: str) -> int:
    return main(text.split())


def result(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_train_evaluate_and_predict(capsys):
    """A network of a file learns spikes of a file; T is the data's, and so is the input's shape."""
    assert run(f"{TRAIN} --backend golden --epochs 15 --save c --json -") == 0
    trained = result(capsys)
    assert (trained["steps"], trained["layers"]) == (5, [6, 8, 2])
    assert trained["accuracy"]["test"] > 0.9
    assert trained["history"][-1]["test"] == trained["accuracy"]["test"]
    assert set(trained["populations"]) == {"x", "h", "y"}
    assert trained["populations"]["x"]["density"]["spikes"] == pytest.approx(0.4, abs=0.05)
    assert run("evaluate c --json -") == 0
    assert result(capsys)["accuracy"] == trained["accuracy"]
    assert run("predict c --json -") == 0
    predicted = result(capsys)
    assert np.trace(predicted["confusion"]) == trained["accuracy"]["test"] * 12
    assert run("predict c --data alone.npz --json -") == 0
    assert [s["predicted"] for s in result(capsys)["samples"]] == [0, 1, 0]
    assert run("train --resume c --network net.toml --epochs 16") == 0
    assert "1x2x3-8r-2, 5 steps" in capsys.readouterr().out


def test_a_resumed_network_is_the_same(capsys):
    """Another file is refused."""
    assert run(f"{TRAIN} --backend golden --epochs 1 --save c") == 0
    with open("net.toml", "a") as file:
        file.write("frozen = true\n")
    capsys.readouterr()
    assert run("train --resume c --network net.toml --epochs 2") == 2
    assert "network net.toml is not that of the checkpoint c" in capsys.readouterr().err
    assert run("train --resume c --loss ce-every --epochs 2") == 2
    assert "loss is ce-every, must be ce, as in the checkpoint c" in capsys.readouterr().err
    assert run("train --resume c --optimizer sgd --epochs 2") == 2
    assert "optimizer is sgd, must be adam, as in the checkpoint c" in capsys.readouterr().err
    assert run("train --resume c --optimizer adam --rate 2^-5 --epochs 2") == 0


def test_planes(capsys):
    """Trained, resumed and predicted on golden; refused on a machine without windows."""
    layers = "--layers 1x8x8,4c3s2,4c3,+,a2,10"
    train = f"train {layers} --limit 40 --epochs 1 --gain 2.8 --seed 1"
    assert run(f"{train} --backend golden --save c --json one") == 0
    assert "1x8x8-4c3s2-4c3-+-a2-10, 4 steps" in capsys.readouterr().out
    again = "train --resume c --layers 1x8x8,4c3s2p1,4c3,+,a2,10 --epochs 2"
    assert run(again) == 0
    assert run("predict c --json -") == 0
    capsys.readouterr()
    assert run(f"{again} --layers 1x8x8,4c3s2,4c3,a2,10") == 2
    assert "layers is 1x8x8,4c3s2,4c3,a2,10, must be 1x8x8,4c3s2" in capsys.readouterr().err
    assert run(f"{again} --gain 2") == 2
    assert "gain is 2.0 beside --resume, must be left out" in capsys.readouterr().err
    assert run(f"{train} --backend rtl --machine default") == 2
    assert "machine 'default' has no table of windows, must have one" in capsys.readouterr().err
    for gain in ("0", "-1"):
        assert run(f"train {layers} --backend golden --gain={gain}") == 2
        assert "must be a positive number" in capsys.readouterr().err


def test_a_trainers_own_checkpoint(capsys):
    """Without a command's notes it is evaluated on data that are given, and not resumed."""
    assert run(f"{TRAIN} --backend golden --epochs 1 --save c") == 0
    saved = load_checkpoint("c")
    saved.notes.clear()
    saved.save("d")
    capsys.readouterr()
    for command in ("evaluate d", "predict d"):
        assert run(command) == 2
        assert (
            "data is not given, must be: the checkpoint d names no data" in capsys.readouterr().err
        )
        assert run(f"{command} --data spikes.npz") == 0
    assert run("train --resume d --epochs 2") == 2
    assert "the checkpoint d says nothing of data" in capsys.readouterr().err


def test_steps_are_the_datas(capsys):
    """Others are refused; pixels take any."""
    assert run(f"{TRAIN} --backend golden --steps 4") == 2
    assert "steps is 4, must be 5: data spikes.npz has them" in capsys.readouterr().err


def test_compile_shows_any_network(capsys):
    """By population; logits of every step need more read-out memory."""
    needs = {}
    for loss in ("ce", "ce-every"):
        assert run(f"compile --network net.toml --steps 20 --loss {loss} --json -") == 0
        uses = {use["memory"]: use["needs"] for use in result(capsys)["uses"]}
        needs[loss] = uses["read-out memory"]
    assert needs["ce-every"] > needs["ce"]
    assert run("compile --layers 64,64r,10") == 0
    assert "64-64r-10 on default" in capsys.readouterr().out


@pytest.mark.verilator
def test_the_rtl_trains_it(capsys):
    """A recurrent CUBA network, Adam on the host: 0 mismatches, and golden's weights."""
    weights = []
    for backend in ("golden", "rtl"):
        options = f"--backend {backend} --machine tiny --epochs 1 --limit 24 --save {backend}"
        assert run(f"{TRAIN} {options} --json -") == 0
        found = result(capsys)
        weights.append(load_checkpoint(backend).weights)
    assert found["check"]["values"] > 5_000
    assert found["check"]["mismatches"] == 0
    assert found["populations"]["h"]["compared"] > 3_000
    assert found["cycles"]["total"] > 0
    batches = 3  # of 8 samples
    for engine in ("fp", "bp", "wg"):
        predicted = sum(found["populations"][name]["cycles"][engine] for name in ("h", "y"))
        assert batches * predicted == pytest.approx(found["cycles"][engine]["busy"], rel=0.15)
    assert found["populations"]["x"]["cycles"] is None
    assert all((weights[0][name] == w).all() for name, w in weights[1].items())


def test_several_read_outs_learn_the_same_labels(capsys, tmp_path):
    """A file's read-outs each have the loss; what is predicted is the first one's."""
    more = NETWORK + '\n[[connection]]\nsource = "h"\ntarget = "z"\n'
    second = '[[population]]\nname = "z"\nshape = 3\nrole = "readout"\nneuron = "LIF"\n\n'
    (tmp_path / "net.toml").write_text(second + more)
    assert run(f"{TRAIN} --backend golden --epochs 2 --save c --json -") == 0
    trained = result(capsys)
    assert set(trained["history"][0]["readouts"]) == {"y", "z"}
    assert trained["loss"] == "ce"
    assert run("predict c --json -") == 0
    assert len(result(capsys)["samples"][0]["logits"]) == 3  # of z, which comes first
    assert run("compile --network net.toml --steps 5") == 0
