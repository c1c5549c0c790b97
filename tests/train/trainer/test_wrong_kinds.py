"""Trainer: objects of another kind than it takes are refused in one sentence."""
# pyright: reportArgumentType=false

from pathlib import Path

import numpy as np
import pytest

from backspike.drive.backend import Backend
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.train.data import load
from backspike.train.trainer import Trainer

NETWORK = Network(inputs=64, layers=(Layer(size=10),), steps=1)
DATA = load("digits").limited(8)
NO_NAME = "must be a name that a file can have"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0] * 64], "x is .*, must be a ndarray"),
        (np.zeros(64), r"x has the shape \(64,\), must have \(samples, 64\)"),
        (np.zeros((2, 65)), r"x has the shape \(2, 65\), must have"),
        (np.zeros((0, 64)), r"x has the shape \(0, 64\), must have"),
        (np.full((1, 64), 1.5), "pixels span 1.5 to 1.5, must be finite and within 0..1"),
    ],
)
def test_what_predict_refuses(trainer, x, message):
    """Samples of another shape, or beyond 0..1."""
    with pytest.raises(UserError, match=message):
        trainer.predict(x)


@pytest.fixture
def trainer():
    with Trainer(NETWORK) as trainer:
        yield trainer


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([None], {}, "network is None, must be a Network"),
        ([[64, 10]], {}, r"network is \[64, 10\], must be a Network"),
        ([NETWORK, 5], {}, "machine is 5, must be a Machine"),
        ([NETWORK, None], {"backend": "rtl"}, "machine is None, must be a Machine"),
        ([NETWORK, SPECTRAL_MACHINES["spectral-32"]], {}, "machine is Spec.*, must be a Machine"),
        ([NETWORK, "a\0.toml"], {}, f"machine is .*, {NO_NAME}"),
        ([NETWORK], {"backend": None}, "backend is None, must be golden or rtl or serial"),
        ([NETWORK], {"backend": []}, r"backend is \[\], must be golden or rtl or serial"),
        ([NETWORK], {"learning": "ce"}, "learning is 'ce', must be a Learning"),
        ([NETWORK], {"learning": {}}, "learning is {}, must be a Learning"),
        ([NETWORK], {"check": "no"}, "check is 'no', must be True or False"),
        ([NETWORK], {"backend": "rtl", "trace": 5}, "trace is 5, must be a path"),
        ([NETWORK], {"backend": "rtl", "trace": "a\0b"}, f"trace is .*, {NO_NAME}"),
    ],
)
def test_made_of_something_else(arguments, options, message):
    """Network, machine, backend, learning, check and trace."""
    with pytest.raises(UserError, match=message):
        Trainer(*arguments, **options)


@pytest.mark.parametrize(
    ("data", "epochs", "options", "message"),
    [
        ("digits", 1, {}, "data is 'digits', must be a Dataset"),
        (DATA.train, 1, {}, "data is Split.*, must be a Dataset"),
        (DATA, 1.5, {}, "epochs is 1.5, must be a whole number from 1 up"),
        (DATA, "1", {}, "epochs is '1', must be a whole number from 1 up"),
        (DATA, True, {}, "epochs is True, must be a whole number from 1 up"),
        (DATA, 1, {"save": "\ud800"}, f"save is .*, {NO_NAME}"),
    ],
)
def test_trained_with_something_else(trainer, data, epochs, options, message):
    """Data, epochs and save; nothing is trained."""
    with pytest.raises(UserError, match=message):
        trainer.train(data, epochs, **options)
    assert trainer.progress.updates == 0


def test_resumed_or_evaluated_with_something_else(trainer):
    """The path of a checkpoint is no checkpoint, a data set no split."""
    for wrong in ("x.st", None, Path("x.st")):
        with pytest.raises(UserError, match=r"checkpoint is .*, must be a Checkpoint"):
            trainer.resume(wrong)
    for wrong in ("digits", DATA):
        with pytest.raises(UserError, match=r"samples is .*, must be a Split"):
            trainer.evaluate(wrong)


@pytest.mark.parametrize("trace", ["waves/w.vcd", Path("waves/w.vcd")])
def test_a_trace_is_a_string_or_a_path(monkeypatch, trace):
    """As --save is: the backend is given a path either way."""
    given = []

    def make(*arguments, trace: Path, trace_batch: int, check: bool) -> Backend:
        given.append(trace)
        return GoldenBackend(NETWORK, Learning())

    monkeypatch.setattr("backspike.train.trainer.make_backend", make)
    with Trainer(NETWORK, backend="rtl", trace=trace):
        assert given == [Path("waves/w.vcd")]
