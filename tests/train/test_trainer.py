"""The trainer on golden: it learns, predicts, records, saves, goes on, and refuses."""

import functools
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan
from backspike.train.batches import epoch_order
from backspike.train.encode import latency, rate
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import SGD, Momentum
from backspike.train.trainer import Trainer

PIXELS, CLASSES = load_digits(return_X_y=True)
TRAIN = rate(PIXELS[:800] / 16, 4), CLASSES[:800]
TEST = rate(PIXELS[800:1100] / 16, 4), CLASSES[800:1100]
FEW = TRAIN[0][:40], TRAIN[1][:40]
ADAM = functools.partial(torch.optim.Adam, lr=2.0**-7)


def chain(hidden: int = 32) -> Graph:
    """64 inputs, a hidden layer, 10 classes."""
    return Sequential(Input(64), Dense(hidden, bias=True), LIF(), Dense(10))


def two_readouts() -> Graph:
    """The digit, and, in spikes, whether it is odd; inputs in two halves, one an image."""
    net = Network()
    a, b = net.input("a", (1, 4, 8)), net.input("b", 32)
    h = net.population("h", 40, LIF(surrogate=arctan()))
    net.connect(a, h)
    net.connect(b, h)
    net.connect(h, net.readout("y", 10))
    net.connect(h, net.readout("z", 2, LIF(surrogate=arctan())), Dense(bias=True))
    return net.graph


def halves(spikes: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of digits as those two inputs' are."""
    return {"a": spikes[..., :32].reshape(*spikes.shape[:2], 1, 4, 8), "b": spikes[..., 32:]}


def same(a: Trainer, b: Trainer) -> bool:
    """Whether all weights are equal."""
    return all(np.array_equal(a.weights[name], w) for name, w in b.weights.items())


# --------------------------------------------------------------------------------- it learns


@pytest.mark.parametrize(
    ("optimizer", "reached"),
    [(SGD(2.0**-6), 0.85), (Momentum(2.0**-8, 0.75), 0.85), (ADAM, 0.85)],
)
def test_digits_are_learnt(optimizer, reached):
    """A few epochs, each better than the first; and what `predict` says is what `score` counts."""
    with Trainer(chain(), optimizer=optimizer) as trainer:
        assert trainer.score(TEST) < 0.3
        history = trainer.fit(TRAIN, 4)
        assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
        assert history[-1]["loss"] < history[0]["loss"] / 2
        assert history[-1]["accuracy"] > 0.9
        assert trainer.score(TEST) > reached
        logits = trainer.predict(TEST[0])
        assert logits.shape == (300, 10)
        assert logits.dtype == np.float64
        assert trainer.score(TEST) == (logits.argmax(1) == TEST[1]).mean()
        assert not trainer.saturated


@pytest.mark.parametrize("every_step", [False, True])
def test_a_recurrent_network_learns(every_step):
    """CUBA-LIF that listens to itself, of spikes that come once."""
    net = Network()
    x, h = net.input("x", 64), net.population("h", 40, CubaLIF(surrogate=arctan()))
    net.connect(x, h)
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 10))
    spikes = latency(PIXELS[:800] / 16, 5)
    loss = CrossEntropy(every_step=every_step)
    with Trainer(net, loss=loss, optimizer=Momentum(2.0**-8, 0.75)) as trainer:
        before = trainer.weights["h-h"]
        history = trainer.fit((spikes, CLASSES[:800]), 4)
        assert history[-1]["accuracy"] > 0.8
        assert not np.array_equal(trainer.weights["h-h"], before)


def test_two_inputs_and_two_read_outs_learn():
    """A dict of inputs, of labels and of losses; history and predictions by read-out."""
    labels = {"y": TRAIN[1], "z": TRAIN[1] % 2}
    losses = {"y": CrossEntropy(), "z": MeanSquared(alpha=0.25)}
    with Trainer(two_readouts(), loss=losses, optimizer=ADAM) as trainer:
        first, *_, last = trainer.fit((halves(TRAIN[0]), labels), 4)
        assert set(last["readouts"]) == {"y", "z"}
        each = [x["loss"] for x in last["readouts"].values()]
        assert last["loss"] == pytest.approx(sum(each))
        for name in "yz":
            assert last["readouts"][name]["accuracy"] > 0.8
            assert last["readouts"][name]["loss"] < first["readouts"][name]["loss"]
        found = trainer.predict(halves(TRAIN[0][:50]))
        assert found["y"].shape == (50, 10)
        assert set(np.unique(found["z"])) <= set(range(5))
        right = [(found[n].argmax(1) == labels[n][:50]).mean() for n in "yz"]
        few = halves(TRAIN[0][:50]), {n: x[:50] for n, x in labels.items()}
        assert trainer.score(few) == pytest.approx(sum(right) / 2)


