"""The command line on the golden backend."""

import json
import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from backspike.cli.main import main
from backspike.cli.options import number
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.connection import Dense
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle
from backspike.train.checkpoint import load_checkpoint
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.plots import KINDS

OF_VERSION_0_1_0 = (
    "backend machine layers steps batch epochs rule loss seed accuracy check cycles density "
    "simulation saturated saturated_batch diverged diverged_batch warnings"
)
"""Names in the JSON of `train` that scripts rely on."""
SMALL = ["--backend", "golden", "--limit", "30", "--layers", "64,8,10", "--steps", "2"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stopped:  # from argparse
        return int(stopped.code or 0)


def test_train_json_to_stdout_and_nothing_else(capsys):
    """`train --json -` puts the result alone on stdout; epochs and table go to stderr."""
    assert run("train", *SMALL, "--epochs", "2", "--json", "-") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    expected = {"backend": "golden", "machine": "default", "layers": [64, 8, 10], "steps": 2}
    expected |= {"batch": 16, "epochs": 2, "rule": "bptt", "loss": "ce", "seed": 0}
    assert {name: result[name] for name in expected} == expected
    assert result["cycles"] is None
    assert set(OF_VERSION_0_1_0.split()) <= set(result)
    assert [(e["epoch"], *e) for e in result["history"]] == [
        (n, "epoch", "loss", "accuracy", "test") for n in (1, 2)
    ]
    assert (result["rate"], result["optimizer"]["type"]) == (2**-6, "SGD")
    assert result["data"]["name"] == "digits"
    assert (len(result["data"]["digest"]), result["data"]["limit"]) == (64, 30)
    assert result["parameters"]["lanes"] == MACHINES["default"].lanes
    assert set(result["versions"]) >= {"backspike", "torch", "numpy", "python"}
    models = {p["name"]: p["neuron"] for p in result["network"]["populations"]}
    assert models["input"] is models["readout"] is None
    assert models["hidden1"]["leak"] == 0.75
    assert set(result["populations"]["hidden1"]["density"]) == {"spikes", "gradients"}
    assert result["populations"]["hidden1"]["compared"] == 0
    assert "epoch 2/2: loss" in err
    assert "accuracy         train" in err


def test_train_table_and_files(capsys, tmp_path):
    """`train` prints its table and writes JSON, plots and checkpoint into new folders."""
    files = ["--json", "a/r.json", "--plots", "b/c", "--save", "d/run.safetensors"]
    assert run("train", *SMALL, "--epochs", "1", *files) == 0
    out = capsys.readouterr().out
    assert out.startswith("64-8-10, 2 steps, batch 16, bptt, ce, seed 0: 1 epoch on golden\n")
    accuracy = json.loads((tmp_path / "a/r.json").read_text())["accuracy"]
    assert f"train {accuracy['train']:.1%}, test {accuracy['test']:.1%}" in out
    drawn = [f"{name}.{kind}" for name in ("classes", "spikes", "training") for kind in KINDS]
    assert sorted(p.name for p in (tmp_path / "b/c").iterdir()) == drawn
    assert load_checkpoint(tmp_path / "d/run.safetensors").progress.updates == 2
    assert run("train", *SMALL, "--epochs", "1", "--plots", "b/c") == 2
    assert "plots b/c/training.png is there already" in capsys.readouterr().err
    assert run("train", *SMALL, "--epochs", "1", "--plots", "b/c", "--force") == 0


def test_options_reach_the_network():
    """Every option of `train` is found in the checkpoint's network and learning."""
    options = "--rule mpd-ed --no-temporal --leak 0.9 --threshold 0.7 --reset soft --bias --batch 5"
    options += " --loss mse --alpha 2^-1 --rounding stochastic --seed 3 --epochs 1 --save c"
    assert run("train", *SMALL, *options.split()) == 0
    kept = load_checkpoint(Path("c"))
    neuron = kept.graph.by_name["hidden1"].neuron
    assert neuron is not None
    assert (neuron.rule, neuron.temporal, neuron.reset) == ("mpd-ed", False, "soft")
    assert (neuron.leak, neuron.threshold) == (float(np.float16(0.9)), float(np.float16(0.7)))
    assert neuron.surrogate.edges == (-1, 1)  # of width 2, for this rule
    assert all(c.kind == Dense(bias=True) for c in kept.graph.connections)
    assert kept.losses == {"readout": MeanSquared(0.5)}
    assert kept.optimizer["values"] == {"rate": 2**-9, "rounding": "stochastic"}
    assert (kept.batch, kept.seed, kept.steps) == (5, 3, 2)


def test_other_neurons_losses_and_optimizers_reach_the_network():
    """A recurrent layer with a current of its own, an error in each step, Adam on the host."""
    options = "--layers 64,8r,10 --neuron CubaLIF --synapse 0.25 --loss ce-every --optimizer adam"
    small = ["--backend", "golden", "--limit", "30", "--steps", "2", "--epochs", "1"]
    assert run("train", *small, *options.split(), "--save", "c") == 0
    kept = load_checkpoint(Path("c"))
    assert kept.graph.by_name["hidden1"].neuron == CubaLIF(synapse=0.25, surrogate=rectangle(1))
    assert [(c.name, c.delay) for c in kept.graph.connections] == [
        ("hidden1", 0), ("hidden1-hidden1", 1), ("readout", 0),
    ]  # fmt: skip
    assert kept.losses == {"readout": CrossEntropy(every_step=True)}
    assert kept.optimizer == {"type": "torch.optim.Adam", "again": True, "values": {"lr": 2**-8}}
    options = "--optimizer momentum --momentum 0.5"
    assert run("train", *small, *options.split(), "--save", "d") == 0
    kept = load_checkpoint(Path("d"))
    assert kept.optimizer["values"] == {"rate": 2**-9, "mu": 0.5, "rounding": "nearest"}


def test_surrogate_and_rate_options():
    """`--surrogate` and `--rate` reach the network, and their defaults are the documented ones."""
    options = ["--surrogate", "arctan:3", "--rate", "0.25", "--epochs", "1", "--save", "c"]
    assert run("train", *SMALL, *options) == 0
    kept = load_checkpoint(Path("c"))
    neuron = kept.graph.by_name["hidden1"].neuron
    assert neuron is not None
    assert neuron.surrogate.name == "arctan"
    assert max(neuron.surrogate.values) > 1  # with the default α, 1 is the peak
    assert kept.optimizer["values"]["rate"] == 0.25
    assert run("train", *SMALL, "--epochs", "1", "--save", "d") == 0
    default = load_checkpoint(Path("d"))
    assert default.graph.by_name["hidden1"].neuron == LIF(surrogate=rectangle(1))
    assert default.optimizer["values"]["rate"] == 2**-6


def test_resume_equals_one_go(tmp_path):
    """A run in two parts ends with the weights, progress and accuracy of one run."""
    assert run("train", *SMALL, "--epochs", "3", "--save", "whole", "--json", "w.json") == 0
    assert run("train", *SMALL, "--epochs", "1", "--save", "part") == 0
    resumed = "--resume part --epochs 3 --save part --json p.json".split()  # noqa: SIM905
    assert run("train", "--backend", "golden", *resumed) == 0
    whole, part = load_checkpoint(tmp_path / "whole"), load_checkpoint(tmp_path / "part")
    assert all((part.weights[name] == w).all() for name, w in whole.weights.items())
    assert whole.progress == part.progress
    accuracy = [json.loads((tmp_path / f).read_text())["accuracy"] for f in ("w.json", "p.json")]
    assert accuracy[0] == accuracy[1]


def test_resume_stays_on_its_backend(capsys):
    """It says so, too: the RTL takes a thousand times as long as golden."""
    assert run("train", *SMALL, "--epochs", "1", "--machine", "tiny", "--save", "c") == 0
    kept = load_checkpoint("c")
    assert (kept.backend, kept.machine) == ("golden", "tiny")
    capsys.readouterr()
    assert run(*["train", "--resume", "c", "--epochs", "2", "--save", "d", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert "resumed c after 2 batches, on backend golden\n" in err
    assert (json.loads(out)["backend"], json.loads(out)["machine"]) == ("golden", "tiny")
    asked = "train --resume c --epochs 2 --backend golden --machine wide --json -"
    assert run(*asked.split()) == 0
    assert json.loads(capsys.readouterr().out)["machine"] == "wide"


def test_warnings_are_said_once_each(capsys):
    """On stderr while training, and in the JSON."""
    options = ["--surrogate", "rectangle:1e9", "--rate", "1024", "--epochs", "3", "--json", "-"]
    assert run("train", *SMALL, *options) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["diverged"] is True
    assert err.count("backspike: warning: all gradients of the hidden layers are zero") == 1
    assert err.count("backspike: warning: the training has diverged") == 1
    assert len(result["warnings"]) >= 2
    assert "diverged         yes: the loss is too large, first in batch 1\n" in err


def test_a_dark_data_set_is_said(capsys):
    """When training, and when evaluating."""
    np.savez("dark.npz", x=np.zeros((40, 64)), y=np.arange(40) % 10)
    assert run("train", *SMALL, "--data", "dark.npz", "--epochs", "1", "--save", "c") == 0
    assert "warning: no input has spiked in any of 3 batches" in capsys.readouterr().err
    assert run("evaluate", "c", "--backend", "golden", "--json", "-") == 0
    out, err = capsys.readouterr()
    assert "warning: no input has spiked in any of 3 batches" in err
    assert json.loads(out)["warnings"][0].startswith("no input has spiked")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "epochs is 1, must be 2 or more: the checkpoint c has trained 1 already"),
        ("--epochs 2 --steps 5", "steps is 5, must be 2, as in the checkpoint c"),
        (
            "--epochs 2 --layers 64,9,10",
            "layers is 64,9,10, must be 64,8,10, as in",
        ),
        ("--epochs 2 --leak 0.5", "leak is 0.5, must be 0.75, as in the checkpoint c"),
        ("--epochs 2 --bias", "bias is True, must be False, as in the checkpoint c"),
        ("--epochs 2 --rule mpd-ed", "rule is mpd-ed, must be bptt, as in the checkpoint c"),
        ("--epochs 2 --seed 1", "seed is 1, must be 0, as in the checkpoint c"),
        ("--epochs 2 --limit 9", "limit is 9, must be 30, as in the checkpoint c"),
        (
            "--epochs 2 --surrogate triangle",
            "surrogate is triangle, must be the rectangle with edges (-0.5, 0.5) and values",
        ),
        ("--epochs 2 --data other.npz", "data other.npz is not what the checkpoint c was trained"),
    ],
)
def test_resume_that_differs(capsys, options, message):
    """An option that contradicts the checkpoint is refused; the same options go on."""
    np.savez("other.npz", x=np.ones((40, 64)), y=np.arange(40) % 10)
    assert run("train", *SMALL, "--epochs", "1", "--save", "c") == 0
    capsys.readouterr()
    assert run("train", "--backend", "golden", "--resume", "c", *options.split()) == 2
    assert message in capsys.readouterr().err
    same = "--epochs 2 --steps 2 --layers 64,8,10 --leak 0.75 --no-bias --surrogate rectangle:1"
    assert run("train", "--backend", "golden", "--resume", "c", *same.split()) == 0


