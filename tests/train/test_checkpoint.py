"""Checkpoints: all of a run comes back; whatever is not as written is refused with its reason."""

import json
import os
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from backspike.golden.initial import initial_weights
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import arctan
from backspike.train.checkpoint import Checkpoint, load_checkpoint
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import Momentum, optimizer_to_json
from backspike.train.progress import Progress
from backspike.train.tally import Tally
from backspike.train.tensor_file import sha256
from backspike.train.trainer import Trainer

GRAPH = Graph(
    (Population("x", (5,), role="input"),
     Population("h", (4,), LIF(surrogate=arctan(), reset="soft", leak=0.3)),
     Population("y", (3,), role="readout"),
     Population("z", (2,), LIF(), role="readout")),
    (Connection(name="in", source="x", target="h", kind=Dense()),
     Connection(name="again", source="h", target="h", kind=Dense(), delay=1),
     Connection(name="out", source="h", target="y", kind=Dense(bias=True)),
     Connection(name="side", source="h", target="z", kind=Dense())),
)  # fmt: skip
READOUTS = {"y": {"loss": 2.0, "accuracy": 0.25}, "z": {"loss": 0.25, "accuracy": 0.75}}
ENTRY = {"epoch": 1, "loss": 2.25, "accuracy": 0.5, "readouts": READOUTS, "test": 0.25}
CHAIN = Sequential(Input(6), Dense(5, bias=True), LIF(), Dense(3))
DATA = np.random.default_rng(0).integers(0, 2, (8, 3, 6)), np.arange(8) % 3


class Mine(torch.optim.Adam):
    """An optimizer that no file can name."""


@pytest.fixture
def checkpoint():
    """In the middle of the second epoch."""
    return Checkpoint(
        graph=GRAPH,
        losses={"y": CrossEntropy(every_step=True), "z": MeanSquared(0.3)},
        optimizer=optimizer_to_json(Momentum(0.1, rounding="stochastic")),
        batch=4, seed=9, steps=2, stateful=False, backend="rtl", machine="tiny,momentum=1",
        progress=Progress(
            updates=7, batches=2, tally=Tally(8, {"y": 0.1 + 0.2, "z": 1.5}, {"y": 3, "z": 8}),
            history=[dict(ENTRY)], first_loss=3.5, saturated=3,
        ),
        saturated=True,
        weights=initial_weights(GRAPH, 0), moments=initial_weights(GRAPH, 1), host=None,
        notes={"epochs": 3, "data": "digits", "limit": None},
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.fixture
def of_adam(path):
    """The file of a run with an optimizer on the host."""
    with Trainer(CHAIN, optimizer=torch.optim.Adam) as trainer:
        trainer.fit(DATA, 2)
        trainer.save(path)
    return path


def contents(path) -> tuple[dict, dict]:
    """JSON and tensors."""
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        return json.loads(file.metadata()["backspike"]), {n: file.get_tensor(n) for n in names}


def forge(path, about: object, tensors: dict) -> None:
    """Write it with the right list of tensors and the right digest."""
    if isinstance(about, dict):
        about["tensors"] = {n: [str(x.dtype), list(x.shape)] for n, x in sorted(tensors.items())}
    text = json.dumps(about)
    digest = sha256(text, [tensors[name] for name in sorted(tensors)])
    save_file(tensors, path, {"backspike": text, "sha256": digest})


def same_arrays(got: dict, want: dict) -> bool:
    """Names, types and bits."""
    return got.keys() == want.keys() and all(
        got[n].dtype == x.dtype and np.array_equal(got[n], x) for n, x in want.items()
    )


def test_round_trip_is_exact(checkpoint, path):
    """What is saved and loaded has the same bits of weights and moments and the same fields."""
    checkpoint.save(path)
    loaded = load_checkpoint(str(path))
    for field in fields(Checkpoint):
        got, want = getattr(loaded, field.name), getattr(checkpoint, field.name)
        if field.name in ("weights", "moments"):
            assert same_arrays(got, want)
            assert all(x.dtype == np.uint16 for x in got.values())
        else:
            assert got == want, field.name
    plain = replace(checkpoint, moments={}, steps=None, backend=None, machine=None, notes={})
    plain.save(path)
    loaded = load_checkpoint(path)
    assert (loaded.moments, loaded.steps, loaded.backend, loaded.machine) == ({}, None, None, None)


def test_round_trip_of_a_hosts_optimizer(of_adam, tmp_path):
    """Master weights and the optimizer's state, and what is saved of it again, are the same."""
    about, tensors = contents(of_adam)
    with Trainer.load(of_adam) as trainer:
        trainer.save(tmp_path / "again.safetensors")
    again = contents(tmp_path / "again.safetensors")
    assert again[0] == about
    assert same_arrays(again[1], tensors)


def test_what_a_file_holds(checkpoint, of_adam):
    """Tensors by name, of the types that the text of the module says, to any reader."""
    about, tensors = contents(of_adam)
    assert {n: str(x.dtype) for n, x in tensors.items() if n.startswith("w")} == {
        "weights.hidden1": "float16",
        "weights.readout": "float16",
    }
    assert tensors["weights.hidden1"].shape == (7, 5)
    assert tensors["master.hidden1"].shape == (5, 6)
    assert tensors["master.hidden1"].dtype == np.float32
    assert tensors["state.hidden1.bias.exp_avg"].shape == (5,)
    assert about["format"] == 3
    assert about["optimizer"] == {"type": "torch.optim.Adam", "again": True, "values": {}}
    assert [entry["epoch"] for entry in about["progress"]["history"]] == [1, 2]
    checkpoint.save(of_adam)
    _, tensors = contents(of_adam)
    assert {n.partition(".")[0] for n in tensors} == {"weights", "moments"}
    assert {x.dtype.name for x in tensors.values()} == {"float16"}
    assert tensors["moments.out"].shape == (5, 3)


def test_every_truncation_is_refused(checkpoint, path):
    """A file cut at any length is a UserError."""
    checkpoint.save(path)
    content = path.read_bytes()
    for length in range(0, len(content), 23):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cannot be read: it is no safetensors file, or a tru"):
            load_checkpoint(path)


def test_a_flipped_bit_anywhere_is_refused(checkpoint, path):
    """One flipped bit, wherever it is, is a UserError with the path."""
    checkpoint.save(path)
    content = path.read_bytes()
    for at in range(0, len(content), 3):
        broken = bytearray(content)
        broken[at] ^= 1 << at % 7  # the eighth bit would leave ASCII, and be found too easily
        path.write_bytes(broken)
        with pytest.raises(UserError, match=str(path)):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"format": 9}, "is of format 9, must be of 1, 2 or 3"),
        (lambda a: a | {"format": "3"}, "is of format 3, must be of 1, 2 or 3"),
        (lambda a: a | {"format": True}, "is of format True, must be of 1, 2 or 3"),
        (lambda a: a | {"format": 3.0}, r"is of format 3\.0, must be of 1, 2 or 3"),
        (lambda a: {k: v for k, v in a.items() if k != "format"}, "it has no format"),
        (lambda a: {k: v for k, v in a.items() if k != "seed"}, "of the wrong kinds"),
        (lambda a: a | {"more": 1}, "of the wrong kinds"),
        (lambda a: a | {"graph": []}, "of the wrong kinds"),
        (lambda a: [], "of the wrong kinds"),
    ],
)
def test_wrong_metadata(checkpoint, path, change, message):
    """Another format, and fields too few or too many, are UserErrors, though the digest is
    right."""
    checkpoint.save(path)
    about, tensors = contents(path)
    forge(path, change(about), tensors)
    with pytest.raises(UserError, match=f"^checkpoint {path} .*{message}$"):
        load_checkpoint(path)


