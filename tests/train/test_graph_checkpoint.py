"""Checkpoints of graphs: whatever is not as written is refused with its reason."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.network import Layer, Network
from backspike.ir.neuron import LIF
from backspike.train.checkpoint import sha256
from backspike.train.data import load
from backspike.train.graph_checkpoint import load_graph_checkpoint
from backspike.train.graph_trainer import GraphTrainer
from backspike.train.optimizers import Momentum
from backspike.train.trainer import Trainer

GRAPH = Sequential(Input(6), Dense(5, bias=True), LIF(), Dense(3))
SPIKES = np.random.default_rng(0).integers(0, 2, (8, 3, 6))
DATA = SPIKES, np.arange(8) % 3


class Mine(torch.optim.Adam):
    """An optimizer that no file can name."""


@pytest.fixture
def path(tmp_path):
    """Of a run with an optimizer on the host."""
    with GraphTrainer(GRAPH, optimizer=torch.optim.Adam) as trainer:
        trainer.fit(DATA, 2)
        trainer.save(tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors"


def contents(path) -> tuple[dict, dict]:
    """JSON and tensors."""
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        return json.loads(file.metadata()["backspike"]), {n: file.get_tensor(n) for n in names}


def forge(path, about: object, tensors: dict) -> None:
    """Write it with the right digest."""
    text = json.dumps(about)
    digest = sha256(text, [tensors[name] for name in sorted(tensors)])
    save_file(tensors, path, {"backspike": text, "sha256": digest})


def test_what_a_file_holds(path):
    """Tensors by name, of the types that the text of the module says."""
    about, tensors = contents(path)
    assert {n: str(x.dtype) for n, x in tensors.items() if n.startswith("w")} == {
        "weights.hidden1": "float16",
        "weights.readout": "float16",
    }
    assert tensors["weights.hidden1"].shape == (7, 5)
    assert tensors["master.hidden1"].shape == (5, 6)
    assert tensors["state.hidden1.bias.exp_avg"].shape == (5,)
    assert about["optimizer"] == {"type": "torch.optim.Adam", "again": True, "values": {}}
    assert [entry["epoch"] for entry in about["history"]] == [1, 2]
    with GraphTrainer(GRAPH, optimizer=Momentum()) as trainer:
        trainer.fit(DATA, 1)
        trainer.save(path)
    assert {n.partition(".")[0] for n in contents(path)[1]} == {"weights", "moments"}


def test_damage_is_found(path):
    """A bit of a tensor, a word of the text, a tensor of another name."""
    about, tensors = contents(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    changed = {n: x.copy() for n, x in tensors.items()}
    changed["weights.readout"].view(np.uint16)[0, 0] ^= 1
    renamed = {n.replace("exp_avg", "exp_awg"): x for n, x in tensors.items()}
    other = {**metadata, "backspike": json.dumps({**about, "updates": 3})}
    for arrays, found in ((changed, metadata), (renamed, metadata), (tensors, other)):
        save_file(arrays, path, found)
        with pytest.raises(UserError, match="is damaged: its content differs from its digest"):
            load_graph_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="cannot be read: it is no safetensors file, or a truncate"):
        load_graph_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": "graph 9"},
            "is of format graph 9, must be of graph 1, which is that of graphs",
        ),
        ({"updates": -1}, "updates is -1, must be a whole number from 0 to 2^32"),
        ({"history": [{"epoch": 2}]}, "epoch of history[0] is 2, must be 1"),
        ({"stateful": 0}, "stateful is 0, must be True or False"),
        ({"steps": 0}, "steps is 0, must be a whole number from 1 up"),
        (
            {"losses": {"readout": {"type": "Huber"}}},
            "was not written by backspike: it has no Huber",
        ),
        ({"graph": []}, "was not written by backspike: its fields are of the wrong kinds"),
        ({"more": 1}, "was not written by backspike: its fields are of the wrong kinds"),
    ],
)
def test_what_no_run_writes(path, change, message):
    """Each field is looked at."""
    about, tensors = contents(path)
    forge(path, about | change, tensors)
    with pytest.raises(UserError, match=f"^checkpoint .*{re.escape(message)}"):
        load_graph_checkpoint(path)


def test_weights_that_do_not_fit(path):
    """Of another shape, or no numbers."""
    about, tensors = contents(path)
    for weights, message in (
        (np.zeros((5, 2), np.float16), r"weights of readout has the shape \(5, 2\), must have"),
        (np.full((5, 3), np.nan, np.float16), "weights of readout at .* must be finite FP16"),
    ):
        changed = {**tensors, "weights.readout": weights}
        index = {"weights.readout": ["float16", list(weights.shape)]}
        forge(path, about | {"tensors": about["tensors"] | index}, changed)
        with pytest.raises(UserError, match=message):
            load_graph_checkpoint(path)


def test_other_files(tmp_path, path):
    """None, a folder, a chain's checkpoint, and other safetensors."""
    with pytest.raises(UserError, match=r"checkpoint .*nothing is not there"):
        load_graph_checkpoint(tmp_path / "nothing")
    with pytest.raises(UserError, match="is no regular file, must be one"):
        load_graph_checkpoint(tmp_path)
    network = Network(inputs=64, layers=(Layer(size=10),), steps=2)
    with Trainer(network) as trainer:
        trainer.train(load("digits").limited(20), 1, save=path)
    with pytest.raises(UserError, match="is of format 2, must be of graph 1"):
        load_graph_checkpoint(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(UserError, match="was not written by backspike: it has no backspike"):
        load_graph_checkpoint(path)


def test_what_a_file_cannot_say(path):
    """An optimizer of the user's own and a machine of no preset must be given."""
    with GraphTrainer(GRAPH, optimizer=Mine) as trainer:
        trainer.fit(DATA, 1)
        trainer.save(path)
        with pytest.raises(UserError, match=r"torch\.optim\.Mine cannot be made from a file, must"):
            GraphTrainer.load(path)
        with GraphTrainer.load(path, optimizer=Mine) as again:
            assert again.fit(DATA, 1) == trainer.fit(DATA, 1)
            assert np.array_equal(again.weights["readout"], trainer.weights["readout"])
    about, tensors = contents(path)
    forge(path, about | {"machine": "my-own", "backend": "rtl"}, tensors)
    with pytest.raises(UserError, match="is of machine 'my-own', no preset: machine must be given"):
        GraphTrainer.load(path, optimizer=Mine)
    assert GraphTrainer.load(path, optimizer=Mine, backend="golden").machine.name == "default"