def test_evaluate(capsys):
    """`evaluate` gives the training's accuracy again, and counts what it compared."""
    assert run("train", *SMALL, "--epochs", "1", "--save", "c", "--json", "t.json") == 0
    capsys.readouterr()
    assert run("evaluate", "c", "--backend", "golden", "--check", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    with open("t.json") as file:
        assert result["accuracy"] == json.load(file)["accuracy"]
    assert result["check"]["tensors"] == 2 + 4 * 4
    assert run("evaluate", "c", "--backend", "golden") == 0
    assert capsys.readouterr().out.startswith("accuracy  train ")


def test_machines(capsys):
    """`machines` lists every preset, as text and as JSON."""
    assert run("machines") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*MACHINES, *SPECTRAL_MACHINES))
    fields = {*asdict(MACHINES["tiny"]), *asdict(SPECTRAL_MACHINES["spectral-32"])} - {"name"}
    assert fields <= {line.partition(" ")[0] for line in out.splitlines()}
    assert run("machines", "--json", "-") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in listed] == [*MACHINES, *SPECTRAL_MACHINES]
    assert (listed[0]["kind"], listed[0]["lanes"]) == ("training", 2)
    assert (listed[-1]["kind"], listed[-1]["pixel_bits"]) == ("spectral", 16)


