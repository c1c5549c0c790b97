"""Training on the RTL: weights equal golden's, bit for bit, with every optimizer and loss."""

import functools

import numpy as np
import pytest
import torch

from backspike.drive.core_backend import CoreBackend
from backspike.drive.core_driver import CoreDriver
from backspike.drive.lockstep import Lockstep
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import random_halves, to_bits
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.train.fuzz_graphs import roomy
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import SGD, Momentum
from backspike.train.trainer import Trainer

TINY = roomy(MACHINES["tiny"])
RNG = np.random.default_rng(0)
DATA = RNG.integers(0, 2, (20, 5, 6)), {"y": RNG.integers(0, 3, 20), "z": RNG.integers(0, 2, 20)}
LOSSES = {"y": CrossEntropy(every_step=True), "z": MeanSquared()}
ADAM = functools.partial(torch.optim.Adam, lr=2.0**-6)


def network() -> Graph:
    """x -> h, which listens to itself -> y, and z, which spikes; a frozen connection."""
    net = Network()
    x, h = net.input("x", 6), net.population("h", 7, CubaLIF())
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    net.connect(h, net.readout("z", 2, LIF()))
    net.connect(x, "y", frozen=True)
    return net.graph


def trained(optimizer, backend: str, epochs: int = 2, **options) -> Trainer:
    """A closed trainer, after its epochs."""
    with Trainer(
        network(), TINY, backend, loss=LOSSES, optimizer=optimizer, batch=8, **options
    ) as trainer:
        trainer.fit(DATA, epochs)
        trainer.score(DATA)
        options = trainer.checked()
    assert bool(options["tensors"]) == (backend == "rtl")
    return trainer


def equal(a: Trainer, b: Trainer) -> bool:
    """Whether weights and histories are."""
    same = all(np.array_equal(a.weights[name], w) for name, w in b.weights.items())
    return same and a.history == b.history


@pytest.mark.verilator
@pytest.mark.parametrize(
    "optimizer", [SGD(2.0**-5, "stochastic"), Momentum(2.0**-6, falling=6), ADAM]
)
def test_the_rtl_trains_as_golden(optimizer):
    """Each tensor compared on the way, and the same weights in the end; some have changed."""
    golden = trained(optimizer, "golden")
    assert equal(trained(optimizer, "rtl"), golden)
    with Trainer(network(), loss=LOSSES) as first:
        changed = {n: not np.array_equal(w, golden.weights[n]) for n, w in first.weights.items()}
    assert changed == {"x-h": True, "x-h.bias": True, "h-h": True, "h-y": True, "h-z": True,
                       "x-y": False}  # fmt: skip


@pytest.mark.verilator
def test_a_rate_that_the_core_is_not_told_is_seen(monkeypatch):
    """The second update is a mismatch."""
    monkeypatch.setattr(CoreDriver, "set_rate", lambda *_: None)
    with pytest.raises(Mismatch, match="batch 1"):
        trained(SGD(2.0**-2, falling=6), "rtl")


def test_a_falling_rate_goes_on(tmp_path):
    """A resumed run has the rates of one in one go, and ends where these do."""
    path, optimizer = tmp_path / "run.safetensors", SGD(2.0**-2, falling=6)
    whole = trained(optimizer, "golden")
    trained(optimizer, "golden", epochs=1).save(path)
    with Trainer.load(path) as trainer:
        trainer.fit(DATA, 1)
        assert equal(trainer, whole)
        with pytest.raises(UserError, match="6 updates are done, must be fewer than 6 to go on"):
            trainer.fit(DATA, 1)
    assert not equal(trained(SGD(2.0**-2), "golden"), whole)


@pytest.mark.verilator
def test_moments_go_on_on_the_rtl(tmp_path):
    """A run with momentum that changes from golden to the RTL, and back to golden."""
    path = tmp_path / "run.safetensors"
    optimizer = Momentum(2.0**-7, 0.75)
    whole = trained(optimizer, "golden", epochs=3)
    trained(optimizer, "golden", epochs=1).save(path)
    for backend in ("rtl", "golden"):
        with Trainer.load(path, machine=TINY, backend=backend) as trainer:
            trainer.fit(DATA, 1)
            trainer.save(path)
    assert equal(Trainer.load(path, machine=TINY), whole)


class Front:
    """Counts which calls a core gets."""

    def __init__(self, monkeypatch):
        self.calls: list[str] = []
        for name in ("forward", "update", "update_forward"):
            monkeypatch.setattr(CoreBackend, name, self.counted(name, getattr(CoreBackend, name)))

    def counted(self, name, call):
        """The same, counted."""

        def counting(*args, **options):
            self.calls.append(name)
            return call(*args, **options)

        return counting