def test_the_hosts_gradients_are_means():
    """PyTorch's SGD of rate 16 η on float32 weights makes the first update of the core's rate η."""
    on_host = functools.partial(torch.optim.SGD, lr=16 * 2.0**-6)
    found = []
    for optimizer in (SGD(2.0**-6), on_host):
        with Trainer(chain(), optimizer=optimizer) as trainer:
            trainer.fit([(TRAIN[0][:16], TRAIN[1][:16])], 1)
            found.append(dict(trainer.weights))
    for name, w in found[0].items():
        assert np.array_equal(w, found[1][name]), name


def test_a_loader_trains_as_its_batches():
    """A torch DataLoader, and a list of its batches, in which order stays."""
    data = TensorDataset(torch.from_numpy(FEW[0]).float(), torch.from_numpy(FEW[1]))
    loader = DataLoader(data, batch_size=8)
    with Trainer(chain(), batch=8) as one, Trainer(chain(), batch=8) as other:
        assert one.fit(loader, 2) == other.fit(list(loader), 2)
        assert same(one, other)
        assert one.score(loader) == one.score(FEW)


# ------------------------------------------------------------------------------- it remembers


@pytest.mark.parametrize(
    "optimizer", [SGD(rounding="stochastic"), Momentum(2.0**-9, 0.5), ADAM, torch.optim.RMSprop]
)
def test_a_saved_run_goes_on_bit_for_bit(optimizer, tmp_path):
    """Weights, moments, masters, order and draws are those of a run that was not interrupted."""
    path = tmp_path / "run.safetensors"
    network = chain(8)
    with Trainer(network, optimizer=optimizer, seed=5, batch=8) as whole:
        whole.fit(FEW, 1)
        whole.save(path)
        rest = whole.fit(FEW, 2)
        with Trainer.load(path) as again:
            assert again.graph == network
            assert again.history == whole.history[:1]
            assert (again.steps, again.updates) == (4, 5)
            assert again.fit(FEW, 2) == rest
            assert same(again, whole)
            again.save(path)
        with Trainer.load(path) as third:
            assert same(third, whole)
            assert third.fit(FEW, 1) == whole.fit(FEW, 1)
            assert same(third, whole)


def test_a_run_is_saved_before_its_first_batch(tmp_path):
    """And after it was closed; other losses and options come back."""
    path = tmp_path / "run.safetensors"
    losses = {"z": MeanSquared(0.5), "y": CrossEntropy(every_step=True)}
    with Trainer(two_readouts(), "tiny", loss=losses, batch=7, stateful=True) as trainer:
        trainer.weights["b-h"] = np.ones((40, 32))
        trainer.save(path)
    with Trainer.load(path) as found:
        assert same(found, trainer)
        assert found.losses == trainer.losses
        assert found.machine.name == "tiny"
        assert (found.steps, found.stateful, found.learning) == (None, True, trainer.learning)
    trainer.save(path)
    assert Trainer.load(path, machine="wide").machine.name == "wide"


def test_weights_that_are_set_are_trained_on():
    """Before the first batch and after it, on chip and on the host; and read when closed."""
    for optimizer, most in ((SGD(), 0.3), (ADAM, 4 * 2.0**-7)):
        with Trainer(chain(8), optimizer=optimizer, seed=1) as a:
            b = Trainer(chain(8), optimizer=optimizer, seed=2)
            b.weights = a.weights
            assert a.fit(FEW, 1) == [x | {"epoch": 1} for x in b.fit([*batches(FEW, 1)], 1)]
            assert same(a, b)
            zero = np.zeros((10, 8))
            for each in (a, b):
                each.weights["readout"] = zero
                assert not each.predict(FEW[0]).any()
            a.fit(FEW, 1)
            assert np.abs(a.weights["readout"]).max() < most
        assert a.weights["readout"].any()
        with pytest.raises(UserError, match="the trainer is closed"):
            a.weights["readout"] = zero
        b.close()