def test_compile(capsys):
    """`compile` prints tiles, cycles and memory of a small network, and gives them as JSON."""
    assert run("compile", "--machine", "tiny", "--layers", "7,5,8", "--density", "1,1,1") == 0
    out = capsys.readouterr().out
    about = "batches of 16 samples and 4 steps in 4 blocks of 16 and 1"
    assert f"7-5-8 on tiny (2 lanes): {about}\n" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["hidden1", "7", "5", "3", "21", "0", "1,416", "1,607", "1,532"] in rows
    assert ["busy", "cycles", "a", "batch", "2,768", "2,155", "2,870"] in rows
    assert "weight memory                            48    2,048     2%  row tiles\n" in out
    assert run("compile", "--machine", "tiny", "--layers", "7,5,8", "--json", "-") == 0
    compiled = json.loads(capsys.readouterr().out)
    assert [layer["tiles"] for layer in compiled["layers"]] == [3, 4]
    needs = {use["memory"]: use["needs"] for use in compiled["uses"]}
    assert needs["weight memory"] == 48
    busy = [sum(layer["cycles"][e] for layer in compiled["layers"]) for e in ("fp", "bp", "wg")]
    assert max(busy) < compiled["cycles_a_batch"] < sum(busy)
    names = ("batch", "steps", "samples_of_a_block", "steps_of_a_block", "blocks")
    assert [compiled[name] for name in names] == [16, 4, 16, 1, 4]


