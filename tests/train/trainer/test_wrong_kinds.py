"""Trainer: objects of another kind than it takes are refused in one sentence."""
# pyright: reportArgumentType=false

from pathlib import Path

import numpy as np
import pytest

from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.train.data import load
from backspike.train.trainer import Trainer

NETWORK = Sequential(Input(64), Dense(10))
DATA = load("digits").limited(8)
TRAIN = DATA.train.coded(NETWORK, 1)
NO_NAME = "must be a name that a file can have"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0] * 64], r"spikes of input have the shape \(1, 64\), must have \(B, T, 64\)"),
        (np.zeros(64), r"spikes of input have the shape \(64,\), must have"),
        (np.zeros((2, 1, 65)), r"spikes of input have the shape \(2, 1, 65\), must have"),
        (np.zeros((0, 1, 64)), r"spikes of input have the shape \(0, 1, 64\), must have"),
        (np.full((1, 1, 64), 1.5), r"spikes of input at \(0, 0, 0\) are 1.5, must be 0 or 1"),
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
        ([None], {}, "network is a NoneType, must be a Graph, a builder's Network or a Sequential"),
        ([[64, 10]], {}, "network is a list, must be a Graph"),
        ([NETWORK, 5], {}, "machine is 5, must be a Machine"),
        ([NETWORK, SPECTRAL_MACHINES["spectral-32"]], {}, "machine is Spec.*, must be a Machine"),
        ([NETWORK, "a\0.toml"], {}, f"machine is .*, {NO_NAME}"),
        ([NETWORK], {"backend": None}, "backend is None, must be golden or rtl or serial"),
        ([NETWORK], {"backend": []}, r"backend is \[\], must be golden or rtl or serial"),
        ([NETWORK], {"check": "no"}, "check is 'no', must be True or False"),
        ([NETWORK], {"backend": "rtl", "trace": 5}, "trace is 5, must be a path"),
        ([NETWORK], {"backend": "rtl", "trace": "a\0b"}, f"trace is .*, {NO_NAME}"),
    ],
)
def test_made_of_something_else(arguments, options, message):
    """Network, machine, backend, check and trace."""
    with pytest.raises(UserError, match=message):
        Trainer(*arguments, **options)


@pytest.mark.parametrize(
    ("data", "epochs", "options", "message"),
    [
        ("digits", 1, {}, "data is a str, must be an iterable of batches"),
        (DATA.train, 1, {}, "data is a Split, must be an iterable of batches"),
        (TRAIN, 1.5, {}, "epochs is 1.5, must be a whole number from 1 up"),
        (TRAIN, "1", {}, "epochs is '1', must be a whole number from 1 up"),
        (TRAIN, True, {}, "epochs is True, must be a whole number from 1 up"),
        (TRAIN, 1, {"save": "\ud800"}, f"save is .*, {NO_NAME}"),
    ],
)
def test_trained_with_something_else(trainer, data, epochs, options, message):
    """Data, epochs and save; nothing is trained."""
    with pytest.raises(UserError, match=message):
        trainer.fit(data, epochs, **options)
    assert trainer.updates == 0


def test_loaded_from_or_evaluated_with_something_else(trainer):
    """What is no path is no checkpoint, a data set no samples."""
    with pytest.raises(UserError, match="checkpoint is None, must be a path"):
        Trainer.load(None)
    with pytest.raises(UserError, match=r"checkpoint x\.st is not there"):
        Trainer.load(Path("x.st"))
    for wrong in ("digits", DATA):
        with pytest.raises(UserError, match=r"data is a .*, must be an iterable of batches"):
            trainer.score(wrong)


@pytest.mark.parametrize("trace", ["waves/w.vcd", Path("waves/w.vcd")])
def test_a_trace_is_a_string_or_a_path(monkeypatch, trace):
    """As --save is: the backend is given a path either way."""
    given = []

    def make(*arguments, trace: Path, **options) -> GoldenBackend:
        given.append(trace)
        return GoldenBackend(NETWORK, Learning())

    monkeypatch.setattr("backspike.train.stepper.make_backend", make)
    with Trainer(NETWORK, backend="rtl", steps=1, trace=trace):
        assert given == [Path("waves/w.vcd")]