def test_another_digest(checkpoint, path):
    """A bit of a tensor, a word of the text, a tensor of another name, type or shape."""
    checkpoint.save(path)
    about, tensors = contents(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    other = metadata | {"backspike": json.dumps(about | {"seed": 8})}
    flipped = tensors | {"weights.out": tensors["weights.out"].copy()}
    flipped["weights.out"].view(np.uint16)[0, 0] ^= 1
    renamed = {n.replace("weights.side", "weights.site"): x for n, x in tensors.items()}
    turned = tensors | {"weights.out": tensors["weights.out"].reshape(3, 5)}
    typed = tensors | {"weights.out": tensors["weights.out"].view(np.uint16)}
    for arrays in (flipped, renamed, turned, typed, tensors):
        save_file(arrays, path, other if arrays is tensors else metadata)
        with pytest.raises(UserError, match="is damaged: its content differs from its digest"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("weights.out", None, r"weights are of \['again', 'in', 'side'\], must be of \['again', '"),
        ("weights.more", lambda t: t["weights.out"], r"weights are of \['again', 'in', 'more', "),
        ("moments.in", None, r"moments are of \['again', 'out', 'side'\], must be of"),
        ("weights.out", lambda t: t["weights.out"][:4],
         r"weights of out has the shape \(4, 3\), must have \(5, 3\)"),
        ("moments.in", lambda t: t["moments.in"].T.copy(),
         r"moments of in has the shape \(4, 5\), must have \(5, 4\)"),
        ("weights.out", lambda t: np.full((5, 3), np.nan, np.float16),
         r"weights of out at \(0, 0\) is 0x7e00, must be finite FP16"),
        ("moments.out", lambda t: np.full((5, 3), -0.0, np.float16),
         r"moments of out at \(0, 0\) is 0x8000, must be finite FP16, zero as 0x0000"),
        ("weights.out", lambda t: t["weights.out"].astype(np.float32),
         r"weights of out has the shape \(5, 6\), must have \(5, 3\)"),
    ],
)  # fmt: skip
def test_wrong_tensors(checkpoint, path, name, change, message):
    """Tensors that are missing, of another shape or type, or no numbers, though the digest is
    right."""
    checkpoint.save(path)
    about, tensors = contents(path)
    others = {n: x for n, x in tensors.items() if n != name}
    forge(path, about, others if change is None else others | {name: change(tensors)})
    with pytest.raises(UserError, match=f"^checkpoint {path}: {message}"):
        load_checkpoint(path)


