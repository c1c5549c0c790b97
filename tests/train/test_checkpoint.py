import json
import os
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from backspike.golden.initial import initial_weights
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import arctan
from backspike.train.checkpoint import Checkpoint, Progress, load_checkpoint, sha256

NETWORK = Network(
    inputs=5,
    layers=(Layer(size=4, surrogate=arctan(), reset="soft", leak=0.3), Layer(size=3, bias=True)),
    steps=2,
)


ENTRY = {"epoch": 1, "loss": 2.25, "train": 0.5, "test": 0.25}


@pytest.fixture
def checkpoint():
    return Checkpoint(
        network=NETWORK,
        learning=Learning(rate=0.1, seed=9, rounding="stochastic"),
        weights=initial_weights(NETWORK, 0),
        progress=Progress(
            updates=7,
            loss=0.1 + 0.2,
            correct=3,
            samples=8,
            history=[dict(ENTRY)],
        ),
        epochs=3,
        data="digits",
        limit=None,
        digest="d",
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def rewrite(path, change=lambda about: about, tensors=lambda t: t):
    """Write the file again with its metadata or tensors changed."""
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["backspike"])
        held = {name: file.get_tensor(name) for name in ("weights.0", "weights.1")}
    text = json.dumps(change(about))
    digest = sha256(text, [bits.view(np.uint16) for bits in held.values()])
    save_file(tensors(held), path, {"backspike": text, "sha256": digest})


def test_round_trip_is_exact(checkpoint, path):
    """A checkpoint that is saved and loaded has the same bits of weights and the same fields."""
    checkpoint.save(path)
    loaded = load_checkpoint(path)
    for got, want in zip(loaded.weights, checkpoint.weights, strict=True):
        assert got.dtype == np.uint16
        assert (got == want).all()
    assert replace(loaded, weights=[]) == replace(checkpoint, weights=[])


def test_weights_are_halves_to_others(checkpoint, path):
    """Any reader of safetensors finds the weights as float16 matrices."""
    checkpoint.save(path)
    with safe_open(path, framework="numpy") as file:
        assert file.get_tensor("weights.1").dtype == np.float16
        assert file.get_tensor("weights.1").shape == (5, 3)


def test_every_truncation_is_refused(checkpoint, path):
    """A file cut at any length is a UserError."""
    checkpoint.save(path)
    content = path.read_bytes()
    for length in range(0, len(content), 23):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match="cannot be read"):
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
        (lambda a: a | {"format": 3}, "is of format 3, must be of 1 or 2"),
        (lambda a: a | {"format": True}, "is of format True, must be of 1 or 2"),
        (lambda a: a | {"format": 2.0}, "is of format 2.0, must be of 1 or 2"),
        (lambda a: {k: v for k, v in a.items() if k != "learning"}, "not written by backspike"),
        (
            lambda a: a | {"network": a["network"] | {"inputs": 6}},
            r"weights of layer 0 has the shape \(5, 4\), must have \(6, 4\)",
        ),
        (lambda a: a | {"network": a["network"] | {"steps": 0}}, "steps is 0"),
        (lambda a: a | {"learning": {"colour": "red"}}, "not written by backspike"),
        (lambda a: a | {"network": 3}, "not written by backspike"),
        (lambda a: [], "not written by backspike"),
    ],
)
def test_wrong_metadata(checkpoint, path, change, message):
    """Another format or wrong fields are UserErrors, though the digest is right."""
    checkpoint.save(path)
    rewrite(path, change)
    with pytest.raises(UserError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda t: {"weights.1": t["weights.0"]}, "not written by backspike: it has no weights.0"),
        (lambda t: {"weights.0": t["weights.0"]}, "damaged"),
        (lambda t: t | {"weights.1": t["weights.1"].astype(np.float32)}, "weights.1 of float32"),
        (lambda t: t | {"weights.1": t["weights.1"] * np.float16(2)}, "damaged"),
    ],
)
def test_wrong_tensors(checkpoint, path, tensors, message):
    """Tensors that are missing, of another type or not those of the digest are UserErrors."""
    checkpoint.save(path)
    rewrite(path, tensors=tensors)
    with pytest.raises(UserError, match=message):
        load_checkpoint(path)


def test_other_files(tmp_path):
    """A missing file, a folder and another program's file are UserErrors."""
    with pytest.raises(UserError, match="is not there"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="is no regular file"):
        load_checkpoint(tmp_path)
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="not written by backspike"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_a_failed_write_leaves_the_old_file_whole(checkpoint, path, monkeypatch):
    """A write that fails leaves the old checkpoint and no file beside it."""
    checkpoint.save(path)
    before = path.read_bytes()

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UserError, match="cannot be written: disk full"):
        replace(checkpoint, epochs=4).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]  # nothing half-written stays behind


def _set(*path, value):
    """A change of one field, however deep."""

    def change(about):
        inner = about
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return about

    return change


