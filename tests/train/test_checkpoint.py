import json
import os
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from backspike.golden.initial import initial_weights
from backspike.ir.errors import UserError
from backspike.ir.network import Layer, Learning, Network, arctan
from backspike.train.checkpoint import Checkpoint, Progress, load_checkpoint, sha256

NETWORK = Network(
    inputs=5,
    layers=(Layer(size=4, surrogate=arctan(), reset="soft", leak=0.3), Layer(size=3, bias=True)),
    steps=2,
)


@pytest.fixture
def checkpoint():
    return Checkpoint(
        network=NETWORK,
        learning=Learning(rate=0.1, seed=9, rounding="stochastic"),
        weights=initial_weights(NETWORK, 0),
        progress=Progress(updates=7, loss=0.1 + 0.2, correct=3, samples=8, history=[{"epoch": 1}]),
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
        (lambda a: a | {"format": 2}, "is of format 2: 1 is allowed"),
        (lambda a: {k: v for k, v in a.items() if k != "learning"}, "not written by backspike"),
        (
            lambda a: a | {"network": a["network"] | {"inputs": 6}},
            r"\(\(5, 4\), .*needs \(\(6, 4",
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
        (lambda t: {"weights.1": t["weights.0"]}, "not written by backspike: KeyError"),
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
    with pytest.raises(UserError, match="cannot be read"):
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
    """A file is written into new folders, with the permissions of any new file."""