def batches(data, seed: int):
    """A pair as the first epoch of that seed has it."""
    order = epoch_order(seed, 0, len(data[1]))
    for first in range(0, len(order), 16):
        rows = order[first : first + 16]
        yield data[0][rows], data[1][rows]


def test_record():
    """Spikes, codes and logits by population, in its shape, of more samples than a batch."""
    net = Network()
    h = net.population("h", (2, 3, 4), LIF())
    net.connect(net.input("x", 64), h)
    net.connect(h, net.readout("y", 10))
    net.connect(h, net.readout("z", 2, LIF()))
    with Trainer(net, loss=CrossEntropy(readout="y", every_step=True)) as trainer:
        found = trainer.record(TEST[0][:20])
        assert {name: set(each) for name, each in found.items()} == {
            "h": {"spikes", "codes"}, "y": {"logits"}, "z": {"spikes", "codes", "logits"},
        }  # fmt: skip
        assert found["h"]["spikes"].shape == (20, 4, 2, 3, 4)
        assert found["h"]["spikes"].dtype == np.uint8
        assert 0 < found["h"]["spikes"].mean() < 1
        assert found["y"]["logits"].shape == (20, 4, 10)
        assert np.array_equal(found["z"]["logits"], found["z"]["spikes"].cumsum(1))
        every = found["y"]["logits"]
        assert np.array_equal(every[:, -1], trainer.predict(TEST[0][:20]))
    with Trainer(net, loss=CrossEntropy(readout="y")) as trainer:  # of the last step only
        found = trainer.record(TEST[0][:20])
        assert np.array_equal(found["y"]["logits"], every[:, -1])
        assert found["z"]["logits"].shape == (20, 4, 2)


@pytest.mark.parametrize("optimizer", [SGD(2.0**-24), functools.partial(torch.optim.SGD, lr=0.0)])
def test_states_go_on(optimizer):
    """Batches that are windows of the same samples are as one long one, to train and to score;
    each epoch begins afresh."""
    whole, labels = TEST[0][:12], TEST[1][:12]
    windows = [(whole[:, t : t + 2], labels) for t in (0, 2)]
    with Trainer(chain(), optimizer=optimizer, stateful=True) as trainer:
        trainer.fit(windows, 2)
        first = trainer.fit(windows[:1], 1)[0]["loss"]
        both = trainer.fit(windows, 1)[0]["loss"]
        with Trainer(chain(), optimizer=optimizer) as long:
            assert 2 * both - first == pytest.approx(long.fit([(whole, labels)], 1)[0]["loss"])
        with Trainer(chain(), optimizer=optimizer, loss=CrossEntropy(every_step=True)) as steps:
            logits = steps.record(whole)["readout"]["logits"]
        right = (logits[:, [1, 3]].argmax(2) == labels[:, None]).mean()
        assert trainer.score(windows) == pytest.approx(right)
        with Trainer(chain(), optimizer=optimizer) as afresh:
            assert afresh.fit(windows, 1)[0]["loss"] != pytest.approx(both)
            assert afresh.score(windows) != pytest.approx(right)
        with pytest.raises(UserError, match=r"data is a pair of arrays, .* as the trainer is stat"):
            trainer.fit((whole[:, :2], labels), 1)
        with pytest.raises(
            UserError, match="the batch has 3 samples, must have 12, as the one tha"
        ):
            trainer.fit([windows[0], tuple(x[:3] for x in windows[1])], 1)


def test_callbacks():
    """Called with each epoch's dict, all of them; True stops, and nothing else does."""
    seen = []
    with Trainer(chain(8)) as trainer:
        history = trainer.fit(
            FEW, 9, [seen.append, lambda e: e["epoch"] == 2, lambda e: "go on", seen.append]
        )
        assert [e["epoch"] for e in history] == [1, 2]
        assert seen == [history[0]] * 2 + [history[1]] * 2
        assert trainer.fit(FEW, 1)[0]["epoch"] == 3
        assert len(trainer.history) == 3