def test_mismatch_is_exit_code_1(capsys, monkeypatch):
    """A tensor that differs ends `train` with exit code 1, names the place and writes nothing."""

    class Wrong(GoldenBackend):
        def forward_tensors(self):
            tensors = super().forward_tensors()
            return {**tensors, "codes.hidden1": tensors["codes.hidden1"] ^ 1}

    def make(name, graph, learning, machine, *, every, **_):
        golden = [kind(graph, learning, every=every) for kind in (Wrong, GoldenBackend)]
        return Lockstep(*golden)

    monkeypatch.setattr("backspike.train.stepper.make_backend", make)
    assert run("train", *SMALL, "--epochs", "1", "--json", "r.json") == 1
    err = capsys.readouterr().err
    assert (
        "backspike: mismatch: population hidden1, tensor codes, batch 0, sample 0, step 0, index 0"
        in err
    )
    assert not os.path.exists("r.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "arguments are required: COMMAND"),
        ("trian", "choose from 'train', 'evaluate'"),
        ("train --colour red", "unrecognized arguments: --colour"),
        ("train --lay 64,10", "unrecognized arguments: --lay"),
        ("train --steps many", "--steps: 'many' must be an integer"),
        ("train --rate inf", "'inf' must be a finite number"),
        ("train --rate 1e-9", "rate is 1e-09, must be 2^-24"),
        ("train --rate -1", "rate is -1"),
        ("train --rule stdp", "rule is 'stdp', must be bptt or mpd-ed"),
        ("train --loss l1", "loss is 'l1', must be ce or ce-every or mse"),
        ("train --reset none", "reset is 'none', must be hard or soft"),
        ("train --rounding up", "rounding is 'up', must be nearest or stochastic"),
        (
            "train --surrogate step",
            "surrogate is 'step', must be one of rectangle, triangle, arctan",
        ),
        ("train --surrogate arctan:x", "surrogate arctan's parameter 'x' must be"),
        ("train --surrogate arctan:0", "surrogate arctan's parameter is 0, must be a positive"),
        (
            "train --machine huge",
            "machine is 'huge', must be one of tiny, four, default, mnist, conv, mnist-conv, wide",
        ),
        ("train --backend gpu", "backend is 'gpu', must be golden or rtl or serial:PORT[:BAUD]"),
        ("train --data mnist", "data 'mnist' is not there, must be digits, mnist5k, an .npz"),
        ("train --layers 64", "layers is '64', must be two or more sizes"),
        ("train --layers 64,x,10", "layers is '64,x,10', must be two or more sizes"),
        ("train --layers 64,0,10", "a size of population hidden1 is 0"),
        ("train --layers 64r,10", "the first of layers is 64r, must be without r"),
        ("train --layers 64,8,10r", "the last of layers is 10r, must be without r"),
        ("train --layers 65,10", "the network has 65 inputs, must have 64"),
        ("train --neuron IF", "neuron is 'IF', must be LIF or CubaLIF"),
        ("train --synapse 0.5", "synapse is 0.5 beside neuron LIF, must be of CubaLIF"),
        ("train --optimizer sdg", "optimizer is 'sdg', must be sgd or momentum or adam"),
        ("train --momentum 0.5", "momentum is 0.5 beside optimizer sgd, must be of momentum"),
        ("train --alpha 0.5", "alpha is 0.5 beside loss ce, must be of mse"),
        ("train --optimizer adam --rounding nearest", "rounding is nearest beside optimizer adam"),
        ("train --optimizer momentum", "machine 'default' has no memory of moments"),
        ("train --network none.toml", "network none.toml cannot be read: No such file"),
        ("train --network file", "network file is no TOML"),
        ("train --network file --leak 0.5", "leak is given beside network file, must be said in"),
        ("train --layers 64,9", "data digits has the label 9, must have labels from 0 to 8"),
        ("train --steps 0", "steps is 0"),
        ("train --batch 0", "batch is 0"),
        ("train --epochs 0", "epochs is 0"),
        ("train --limit 0", "limit is 0"),
        ("train --seed -1", "seed is -1"),
        ("train --leak 2", "leak is 2.0"),
        ("train --json .", "--json is ., a folder"),
        ("train --save file/x", "--save is file/x, but "),
        ("train --plots file", "--plots is file, but "),
        ("train --resume none", "checkpoint none is not there"),
        ("train --resume file", "checkpoint file cannot be read"),
        ("train --trace-batch 1", "trace-batch is 1, must be 0 or more, and beside"),
        ("train --backend golden --trace a.vcd", "trace is a.vcd on backend golden"),
        ("evaluate none", "checkpoint none is not there"),
        ("compile --layers 1", "layers is '1'"),
        ("compile --layers 59999,9", "the network does not fit machine 'default': its "),
        ("compile --layers 784,256,10", "weight memory needs 25600 row tiles, and there are 2048"),
        ("compile --density 1,2,3", "density is '1,2,3', must be three shares within 0..1"),
        ("compile --density 1,1", "density is '1,1', must be three shares within 0..1"),
        ("compile --machine huge", "machine is 'huge'"),
        ("emit --machine huge", "machine is 'huge'"),
        ("emit --out file", "--out is file"),
        ("bench --only colour", "only is 'colour', must be of"),
        ("bench --json .", "--json is ."),
    ],
)
def test_bad_input(capsys, tmp_path, arguments, message):
    """Every bad option is one sentence on stderr, exit code 2, no output and no file."""
    (tmp_path / "file").write_text("text")
    assert run(*arguments.split()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("backspike")
    assert err.count("\n") == 1
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "command", ["", "train", "evaluate", "compile", "emit", "machines", "fsds", "hyra", "bench"]
)
def test_help(capsys, command):
    """The help of each command is printed with exit code 0."""
    assert run(*command.split(), "--help") == 0
    assert "usage: backspike" in capsys.readouterr().out


def test_version(capsys):
    """`--version` prints the installed version."""
    assert run("--version") == 0
    assert capsys.readouterr().out == f"backspike {version('backspike')}\n"


def test_numbers():
    """Numbers are read as decimals, powers and scientific notation."""
    assert [number(text) for text in ("0.5", "2^-6", "1e-3", "-2")] == [0.5, 2**-6, 1e-3, -2]
