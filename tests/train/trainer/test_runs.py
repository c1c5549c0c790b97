"""Runs of the trainer on the golden backend: their order, what is kept of them, how they end."""

import itertools

import numpy as np
import pytest

from backspike.drive.lockstep import Lockstep
from backspike.drive.registry import make_backend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.neuron import LIF
from backspike.train.batches import epoch_order
from backspike.train.coding import rate_code
from backspike.train.data import load
from backspike.train.losses import Criterion, MeanSquared
from backspike.train.optimizers import SGD
from backspike.train.trainer import Trainer
from tests.support.digit_runs import (
    BATCHES,
    DATA,
    HOW,
    LEARNING,
    NETWORK,
    SAMPLES,
    STEPS,
    TEST,
    TRAIN,
    same,
    trained,
)
from tests.support.losses import cross_entropy


def test_order_is_a_permutation_that_seed_and_epoch_fix():
    """An epoch's order is a permutation fixed by seed and epoch."""
    orders = [tuple(epoch_order(s, e, 20)) for s in (0, 1) for e in (0, 1)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(set(orders)) == 4
    assert tuple(epoch_order(1, 0, 20)) == orders[2]


def test_every_sample_once_an_epoch_in_order(monkeypatch):
    """Each epoch trains every sample once in its order, then sees the test set."""
    seen, steps = [], []
    original_forward, original_update = GoldenBackend.forward, GoldenBackend.update

    def forward(self, inputs, labels=None, *, go_on=False):
        seen.append(inputs["input"])
        return original_forward(self, inputs, labels, go_on=go_on)

    def update(self, errors, step, **part):
        steps.append(step)
        original_update(self, errors, step, **part)

    monkeypatch.setattr(GoldenBackend, "forward", forward)
    monkeypatch.setattr(GoldenBackend, "update", update)
    trained(2)
    assert steps == list(range(2 * BATCHES))
    for n in range(2):
        training, test = seen[8 * n : 8 * n + 4], seen[8 * n + 4 : 8 * n + 8]
        order = epoch_order(5, n, SAMPLES)
        assert (np.concatenate(training) == rate_code(DATA.train.x[order], STEPS)).all()
        assert (np.concatenate(test) == rate_code(DATA.test.x, STEPS)).all()
    assert len(seen) == 16


def test_equals_a_plain_loop():
    """No overlap, no bookkeeping: forward, error, update."""
    golden = GoldenBackend(NETWORK, LEARNING, every=False)
    golden.load_weights(initial_weights(NETWORK, 5))
    step = itertools.count()
    losses, correct = [0.0, 0.0], [0, 0]
    for epoch in range(2):
        order = epoch_order(5, epoch, SAMPLES)
        for rows in np.split(order, range(8, SAMPLES, 8)):
            labels = DATA.train.y[rows]
            logits = golden.forward({"input": rate_code(DATA.train.x[rows], 3)})["readout"]
            golden.update({"readout": cross_entropy_error(logits, labels)}, next(step))
            losses[epoch] += cross_entropy(logits, labels) * len(rows)
            correct[epoch] += int((logits.view(np.float16).argmax(1) == labels).sum())
    run = trained(2)
    assert all((run.bits()[name] == w).all() for name, w in golden.weights().items())
    assert [entry["loss"] for entry in run.history] == [loss / SAMPLES for loss in losses]
    assert [entry["accuracy"] for entry in run.history] == [n / SAMPLES for n in correct]


@pytest.mark.parametrize(
    "how",
    [{"optimizer": SGD(2.0**-6)}, {"loss": MeanSquared(), "optimizer": SGD(2.0**-9)}],
)
def test_learns(how):
    """The loss falls every epoch, and accuracy passes 50 %."""
    network = Sequential(Input(64), Dense(32), LIF(), Dense(10))
    data = load("digits").limited(500)
    with Trainer(network, **how) as trainer:
        history = trainer.fit(data.train.coded(network, 4), 3, test=data.test.coded(network, 4))
        losses = [epoch["loss"] for epoch in history]
        assert losses == sorted(losses, reverse=True)
        assert history[-1]["test"] > 0.5
        assert trainer.score(data.test.coded(network, 4)) == history[-1]["test"]


def test_the_squared_error_is_the_cores(monkeypatch):
    """Of the only read-out, in potentials, it is worked out of labels; if it were worked out on the
    host, the bits would be the same."""
    network = Sequential(Input(64), Dense(12), LIF(), Dense(10))
    found = []
    for on_chip in (True, False):
        if not on_chip:
            off = property(lambda _: False, lambda *_: None)
            monkeypatch.setattr(Criterion, "on_chip", off, raising=False)
        with Trainer(network, loss=MeanSquared(0.3), optimizer=SGD(2.0**-9)) as trainer:
            assert (trainer.learning.loss == "mse") is on_chip
            trainer.fit(DATA.train.coded(network, 4), 2)
        found.append(trainer)
    assert same(*found)


def test_density_is_of_every_sixteenth_batch():
    """Densities are those of the first of 16 batches, worked out with golden."""
    run = trained(1)  # of 4 batches only the first
    golden = GoldenBackend(NETWORK, LEARNING, every=False)
    golden.load_weights(initial_weights(NETWORK, 5))
    rows = epoch_order(5, 0, SAMPLES)[:8]
    spikes = rate_code(DATA.train.x[rows], 3)
    logits = golden.forward({"input": spikes})["readout"]
    golden.update({"readout": cross_entropy_error(logits, DATA.train.y[rows])}, 0)
    hidden = golden.forward_tensors()["spikes.hidden1"].mean()
    gradients = {
        name: (golden.update_tensors()[f"gradients.{name}"] != 0).mean()
        for name in ("hidden1", "readout")
    }
    assert run.density.shares() == {
        "input": spikes.mean(), "spikes": hidden, "gradients": gradients["hidden1"],
    }  # fmt: skip
    assert run.density.by_population() == {
        "input": {"spikes": spikes.mean()},
        "hidden1": {"spikes": hidden, "gradients": gradients["hidden1"]},
        "readout": {"gradients": gradients["readout"]},
    }


def beside(monkeypatch, primary: type[GoldenBackend], check: bool = True) -> list:
    """Trainers get such a backend, with golden beside it; the list of those that were made."""
    made: list = []

    def make(name, graph, learning, machine, *, every, **_):
        first = primary(graph, learning, every=every)
        golden = GoldenBackend(graph, learning, every=every)
        made.append(Lockstep(first, golden) if check else first)
        return made[-1]

    monkeypatch.setattr("backspike.train.stepper.make_backend", make)
    return made


def test_mismatch_ends_the_run(monkeypatch):
    """A wrong weight in batch 3 ends the run with a Mismatch that names it."""

    class Wrong(GoldenBackend):
        updates = 0

        def update(self, errors, step, **part):
            super().update(errors, step, **part)
            self.updates += 1

        def update_tensors(self):
            tensors = super().update_tensors()
            if self.updates == 4:
                tensors["weights.readout"] = tensors["weights.readout"].copy()
                tensors["weights.readout"][4, 2] ^= 1
            return tensors

    made = beside(monkeypatch, Wrong)
    with Trainer(NETWORK, **HOW) as trainer:
        with pytest.raises(
            Mismatch, match="connection readout, tensor weights, batch 3, source 4, index 2"
        ):
            trainer.fit(TRAIN, 1)
        assert made[0].counts.mismatches == 1
        assert trainer.checked()["mismatches"] == 1


def test_checked_counts(monkeypatch):
    """Every forward pass and update of a checked run is counted in tensors, and by population."""
    beside(monkeypatch, GoldenBackend)
    with Trainer(NETWORK, **HOW) as trainer:
        trainer.fit(TRAIN, 1, test=TEST)
        check, compared = trainer.checked(), trainer.compared()
    forwards, updates = 2 * BATCHES, BATCHES
    assert check["tensors"] == 2 + forwards * 4 + updates * 4
    assert check["mismatches"] == 0
    assert list(compared) == ["input", "hidden1", "readout"]
    assert compared["input"] == 0
    assert sum(compared.values()) == check["values"]


class Counting(GoldenBackend):
    """Counts like hardware: a forward takes 10 cycles, an update 100."""

    name = "counting"
    cycles = 0

    def forward(self, inputs, labels=None, *, go_on=False):
        self.cycles += 10
        return super().forward(inputs, labels, go_on=go_on)

    def update(self, errors, step, **part):
        self.cycles += 100
        super().update(errors, step, **part)

    def counters(self):
        engine = {"busy": self.cycles, "bound": self.cycles // 2, "stalls": {"token": 1}}
        return {"total": self.cycles, "fp": engine, "bp": engine, "wg": engine}

    def simulation(self):
        return {"cycles": self.cycles, "seconds": 1.0, "cycles_per_second": self.cycles}


@pytest.mark.parametrize("check", [False, True])
def test_cycles_are_of_training_only(monkeypatch, check):
    """Cycles leave out the evaluation after each epoch; the simulation's do not."""
    beside(monkeypatch, Counting, check)
    with Trainer(NETWORK, **HOW) as trainer:
        trainer.fit(TRAIN, 2, test=TEST)
        assert trainer.counters is not None
        assert trainer.counters["total"] == 2 * BATCHES * 110
        assert trainer.counters["bp"]["bound"] == BATCHES * 110
        assert trainer.counters["wg"]["stalls"] == {"token": 0}
        simulation = trainer.simulation()
        assert simulation is not None
        assert simulation["cycles"] == 2 * BATCHES * 110 + 2 * BATCHES * 10


def test_unknown_names():
    """Unknown machines and backends, and options that do not fit, are UserErrors."""
    with pytest.raises(
        UserError,
        match="machine is 'big', must be one of tiny, four, default, mnist, conv, mnist-conv, wide",
    ):
        Trainer(NETWORK, "big")
    with pytest.raises(UserError, match=r"backend is 'gpu', must be golden or rtl or serial:PORT"):
        Trainer(NETWORK, backend="gpu")
    with pytest.raises(UserError, match=r"trace is a\.vcd on backend golden"):
        make_backend(
            "golden", NETWORK, LEARNING, MACHINES["tiny"], steps=1, every=True,
            trace="a.vcd",  # pyright: ignore
        )  # fmt: skip


def test_a_checkpoint_that_contradicts_itself(tmp_path):
    """Its place in the run must be one that its data leads to."""
    path = tmp_path / "run.safetensors"
    trained(1, save=path)
    for batches, samples, message in (
        (5, 26, "26 samples of the epoch under way are trained, must be 26: .* in 4 batches"),
        (2, 15, "15 samples of the epoch under way are trained, must be 16: the data has 26"),
        (0, 3, "3 samples of the epoch under way are trained, must be 0"),
    ):
        with Trainer.load(path) as trainer:
            progress = trainer.health.progress
            progress.batches, progress.tally.samples = batches, samples
            with pytest.raises(UserError, match=message):
                trainer.fit(TRAIN, 1)