def test_saturation_is_said(tmp_path):
    """Of weights that the host has updated, and of sums; also once closed or saved."""
    path = tmp_path / "run.safetensors"
    large = functools.partial(torch.optim.Adam, lr=1e6)
    with Trainer(chain(8), optimizer=large) as trainer:
        trainer.fit([(TRAIN[0][:16], TRAIN[1][:16])], 1)
        assert trainer.saturated
        assert np.abs(trainer.weights["readout"]).max() == 65504
        trainer.save(path)
    with Trainer.load(path) as again, Trainer(chain(8)) as sums:
        assert again.saturated
        assert not sums.saturated
        sums.weights = again.weights
        sums.predict(TRAIN[0][:16])
        assert sums.saturated
    assert sums.saturated


class Wild(torch.optim.SGD):
    """Leads to nothing."""

    def step(self, closure=None):
        """No numbers any more."""
        for group in self.param_groups:
            for each in group["params"]:
                torch.nn.init.constant_(each, float("nan"))


def test_weights_that_became_no_numbers():
    """What leads to them is refused; with other weights the trainer goes on."""
    with Trainer(chain(8), optimizer=Wild) as trainer:
        weights = dict(trainer.weights)
        with pytest.raises(
            UserError, match=r"weights of \w+ at .* are nan, must be finite numbers"
        ):
            trainer.fit(FEW, 1)
        trainer.weights = weights
        assert trainer.predict(FEW[0]).any()


# --------------------------------------------------------------------------------- it refuses


def frozen() -> Graph:
    """A network that cannot learn."""
    net = Network()
    net.connect(net.input("x", 64), net.readout("y", 10), frozen=True)
    return net.graph


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": 3}, "network is a int, must be a Graph, a builder's Network or a Sequential"),
        (
            {"machine": "huge"},
            "machine is 'huge', must be one of tiny, four, default, mnist, conv, mnist-conv, wide",
        ),
        ({"machine": 3}, "machine is 3, must be a Machine"),
        ({"backend": "gpu"}, "backend is 'gpu', must be golden or rtl"),
        ({"steps": 0}, "steps is 0, must be a whole number from 1 up"),
        ({"batch": 0}, "batch is 0, must be a whole number from 1 up"),
        ({"loss": "ce"}, "loss is 'ce', must be a CrossEntropy or a MeanSquared"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', must be an SGD"),
        ({"seed": -1}, "seed is -1, must be a whole number from 0 to 2^32 - 1"),
        ({"stateful": 1}, "stateful is 1, must be True or False"),
        ({"check": 1}, "check is 1, must be True or False"),
    ],
)
def test_wrong_options(options, message):
    """Each is refused with its reason."""
    with pytest.raises(UserError, match=re.escape(message)):
        Trainer(**{"network": chain(8)} | options)


def test_wrong_calls():
    """Epochs, callbacks, data and steps; a network that cannot learn, and a closed trainer."""
    trainer = Trainer(chain(8))
    for data, epochs, callbacks, message in (
        (FEW, 0, (), "epochs is 0, must be a whole number from 1 up"),
        (FEW, 1, [3], "a callback is 3, must be a function of a dict"),
        (FEW, 1, 3, "a callback is 3, must be a function of a dict"),
        (iter([FEW]), 2, (), "which ends after one epoch of 2"),
        ((FEW[0][..., :3], FEW[1]), 1, (), r"spikes of input have the shape .* \(B, T, 64\)"),
        ([FEW], 1, (), "batch 0 of the data: it has 40 samples, must have 1 to 16"),
    ):
        with pytest.raises(UserError, match=message):
            trainer.fit(data, epochs, callbacks)
    assert trainer.steps is None
    trainer.predict(FEW[0][:, :3])
    with pytest.raises(UserError, match="spikes of input have 4 steps, must have 3"):
        trainer.fit(FEW, 1)
    trainer.close()
    trainer.close()
    for call in (trainer.predict, trainer.record, trainer.score, lambda x: trainer.fit(x, 1)):
        with pytest.raises(UserError, match="the trainer is closed, must be open"):
            call(FEW)
    for optimizer in (SGD(), ADAM):
        with Trainer(frozen(), optimizer=optimizer) as still:
            assert still.predict(FEW[0]).any()
            with pytest.raises(UserError, match="all connections are frozen, or no error reaches"):
                still.fit(FEW, 1)
