"""Checkpoints of chains, formats 1 and 2: read, gone on with bit for bit, or refused."""

import json
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from backspike.golden.half import from_bits
from backspike.golden.loss import accuracy, cross_entropy_error
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import arctan
from backspike.train.batches import epoch_order
from backspike.train.checkpoint import load_checkpoint
from backspike.train.coding import rate_code
from backspike.train.data import load
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.notes import RunNotes, run_notes
from backspike.train.optimizers import SGD, Momentum, optimizer_to_json
from backspike.train.tensor_file import sha256
from backspike.train.trainer import Trainer
from tests.support.layered import GoldenChain, Layer, Network, chain_weights
from tests.support.losses import cross_entropy, squared

STEPS, SAMPLES, BATCH, SEED = 3, 26, 8, 5
BATCHES = 4  # three of 8 and one of 2
DATA = load("digits").limited(SAMPLES)
NETWORK = Network(
    inputs=64,
    layers=(
        Layer(size=12, surrogate=arctan(), reset="soft", leak=0.3, bias=True),
        Layer(size=9, rule="mpd-ed", temporal=False, threshold=0.75),
        Layer(size=10, bias=True),
    ),
    steps=STEPS,
)
GRAPH = Sequential(
    Input(64),
    Dense(12, bias=True),
    LIF(surrogate=arctan(), reset="soft", leak=0.3),
    Dense(9),
    LIF(rule="mpd-ed", temporal=False, threshold=0.75),
    Dense(10, bias=True),
)
"""The same network."""
LEARNING = Learning(batch=BATCH, rate=2.0**-5, rounding="stochastic", seed=SEED)
SQUARED = Learning(batch=BATCH, rate=2.0**-7, loss="mse", alpha=0.3, seed=SEED)
NOTES = {"epochs": 2, "data": "digits", "limit": SAMPLES, "digest": DATA.digest()}


def run_of_old(learning: Learning, updates: int, test: bool) -> tuple[list[np.ndarray], dict]:
    """Weights by layer and the place of a run of 0.1.0 after so many updates, computed as it did:
    test says whether the test samples of an epoch that has all its updates were evaluated."""
    golden = GoldenChain(NETWORK, learning)
    golden.load_weights(chain_weights(NETWORK, SEED))
    history, first = [], None
    loss, correct, samples = 0.0, 0, 0
    for step in range(updates):
        epoch, batch = divmod(step, BATCHES)
        rows = epoch_order(SEED, epoch, SAMPLES)[batch * BATCH : (batch + 1) * BATCH]
        labels = DATA.train.y[rows]
        logits = golden.forward(rate_code(DATA.train.x[rows], STEPS), labels)
        ce = learning.loss == "ce"
        golden.update(cross_entropy_error(logits, labels) if ce else None, step)
        mean = cross_entropy(logits, labels) if ce else squared(logits, labels, learning.alpha)
        first = mean if first is None else first
        loss, samples = loss + mean * len(rows), samples + len(rows)
        correct += round(accuracy(logits, labels) * len(rows))
        if batch + 1 == BATCHES and (step + 1 < updates or test):
            spikes = rate_code(DATA.test.x, STEPS)
            parts = np.split(np.arange(len(spikes)), range(BATCH, len(spikes), BATCH))
            found = [golden.forward(spikes[part], DATA.test.y[part]) for part in parts]
            right = from_bits(np.concatenate(found)).numpy().argmax(1) == DATA.test.y
            train, seen = correct / samples, int(right.sum()) / len(right)
            history += [{"epoch": epoch + 1, "loss": loss / samples, "train": train, "test": seen}]
            loss, correct, samples = 0.0, 0, 0
    return golden.weights(), {
        "updates": updates, "loss": loss, "correct": correct, "samples": samples,
        "history": history, "first_loss": first, "saturated": None, "diverged": None,
    }  # fmt: skip


def described(number: int, learning: Learning, progress: dict) -> dict[str, Any]:
    """The JSON of a file of that format."""
    about = {
        "format": number,
        "network": asdict(NETWORK),
        "learning": asdict(learning),
        "progress": dict(progress),
        "backend": "golden",
        "machine": "tiny",
    } | NOTES  # fmt: skip
    if number == 1:  # of 0.1.0
        for name in ("first_loss", "saturated", "diverged"):
            del about["progress"][name]
        del about["backend"], about["machine"]
        del about["learning"]["momentum"], about["learning"]["updates"]
    return json.loads(json.dumps(about))


