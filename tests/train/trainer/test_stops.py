"""Runs of the trainer that stop and go on: saved, interrupted, cut off."""

import itertools
import os
import signal
import threading

import numpy as np
import pytest

from backspike.golden.backend import GoldenBackend
from backspike.ir.errors import LinkError, UserError
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.train import fitting
from backspike.train.checkpoint import load_checkpoint
from backspike.train.trainer import Trainer
from tests.support.digit_runs import HOW, NETWORK, SAMPLES, TEST, TRAIN, resumed, same, trained


def test_two_epochs_are_one_and_one_resumed(tmp_path):
    """Two epochs in one go and one epoch resumed give the same weights and history."""
    path = tmp_path / "run.safetensors"
    whole = trained(2)
    trained(1, save=path, notes={"epochs": 2})
    assert load_checkpoint(path).notes == {"epochs": 2}
    again = resumed(path, 2)
    assert same(again, whole)
    assert again.history == whole.history


def test_a_pipe_gets_one_checkpoint(tmp_path):
    """Of several epochs the last: a second one would wait for ever for another reader; also if a
    callback ends the run."""
    for callbacks in ((), [lambda entry: entry["epoch"] == 2]):
        pipe = tmp_path / f"pipe{len(callbacks)}"
        os.mkfifo(pipe)
        got = tmp_path / "got.safetensors"
        reader = threading.Thread(
            target=lambda pipe=pipe, got=got: got.write_bytes(pipe.read_bytes()), daemon=True
        )
        reader.start()
        with Trainer(NETWORK, **HOW) as trainer:
            trainer.fit(TRAIN, 2 + len(callbacks), callbacks, save=pipe)
        reader.join(10)
        saved = load_checkpoint(got)
        assert len(saved.progress.history) == 2
        assert all((trainer.bits()[name] == w).all() for name, w in saved.weights.items())


@pytest.mark.parametrize("stop_at", range(1, 16, 2))
def test_resumed_after_ctrl_c_anywhere(tmp_path, monkeypatch, stop_at):
    """Ctrl-C in a call of forward, in mid-epoch or while evaluating; then resumed."""
    path = tmp_path / "run.safetensors"
    whole = trained(2)
    calls = itertools.count()
    original = GoldenBackend.forward

    def forward(self, inputs, labels=None, *, go_on=False):
        if next(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, inputs, labels, go_on=go_on)

    monkeypatch.setattr(GoldenBackend, "forward", forward)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"batch(es)?; .* goes on from here"):
        trained(2, save=path)
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    # Of an epoch's 8 calls 4 train; the forward in hand has not been updated from.
    updates = min(stop_at // 8 * 4 + min(stop_at % 8, 4), 8)
    assert load_checkpoint(path).progress.updates == updates
    again = resumed(path, 2)
    assert same(again, whole)
    assert again.history == whole.history


def test_an_interrupted_fit_goes_on(monkeypatch):
    """With samples that are indexed, from the batch where it stopped; batches begin again."""
    batches = [
        (TRAIN.spikes(rows), TRAIN.labels[rows])
        for rows in np.split(np.arange(SAMPLES), range(8, SAMPLES, 8))
    ]
    updates = {}
    for name, data in (("indexed", TRAIN), ("batches", batches)):
        with Trainer(NETWORK, **HOW) as trainer:
            original = GoldenBackend.update

            def update(self, errors, step, original=original, **part):
                if step == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                original(self, errors, step, **part)

            monkeypatch.setattr(GoldenBackend, "update", update)
            with pytest.raises(Interrupted, match=r"stopped after 2 batches$"):
                trainer.fit(data, 1)
            monkeypatch.undo()
            trainer.fit(data, 1)
            updates[name] = trainer.updates
            assert len(trainer.history) == 1
    assert updates == {"indexed": 4, "batches": 6}


def test_a_lost_board_leaves_a_checkpoint(tmp_path, monkeypatch):
    """It is at most SAVE_SECONDS old; the error says from where it goes on."""
    path = tmp_path / "run.safetensors"
    monkeypatch.setattr(fitting, "SAVE_SECONDS", 0.0)
    original = GoldenBackend.update

    def update(self, errors, step, **part):
        if step == 6:
            raise LinkError("port x: unplugged")
        original(self, errors, step, **part)

    monkeypatch.setattr(GoldenBackend, "update", update)
    with pytest.raises(
        LinkError, match=r"port x: unplugged, after 6 batches; .*run.* goes on from batch 6$"
    ):
        trained(2, save=path)
    monkeypatch.undo()
    whole, again = trained(2), resumed(path, 2)
    assert same(again, whole)
    assert again.history == whole.history


def test_weights_of_a_lost_board(monkeypatch):
    """What ended the run is what is said; its weights are gone, and asked for they say so."""

    def lost(*_, **__):
        raise LinkError("port x: unplugged")

    trainer = Trainer(NETWORK, **HOW)
    monkeypatch.setattr(GoldenBackend, "update", lost)
    monkeypatch.setattr(GoldenBackend, "weights", lost)
    with pytest.raises(LinkError, match="port x: unplugged, after 0 batches"), trainer:
        trainer.fit(TRAIN, 1)
    with pytest.raises(UserError, match="weights are lost with the board, must be loaded from"):
        trainer.bits()


def test_second_ctrl_c_interrupts_at_once():
    """The first Ctrl-C is a request, the second a KeyboardInterrupt."""
    with Interruptible() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("call", ["score", "predict", "record"])
def test_ctrl_c_ends_what_learns_nothing(monkeypatch, call):
    """After a batch, in one sentence."""
    original = GoldenBackend.forward

    def forward(self, inputs, labels=None, *, go_on=False):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, inputs, labels, go_on=go_on)

    monkeypatch.setattr(GoldenBackend, "forward", forward)
    with Trainer(NETWORK, **HOW) as trainer:
        with pytest.raises(Interrupted, match=r"stopped while (evalua|predic|recor)"):
            getattr(trainer, call)(TEST)


def test_trains_outside_the_main_thread():
    """Training in another thread gives the same weights."""
    results = []
    thread = threading.Thread(target=lambda: results.append(trained(1)))
    thread.start()
    thread.join()
    assert same(results[0], trained(1))