@pytest.mark.parametrize(
    ("path_to", "value", "message"),
    [
        (("progress", "updates"), 2.5, r"updates is 2\.5, must be a whole number from 0 to 2"),
        (("progress", "updates"), -1, "updates is -1, must be a whole number"),
        (("progress", "updates"), True, "updates is True, must be a whole number"),
        (("progress", "updates"), 2**32 + 1, r"must be a whole number from 0 to 2\^32"),
        (("progress", "saturated"), 10**30, r"must be a whole number from 0 to 2\^32"),
        (("progress", "loss"), "x", "loss is 'x', must be a finite number"),
        (("progress", "loss"), float("nan"), "loss is nan, must be a finite number"),
        (("progress", "samples"), None, "samples is None, must be a whole number"),
        (("progress", "history"), 3, "history is 3, must be a list"),
        (("progress", "history"), [3], r"history\[0\] is 3, must have epoch, loss, train and test"),
        (("progress", "history", 0, "epoch"), 2, r"epoch of history\[0\] is 2, must be 1"),
        (("progress", "history", 0, "loss"), "x", r"loss of history\[0\] is 'x', must be a finite"),
        (("progress", "history", 0, "epoch"), True, r"epoch of history\[0\] is True, must be 1"),
        (("progress", "history", 0, "train"), 2.5, r"train of history\[0\] is 2.5, .* 0 to 1"),
        (("progress", "history", 0, "test"), 1e308, r"test of history\[0\] is 1e\+308, .* 0 to 1"),
        (("progress", "saturated"), "x", "saturated is 'x', must be a whole number"),
        (("progress", "first_loss"), [], r"first_loss is \[\], must be a finite number"),
        (("progress", "colour"), 1, "not written by backspike: its fields are of the wrong kinds"),
        (("data",), 5, "data is 5, must be a string"),
        (("data",), "\ud800", r"data is '\\ud800', must be a name that a file can have"),
        (("data",), "a\0b", r"data is 'a\\x00b', must be a name that a file can have"),
        (("machine",), "\ud800", r"machine is '\\ud800', must be a name"),
        (("digest",), None, "digest is None, must be a string"),
        (("limit",), 0, "limit is 0, must be a whole number from 1 up"),
        (("epochs",), "x", "epochs is 'x', must be a whole number from 1 up"),
        (("backend",), 1, "backend is 1, must be a string"),
        (("machine",), [], r"machine is \[\], must be a string"),
        (("learning", "seed"), 2.5, r"seed is 2\.5, must be a whole number"),
        (("learning", "seed"), True, "seed is True, must be a whole number"),
        (("learning", "rate"), "x", "rate is 'x', must be a finite number"),
        (("learning", "loss"), [], r"loss is \[\], must be ce or mse"),
        (("network", "steps"), "x", "steps is 'x', must be a whole number"),
        (("network", "layers"), 5, "not written by backspike"),
        (("network", "layers", 0, "size"), 2.5, r"size is 2\.5, must be a whole number"),
        (("network", "layers", 0, "bias"), 5, "bias is 5, must be True or False"),
        (("network", "layers", 0, "temporal"), "x", "temporal is 'x', must be True or False"),
        (("network", "layers", 0, "leak"), None, "leak is None, must be a finite number"),
        (("network", "layers", 0, "surrogate", "edges"), ["x"] * 15, "must have finite asc"),
        (("network", "layers", 0, "surrogate", "values"), 3, "not written by backspike"),
        (("network", "layers", 0, "size"), 5, r"has the shape \(5, 4\), must have \(5, 5\)"),
    ],
)
def test_wrong_fields_beside_a_right_digest(checkpoint, path, path_to, value, message):
    """One sentence that names the file and the field, whatever stands in it."""
    checkpoint.save(path)
    rewrite(path, _set(*path_to, value=value))
    with pytest.raises(UserError, match=message) as raised:
        load_checkpoint(path)
    assert str(path) in str(raised.value)


def test_weights_that_are_no_numbers(checkpoint, path):
    """Infinity is no weight."""
    checkpoint.weights[0][1, 2] = 0x7C00
    checkpoint.save(path)
    with pytest.raises(UserError, match=r"layer 0 at \(1, 2\) is 0x7c00, must be finite"):
        load_checkpoint(path)


def test_a_checkpoint_of_format_1_still_loads(checkpoint, path):
    """It knows neither backend nor machine, nor whether its run saturated."""
    checkpoint.save(path)

    def old(about):
        for name in ("first_loss", "saturated", "diverged"):
            del about["progress"][name]
        del about["backend"], about["machine"]
        return about | {"format": 1}

    rewrite(path, old)
    loaded = load_checkpoint(str(path))
    assert (loaded.backend, loaded.machine, loaded.progress.saturated) == (None, None, None)
    assert replace(loaded, weights=[]) == replace(checkpoint, weights=[])


def test_data_whose_name_is_no_unicode(checkpoint, path):
    """Bytes of a file's name that are no UTF-8 are Python's lone surrogates, and are kept."""
    name = os.fsdecode(b"\xff.npz")
    replace(checkpoint, data=name).save(path)
    assert load_checkpoint(path).data == name


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_has(name):
    """No traceback, and no other sentence than for any wrong name."""
    with pytest.raises(UserError, match=r"checkpoint is .*, must be a name that a file can have"):
        load_checkpoint(name)
