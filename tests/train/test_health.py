"""train.health: what makes a run worthless is said, with its first batch, and never forgotten."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import Surrogate, rectangle
from backspike.train.checkpoint import load_checkpoint
from backspike.train.data import Split, load
from backspike.train.health import TRAINING
from backspike.train.losses import MeanSquared
from backspike.train.optimizers import SGD
from backspike.train.report import table
from backspike.train.result import Result
from backspike.train.results import result_of
from backspike.train.trainer import Trainer

DATA = load("digits").limited(40)
BATCHES, STEPS = 5, 3


def network(**options) -> Graph:
    return Sequential(Input(64), Dense(12), LIF(**options), Dense(10))


def run(how=None, data=DATA, epochs=1, resume=None, save=None, **options) -> Result:
    """As `backspike train` does it."""
    if resume is not None:
        trainer = Trainer.load(resume)
    else:
        trainer = Trainer(network(**options), steps=STEPS, batch=8, **(how or {}))
    with trainer:
        train, test = (part.coded(trainer.graph, STEPS) for part in (data.train, data.test))
        trainer.fit(train, epochs - len(trainer.history), test=test, save=save)
        shares = {"train": trainer.score(train, TRAINING), "test": trainer.history[-1]["test"]}
        return result_of(trainer, data, shares)


def test_a_good_run_warns_of_nothing():
    """Neither in the JSON nor in the table."""
    result = run(epochs=2)
    about = json.loads(result.to_json())
    assert about["warnings"] == []
    assert (about["saturated"], about["diverged"]) == (False, False)
    assert (about["saturated_batch"], about["diverged_batch"]) == (None, None)
    assert "diverged" not in table(result)


def test_no_input_spike():
    """The data are all zero."""
    dark = Split(np.zeros_like(DATA.train.x), DATA.train.y)
    assert run(data=replace(DATA, train=dark, test=dark)).warnings[0] == (
        f"no input has spiked in any of {3 * BATCHES} batches, so nothing can be learnt from the "
        "data"
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("test", "any of 5 batches of test samples, so accuracy tells nothing"),
        ("train", "any of 10 batches of training samples, so nothing can be learnt from them"),
    ],
)
def test_one_part_without_an_input_spike(part, message):
    """It is said of which; the training samples are run once more at the end."""
    dark = Split(np.zeros_like(DATA.train.x), DATA.train.y)
    result = run(data=replace(DATA, **{part: dark}))
    assert f"no input has spiked in {message}" in result.warnings
    assert not any("hidden neuron" in warning for warning in result.warnings)


def test_the_only_batch_without_an_input_spike():
    """Of what is evaluated, before anything is trained."""
    dark = Split(np.zeros_like(DATA.test.x[:3]), DATA.test.y[:3])
    with Trainer(network(), batch=8) as trainer:
        trainer.score(DATA.test.coded(trainer.graph, STEPS), "test")
        assert trainer.health.warnings() == {}
        trainer.score(dark.coded(trainer.graph, STEPS))
        said = "no input has spiked in the only batch of evaluated samples, so accuracy tells "
        assert list(trainer.health.warnings().values()) == [said + "nothing"]


@pytest.mark.parametrize(
    ("options", "how", "message"),
    [
        ({"surrogate": rectangle(1e9)}, None, "all gradients of the hidden layers are zero in 1 b"),
        ({"threshold": 60000.0}, None, "no hidden neuron has spiked in 1 batch looked at"),
        ({}, {"loss": MeanSquared(0.0)}, "alpha is 0, so the loss does not depend"),
    ],
)
def test_nothing_to_learn_from(options, how, message):
    """What stops the gradients is named."""
    assert any(warning.startswith(message) for warning in run(how, **options).warnings)


def test_all_gradients_zero():
    """The labels are met exactly: nothing is left to learn."""
    with Trainer(network(), batch=8) as trainer:
        names = ("hidden1", "readout")
        zeros = {f"gradients.{name}": np.zeros((8, 3, 4), np.uint16) for name in names}
        trainer.density.update(zeros)
        assert (
            trainer.health.warnings()["gradients"] == "all gradients are zero in 1 batch looked at"
        )


def test_divergence_is_said_with_its_first_batch():
    """A learning rate of 1024: the second batch is the first that it spoils."""
    result = run({"optimizer": SGD(1024.0)}, epochs=2)
    assert (result.diverged, result.diverged_batch) == (True, 1)
    assert "the training has diverged: the loss of the last epoch is" in result.warnings[-1]
    assert result.warnings[-1].endswith("first in batch 1")
    assert "diverged         yes: the loss is too large, first in batch 1\n" in table(result)
    assert json.loads(result.to_json())["diverged"] is True


def test_saturation_is_said_with_its_first_batch_and_not_forgotten(tmp_path):
    """A resumed run knows what its first part came to, and tells the same as one in one go."""
    path, how = tmp_path / "run", {"optimizer": SGD(60000.0)}
    whole = run(how, epochs=2)
    assert whole.saturated
    assert whole.saturated_batch is not None
    assert f"first in batch {whole.saturated_batch}" in table(whole)
    run(how, save=path)
    resumed = run(epochs=2, resume=path)
    for name in ("saturated", "saturated_batch", "diverged", "diverged_batch"):
        assert getattr(resumed, name) == getattr(whole, name)
    checkpoint = load_checkpoint(path)
    assert checkpoint.progress.saturated == whole.saturated_batch


def test_a_table_without_derivative_says_so_too():
    """Any surrogate whose values are zero."""
    flat = Surrogate("flat", (0.0,), (0.0, 0.0))
    assert "all gradients of the hidden layers are zero" in run(surrogate=flat).warnings[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"threshold": 60000.0},
            "population b is silent: in the first batches its neurons spiked in 0.00% of the steps,"
            " so it hardly learns; a larger gain or a lower threshold wakes it",
        ),
        (
            {"threshold": -60000.0},
            "population b is saturated: in the first batches its neurons spiked in 100.00% of the "
            "steps, so it hardly learns; a smaller gain or a higher threshold calms it",
        ),
    ],
)
def test_a_population_out_of_balance_is_named(tmp_path, options, message):
    """After the first eight batches, once; a checkpoint remembers it. Its neighbour is well."""
    net = Network()
    x, a = net.input("x", 64), net.population("a", 12, LIF())
    b, y = net.population("b", 12, LIF(**options)), net.readout("y", 10)
    for source, target in ((x, a), (a, b), (b, y), (a, y)):
        net.connect(source, target)
    seen = []
    with Trainer(net, steps=STEPS, batch=8) as trainer:
        train = DATA.train.coded(trainer.graph, STEPS)

        def watch():
            seen.append((trainer.updates, list(trainer.health.warnings().values())))

        trainer.fit(train, 1, watch=watch)
        assert seen == []
        assert message in trainer.health.warnings().values()
        trainer.fit(train, 2, watch=watch)
        trainer.save(tmp_path / "run")
    assert [updates for updates, _ in seen] == [8]
    assert seen[0][1][0] == message
    assert not any("population a" in warning for warning in seen[0][1])
    resumed = Trainer.load(tmp_path / "run")
    assert resumed.health.progress.first == trainer.health.progress.first
    assert message in resumed.health.warnings().values()
    assert trainer.health.progress.first["b"][1] == 8 * 8 * STEPS * 12