def write(path, about: object, weights: list[np.ndarray]) -> None:
    """As 0.1.0 wrote its files."""
    text = json.dumps(about)
    metadata = {"backspike": text, "sha256": sha256(text, weights)}
    tensors = {f"weights.{i}": w.view(np.float16) for i, w in enumerate(weights)}
    save_file(tensors, path, metadata)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "old.safetensors"


@pytest.fixture(scope="module")
def old():
    """JSON (format 2) and weights of a run in its second epoch."""
    weights, progress = run_of_old(LEARNING, 6, True)
    return described(2, LEARNING, progress), weights


def trained(trainer: Trainer) -> Trainer:
    """To the end of the second epoch."""
    with trainer:
        trainer.fit(
            DATA.train.coded(trainer.graph, STEPS), 2 - len(trainer.history),
            test=DATA.test.coded(trainer.graph, STEPS),
        )  # fmt: skip
    return trainer


@pytest.fixture(scope="module")
def whole():
    """Runs that were never interrupted, by their loss."""
    ce, mse = (SGD(each.rate, each.rounding) for each in (LEARNING, SQUARED))
    how = {"batch": BATCH, "seed": SEED}
    return {
        "ce": trained(Trainer(GRAPH, optimizer=ce, **how)),
        "mse": trained(Trainer(GRAPH, loss=MeanSquared(0.3), optimizer=mse, **how)),
    }


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("learning", [LEARNING, SQUARED], ids=["ce", "mse"])
@pytest.mark.parametrize(
    ("updates", "test"),
    [(0, True), (3, True), (4, False), (4, True), (6, True)],
    ids=["start", "mid-epoch", "before-test", "epoch", "second-epoch"],
)
def test_goes_on_bit_for_bit(path, whole, number, learning, updates, test):
    """From every place of a run: its weights and its history are in the end those of a run that
    never stopped."""
    weights, progress = run_of_old(learning, updates, test)
    write(path, described(number, learning, progress), weights)
    read = load_checkpoint(path)
    again = Trainer.load(read)
    assert (again.updates, again.backend_name) == (updates, "golden")
    assert all(
        (got == want).all() for got, want in zip(again.bits().values(), weights, strict=True)
    )
    trained(again)
    want = whole[learning.loss]
    assert again.updates == 2 * BATCHES
    assert again.bits().keys() == want.bits().keys()
    assert all((again.bits()[name] == w).all() for name, w in want.bits().items())
    assert again.history == want.history
    assert read.progress.updates == updates  # and can be loaded again


def test_what_a_file_becomes(path, old):
    """A graph with its loss, optimizer and place; notes are those of `backspike train`."""
    about, weights = old
    write(path, about, weights)
    loaded = load_checkpoint(str(path))
    assert loaded.graph == GRAPH
    assert loaded.losses == {"readout": CrossEntropy()}
    assert loaded.optimizer == {
        "type": "SGD", "again": True, "values": {"rate": 2.0**-5, "rounding": "stochastic"},
    }  # fmt: skip
    assert (loaded.batch, loaded.seed, loaded.steps, loaded.stateful) == (BATCH, SEED, STEPS, False)
    assert (loaded.backend, loaded.machine) == ("golden", "tiny")
    assert (loaded.progress.updates, loaded.progress.batches) == (6, 2)
    assert loaded.progress.tally.samples == 16
    assert loaded.progress.first_loss == about["progress"]["first_loss"]
    assert run_notes("it", loaded.notes) == RunNotes(**NOTES)
    for got, want in zip(loaded.weights.values(), weights, strict=True):
        assert got.dtype == np.uint16
        assert (got == want).all()


def test_momentum_begins_again(path, old):
    """No old file has moments; a run of a version between two that had momentum goes on with it."""
    about, weights = old
    write(path, about | {"learning": about["learning"] | {"momentum": 0.5}}, weights)
    loaded = load_checkpoint(path)
    assert loaded.optimizer == optimizer_to_json(Momentum(2.0**-5, 0.5, "stochastic"))
    assert loaded.moments == {}