@pytest.mark.verilator
def test_update_and_forward_overlap(monkeypatch):
    """On chip they are one call, by the host two; without check golden is not asked."""
    front = Front(monkeypatch)
    for optimizer, want in (
        (SGD(), ["forward", "update_forward", "update_forward", "update"]),
        (ADAM, ["forward", "update"] * 3),
    ):
        front.calls.clear()
        with Trainer(
            network(), TINY, "rtl", loss=LOSSES, optimizer=optimizer, batch=8, check=False
        ) as trainer:
            trainer.fit(DATA, 1)
            assert front.calls == want
            assert trainer.checked() == {"tensors": 0, "values": 0, "mismatches": 0}
    monkeypatch.setattr(Lockstep, "load_weights", lambda *_: (_ for _ in ()).throw(Mismatch))
    with pytest.raises(Mismatch), Trainer(network(), TINY, "rtl", loss=LOSSES) as trainer:
        trainer.fit(DATA, 1)


def test_a_network_that_does_not_fit():
    """The compiler's words, before the first batch if the steps are given, else with it."""
    for optimizer, machine, message in (
        (Momentum(), "tiny", "'tiny' has no memory of moments, must have one for a momentum of .*, "
                             "as tiny,momentum=1"),
        (SGD(), "tiny,layers=1", "does not fit machine 'tiny,layers=1': its layers need"),
    ):  # fmt: skip
        options = {"loss": LOSSES, "optimizer": optimizer}
        with pytest.raises(UserError, match=message):
            Trainer(network(), machine, "rtl", steps=5, **options)
        with Trainer(network(), machine, "rtl", **options) as trainer:
            with pytest.raises(UserError, match=message):
                trainer.fit(DATA, 1)


def test_golden_moments_are_set():
    """They come back, and the next update is made of them; wrong ones are refused."""
    graph, learning = network(), Learning(batch=4, momentum=0.5)
    backend = GoldenBackend(graph, learning)
    g = torch.Generator().manual_seed(0)
    zero = {name: np.zeros(shape, np.uint16) for name, shape in graph.shapes.items()}
    moments = {c.name: to_bits(random_halves(graph.shapes[c.name], g)) for c in graph.trained}
    backend.load_weights(zero)
    backend.set_moments(moments)
    assert all(np.array_equal(x, moments[name]) for name, x in backend.moments().items())
    assert set(backend.moments()) == {"x-h", "h-h", "h-y", "h-z"}
    logits = backend.forward({"x": np.zeros((1, 2, 6), np.uint8)})
    backend.update({name: np.zeros_like(x) for name, x in logits.items()}, 0)
    assert any(x.any() for x in backend.weights().values())
    with pytest.raises(UserError, match=r"moments are of \[\], must be of"):
        backend.set_moments({})
    with pytest.raises(UserError, match=r"moments of h-h has the shape \(1,\), must have \(7, 7\)"):
        backend.set_moments({**moments, "h-h": np.zeros(1, np.uint16)})


@pytest.mark.verilator
@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquared(), CrossEntropy(every_step=True)])
@pytest.mark.parametrize("recurrent", [False, True])
def test_losses_of_the_last_step_and_of_every_one(loss, recurrent):
    """Logits and errors of the last step, errors that the core works out, and those of all steps;
    on a chain, and on a network whose steps take turns."""
    net = Network()
    x, h = net.input("x", 6), net.population("h", 7, LIF())
    net.connect(x, h)
    if recurrent:
        net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    data = DATA[0], DATA[1]["y"]
    found = []
    for backend in ("golden", "rtl"):
        with Trainer(net, TINY, backend, loss=loss, batch=8) as trainer:
            trainer.fit(data, 2)
            found.append((trainer, trainer.predict(data[0]), trainer.record(data[0])))
    (golden, logits, recorded), (rtl, others, again) = found
    assert equal(rtl, golden)
    assert np.array_equal(logits, others)
    assert np.array_equal(recorded["h"]["spikes"], again["h"]["spikes"])
    assert np.array_equal(recorded["y"]["logits"], again["y"]["logits"])
    every = isinstance(loss, CrossEntropy) and loss.every_step
    assert recorded["y"]["logits"].shape == ((20, 5, 3) if every else (20, 3))


@pytest.mark.verilator
@pytest.mark.parametrize("every_step", [False, True])
def test_read_outs_that_do_not_learn(every_step):
    """All that enters them is frozen: they have a loss, and their errors go nowhere."""
    net = Network()
    x, h = net.input("x", 6), net.population("h", 7, LIF())
    net.connect(x, h)
    net.connect(h, net.readout("y", 3))
    net.connect(x, net.readout("v", 3), frozen=True)
    net.connect(x, net.readout("w", 3, LIF()), frozen=True)
    loss = CrossEntropy(every_step=every_step)
    found = []
    for backend in ("golden", "rtl"):
        with Trainer(net, TINY, backend, loss=dict.fromkeys("yvw", loss), batch=8) as trainer:
            trainer.fit((DATA[0], DATA[1]["y"]), 2)
        found.append(trainer)
    assert equal(*found)