PLACE, TALLY, FIRST = ("progress",), ("progress", "tally"), ("progress", "history", 0)
HIDDEN = ("graph", "populations", 1)


@pytest.mark.parametrize(
    ("path_to", "value", "message"),
    [
        ((*PLACE, "updates"), 2.5, r"updates is 2\.5, must be a whole number from 0 to 2"),
        ((*PLACE, "updates"), 2**32 + 1, r"updates is .*, must be a whole number from 0 to 2\^32"),
        ((*PLACE, "batches"), -1, "batches is -1, must be a whole number"),
        ((*PLACE, "batches"), 1.5, r"batches is 1\.5, must be a whole number"),
        ((*PLACE, "batches"), 9, "samples are 8, must be a whole number from 9 up"),
        ((*PLACE, "saturated"), "x", "saturated is 'x', must be a whole number"),
        ((*PLACE, "first_loss"), [], r"first_loss is \[\], must be a finite number"),
        ((*PLACE, "tally"), 3, "of the wrong kinds"),
        ((*TALLY, "samples"), None, "samples are None, must be a whole number from 2 up"),
        ((*TALLY, "samples"), 8.0, r"samples are 8\.0, must be a whole number from 2 up"),
        ((*TALLY, "samples"), 7, "right samples are 8, must be from 0 to 7"),
        ((*TALLY, "loss"), 3, "of the wrong kinds"),
        ((*TALLY, "loss", "y"), "x", "loss is 'x', must be a finite number"),
        ((*TALLY, "loss"), {"y": 1.0}, r"sums are of \['y'\].*, must be of \['y', 'z'\]"),
        ((*TALLY, "right", "z"), -1, "right samples are -1, must be from 0 to 8"),
        ((*TALLY, "colour"), 1, "of the wrong kinds"),
        ((*PLACE, "history"), 3, "history is 3, must be a list"),
        ((*PLACE, "history"), [3], r"history\[0\] is 3, must have epoch, loss and accuracy"),
        ((*FIRST, "train"), 1, r"history\[0\] is .*, must have epoch, loss and accuracy"),
        ((*FIRST, "epoch"), 2, r"epoch of history\[0\] is 2, must be 1"),
        ((*FIRST, "epoch"), True, r"epoch of history\[0\] is True, must be 1"),
        ((*FIRST, "accuracy"), 2.5, r"accuracy of history\[0\] is 2\.5, .* 0 to 1"),
        ((*FIRST, "test"), 1e308, r"test of history\[0\] is 1e\+308, .* 0 to 1"),
        (("backend",), 1, "backend is 1, must be a string"),
        (("machine",), [], r"machine is \[\], must be a string"),
        (("machine",), "\ud800", r"machine is '\\ud800', must be a name that a file can have"),
        (("batch",), 0, "batch is 0, must be a whole number from 1 up"),
        (("seed",), 2.5, r"seed is 2\.5, must be a whole number"),
        (("steps",), 0, "steps is 0, must be a whole number from 1 up"),
        (("stateful",), 0, "stateful is 0, must be True or False"),
        (("saturated",), None, "saturated is None, must be True or False"),
        (("notes",), [], r"notes are \[\], must be a dict"),
        (("losses", "z", "type"), "Huber", "was not written by backspike: it has no Huber"),
        (("losses", "z", "alpha"), "x", "alpha is 'x', must be a finite number"),
        (("losses", "q"), {"type": "CrossEntropy"}, "loss is of the read-out 'q', must be of one"),
        (("optimizer",), [], "of the wrong kinds"),
        (("optimizer", "values", "rate"), "x", "rate is 'x', must be a finite number"),
        (("optimizer", "values", "colour"), 1, "of the wrong kinds"),
        ((*HIDDEN, "shape"), [5], r"weights of in has the shape \(5, 4\), must have \(5, 5\)"),
        ((*HIDDEN, "neuron", "type"), "Izhikevich", "a neuron model is 'Izhikevich', must be one"),
        ((*HIDDEN, "neuron", "leak"), None, "leak is None, must be a finite number"),
        ((*HIDDEN, "neuron", "surrogate", "edges"), ["x"] * 15, "must have finite asc"),
        (("graph", "connections", 2, "source"), "q", "'q'"),
    ],
)
def test_wrong_fields_beside_a_right_digest(checkpoint, path, path_to, value, message):
    """One sentence that names the file and the field, whatever stands in it."""
    checkpoint.save(path)
    about, tensors = contents(path)
    inner = about
    for key in path_to[:-1]:
        inner = inner[key]
    inner[path_to[-1]] = value
    forge(path, about, tensors)
    with pytest.raises(UserError, match=message) as raised:
        load_checkpoint(path)
    assert str(raised.value).startswith(f"checkpoint {path}")