def test_what_saturated_is_kept(path, old):
    """Format 2 knows in which batch; format 1 knows neither that, nor backend nor machine."""
    about, weights = old
    for batch, saturated in ((None, False), (0, True), (5, True)):
        write(path, about | {"progress": about["progress"] | {"saturated": batch}}, weights)
        loaded = load_checkpoint(path)
        assert (loaded.saturated, loaded.progress.saturated) == (saturated, batch)
        assert Trainer.load(path).saturated == saturated
    write(path, described(1, LEARNING, about["progress"]), weights)
    loaded = load_checkpoint(path)
    assert (loaded.backend, loaded.machine, loaded.progress.saturated) == (None, None, None)
    assert not loaded.saturated


def test_every_truncation_is_refused(path, old):
    """A file cut at any length is a UserError."""
    write(path, *old)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match="cannot be read"):
            load_checkpoint(path)


def test_a_flipped_bit_anywhere_is_refused(path, old):
    """One flipped bit, wherever it is, is a UserError with the path."""
    write(path, *old)
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        broken = bytearray(content)
        broken[at] ^= 1 << at % 7  # the eighth bit would leave ASCII, and be found too easily
        path.write_bytes(broken)
        with pytest.raises(UserError, match=str(path)):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[:2], "weights are of 2 layers, must be of 3"),
        (lambda w: [*w, w[0]], "weights are of 4 layers, must be of 3"),
        (lambda w: [w[0][:64], *w[1:]], r"weights of hidden1 has the shape \(64, 12\), must"),
        (lambda w: [*w[:2], w[2] | 0x7C00], r"weights of readout at \(0, 0\) is 0x.*, must be"),
    ],
)  # fmt: skip
def test_wrong_weights_beside_a_right_digest(path, old, change, message):
    """Of another number or shape, or no numbers."""
    about, weights = old
    write(path, about, change(weights))
    with pytest.raises(UserError, match=f"^checkpoint {path}: {message}"):
        load_checkpoint(path)


def test_wrong_tensors(path, old):
    """Of other names or types, or not those of the digest."""
    about, weights = old
    text = json.dumps(about)
    metadata = {"backspike": text, "sha256": sha256(text, weights)}
    first, *rest = [w.view(np.float16) for w in weights]
    for tensors, message in (
        ([first, *rest[::-1]], "is damaged: its content differs from its digest"),
        ([first * np.float16(2), *rest], "is damaged: its content differs from its digest"),
        ([first.astype(np.float32), *rest], "has weights.0 of float32, must have float16"),
    ):
        save_file({f"weights.{i}": x for i, x in enumerate(tensors)}, path, metadata)
        with pytest.raises(UserError, match=f"^checkpoint {path} {message}"):
            load_checkpoint(path)
    save_file({"weights.1": first, "weights.2": rest[0], "weights.3": rest[1]}, path, metadata)
    with pytest.raises(UserError, match=r"was not written by backspike: it has no weights\.0"):
        load_checkpoint(path)


PLACE, FIRST = ("progress",), ("progress", "history", 0)
LAYER = ("network", "layers", 0)
KINDS = "was not written by backspike: its fields are of the wrong kinds"