def test_notes_come_back(checkpoint, path):
    """As they were; bytes of a file's name that are no UTF-8 are Python's lone surrogates, and are
    kept."""
    notes = {"data": os.fsdecode(b"\xff.npz"), "mine": [1, None, {"a": 0.1}]}
    replace(checkpoint, notes=notes).save(path)
    assert load_checkpoint(path).notes == notes


@pytest.mark.parametrize("wrong", [np.float32(1), {1}, object()])
def test_notes_that_are_no_json(checkpoint, path, wrong):
    """One sentence, and nothing is written."""
    with pytest.raises(UserError, match=r"^notes are \{'mine': .*\}, must be JSON: "):
        replace(checkpoint, notes={"mine": wrong}).save(path)
    assert not path.exists()
    with Trainer(CHAIN) as trainer:
        for notes in (5, [1]):
            with pytest.raises(UserError, match=r"^notes is .*, must be a Mapping"):
                trainer.save(path, notes)


NO_STATE = "the optimizer's state is not as it was saved"


@pytest.mark.parametrize(
    ("change", "tensors", "message"),
    [
        ({"host": None}, {}, "has no state of the optimizer torch.optim.Adam, must have"),
        ({"optimizer": {"type": "SGD", "again": True, "values": {}}}, {}, "has a state of the opt"),
        ({"host": []}, {}, NO_STATE),
        ({"host": {"groups": [], "values": {}}}, {}, NO_STATE),
        ({"host": {"groups": [{}], "values": {}}}, {}, NO_STATE),
        ({"host": {"groups": [{}], "values": {"other": {}}}}, {}, NO_STATE),
        ({}, {"master.readout": None}, r"masters are of .*, must be of \['hidden1', 'hidden1"),
        ({}, {"master.readout": np.zeros((2, 5))}, r"master readout has the shape \(2, 5\), must"),
        ({}, {"state.other.step": np.zeros(())}, NO_STATE),
    ],
)  # fmt: skip
def test_wrong_state_of_a_hosts_optimizer(of_adam, change, tensors, message):
    """None, where there should be some; of other parameters; beside an optimizer on chip."""
    about, held = contents(of_adam)
    forge(of_adam, about | change, {n: x for n, x in (held | tensors).items() if x is not None})
    with pytest.raises(UserError, match=message):
        Trainer.load(of_adam)


def test_a_failed_write_leaves_the_old_file_whole(checkpoint, path, monkeypatch):
    """A write that fails leaves the old checkpoint and no file beside it."""
    checkpoint.save(path)
    before = path.read_bytes()

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UserError, match="cannot be written: disk full"):
        replace(checkpoint, seed=4).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]  # nothing half-written stays behind


def test_other_files(tmp_path):
    """A missing file, a folder, another program's file and names that no file has."""
    with pytest.raises(UserError, match=r"checkpoint .*none is not there"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="is no regular file, must be one"):
        load_checkpoint(tmp_path)
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="was not written by backspike: it has no backspike"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    for name in ("a\0b", "\ud800"):
        with pytest.raises(UserError, match=r"checkpoint is .*, must be a name that a file can"):
            load_checkpoint(name)


def test_what_a_file_cannot_say(path):
    """An optimizer of the user's own and a machine of no preset must be given."""
    with Trainer(CHAIN, optimizer=Mine) as trainer:
        trainer.fit(DATA, 1)
        trainer.save(path)
        with pytest.raises(UserError, match=r"torch\.optim\.Mine cannot be made from a file, must"):
            Trainer.load(path)
        with Trainer.load(path, optimizer=Mine) as again:
            assert again.fit(DATA, 1) == trainer.fit(DATA, 1)
            assert np.array_equal(again.weights["readout"], trainer.weights["readout"])
    about, tensors = contents(path)
    forge(path, about | {"machine": "my-own", "backend": "rtl"}, tensors)
    with pytest.raises(UserError, match="is of machine 'my-own', no preset: machine must be given"):
        Trainer.load(path, optimizer=Mine)
    assert Trainer.load(path, optimizer=Mine, backend="golden").machine.name == "default"