@pytest.mark.parametrize(
    ("path_to", "value", "message"),
    [
        ((*PLACE, "updates"), 2.5, "updates is 2.5, must be a whole number from 0 to 2^32"),
        ((*PLACE, "updates"), True, "updates is True, must be a whole number"),
        ((*PLACE, "saturated"), "x", "saturated is 'x', must be a whole number"),
        ((*PLACE, "diverged"), 10**30, "must be a whole number from 0 to 2^32"),
        ((*PLACE, "first_loss"), [], "first_loss is [], must be a finite number"),
        ((*PLACE, "loss"), "x", "loss is 'x', must be a finite number"),
        ((*PLACE, "loss"), float("nan"), "loss is nan, must be a finite number"),
        ((*PLACE, "samples"), None, KINDS),
        ((*PLACE, "samples"), -8, "batches is -1, must be a whole number"),
        ((*PLACE, "correct"), 17, "right samples are 17, must be from 0 to 16"),
        ((*PLACE, "correct"), 2.0, "right samples are 2.0, must be from 0 to 16"),
        ((*PLACE, "colour"), 1, KINDS),
        ((*PLACE, "history"), 3, KINDS),
        ((*PLACE, "history"), [3], KINDS),
        ((*FIRST, "epoch"), 2, "epoch of history[0] is 2, must be 1"),
        ((*FIRST, "loss"), "x", "loss of history[0] is 'x', must be a finite number"),
        ((*FIRST, "train"), 2.5, "accuracy of history[0] is 2.5, must be a finite number from 0"),
        ((*FIRST, "test"), None, "test of history[0] is None, must be a finite number"),
        (("backend",), 1, "backend is 1, must be a string"),
        (("machine",), "\ud800", "machine is '\\ud800', must be a name that a file can have"),
        (("learning",), 3, KINDS),
        (("learning", "colour"), "red", KINDS),
        (("learning", "batch"), 0, "batch is 0, must be a whole number from 1 up"),
        (("learning", "batch"), 2.5, "batch is 2.5, must be a whole number from 1 up"),
        (("learning", "seed"), 2.5, "seed is 2.5, must be a whole number"),
        (("learning", "seed"), True, "seed is True, must be a whole number"),
        (("learning", "rate"), "x", "rate is 'x', must be a finite number"),
        (("learning", "loss"), [], "loss is [], must be ce or mse"),
        (("learning", "loss"), "hinge", "loss is 'hinge', must be ce or mse"),
        (("learning", "rounding"), 1, "rounding is 1, must be nearest or stochastic"),
        (("network",), 3, KINDS),
        (("network", "inputs"), 65, "weights of hidden1 has the shape (65, 12), must have (66,"),
        (("network", "inputs"), 0, "must be a whole number from 1 up"),
        (("network", "steps"), 0, "steps is 0, must be a whole number from 1 up"),
        (("network", "steps"), None, "steps is None, must be a whole number from 1 up"),
        (("network", "layers"), [], KINDS),
        (("network", "layers"), 5, KINDS),
        ((*LAYER, "size"), 2.5, "size is 2.5, must be a whole number"),
        ((*LAYER, "bias"), 5, "bias is 5, must be True or False"),
        ((*LAYER, "temporal"), "x", "temporal is 'x', must be True or False"),
        ((*LAYER, "leak"), None, "leak is None, must be a finite number"),
        ((*LAYER, "rule"), "stdp", "rule is 'stdp', must be bptt or mpd-ed"),
        ((*LAYER, "colour"), 1, KINDS),
        ((*LAYER, "surrogate", "edges"), ["x"] * 15, "must have finite ascending"),
        ((*LAYER, "surrogate", "values"), 3, KINDS),
        ((*LAYER, "size"), 11, "weights of hidden1 has the shape (65, 12), must have (65, 11)"),
    ],
)  # fmt: skip
def test_wrong_fields_beside_a_right_digest(path, old, path_to, value, message):
    """One sentence that names the file and the field, whatever stands in it."""
    about, weights = json.loads(json.dumps(old[0])), old[1]
    inner = about
    for key in path_to[:-1]:
        inner = inner[key]
    inner[path_to[-1]] = value
    write(path, about, weights)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        load_checkpoint(path)
    assert str(raised.value).startswith(f"checkpoint {path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["network", "learning", "progress", "epochs", "data", "limit", "digest"],
)
def test_missing_fields(path, old, name):
    """Named, as all of them were written."""
    about, weights = old
    write(path, {key: value for key, value in about.items() if key != name}, weights)
    with pytest.raises(UserError, match=f"was not written by backspike: it has no {name}$"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "x", "epochs is 'x', must be a whole number from 1 up"),
        ("data", 5, "data is 5, must be a string"),
        ("data", "a\0b", r"data is 'a\\x00b', must be a name that a file can have"),
        ("limit", 0, "limit is 0, must be a whole number from 1 up"),
        ("digest", None, "digest is None, must be a string"),
    ],
)
def test_notes_of_wrong_kinds(path, old, name, value, message):
    """Of the data that a command would go on with."""
    about, weights = old
    write(path, about | {name: value}, weights)
    with pytest.raises(UserError, match=f"^checkpoint the-file: {message}"):
        run_notes("the-file", load_checkpoint(path).notes)
