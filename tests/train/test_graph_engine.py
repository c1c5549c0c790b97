"""Graphs trained on the RTL: weights equal golden's, bit for bit, with every optimizer."""

import functools

import numpy as np
import pytest
import torch

from backspike.drive.graph_core import GraphCore
from backspike.drive.graph_lockstep import GraphLockstep
from backspike.gen.machine import MACHINES
from backspike.golden.graph_backend import GraphBackend
from backspike.golden.half import random_halves, to_bits
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.train.fuzz_graphs import roomy
from backspike.train.graph_engine import GraphEngine, check_graph_backend
from backspike.train.graph_trainer import GraphTrainer
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import SGD, Momentum

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


def trained(optimizer, backend: str, epochs: int = 2, **options) -> GraphTrainer:
    """A closed trainer, after its epochs."""
    with GraphTrainer(
        network(), TINY, backend, loss=LOSSES, optimizer=optimizer, batch=8, **options
    ) as trainer:
        trainer.fit(DATA, epochs)
        trainer.score(DATA)
        options = trainer.checked()
    assert bool(options["tensors"]) == (backend == "rtl")
    return trainer


def equal(a: GraphTrainer, b: GraphTrainer) -> bool:
    """Whether weights and histories are."""
    same = all(np.array_equal(a.weights[name], w) for name, w in b.weights.items())
    return same and a.history == b.history


@pytest.mark.verilator
@pytest.mark.parametrize("optimizer", [SGD(2.0**-5, "stochastic"), ADAM])
def test_the_rtl_trains_as_golden(optimizer):
    """Each tensor compared on the way, and the same weights in the end; some have changed."""
    golden = trained(optimizer, "golden")
    assert equal(trained(optimizer, "rtl"), golden)
    with GraphTrainer(network(), loss=LOSSES) as first:
        changed = {n: not np.array_equal(w, golden.weights[n]) for n, w in first.weights.items()}
    assert changed == {"x-h": True, "x-h.bias": True, "h-h": True, "h-y": True, "h-z": True,
                       "x-y": False}  # fmt: skip


@pytest.mark.verilator
def test_moments_go_on_on_the_rtl(tmp_path):
    """A run with momentum that changes from golden to the RTL, and back to golden."""
    path = tmp_path / "run.safetensors"
    optimizer = Momentum(2.0**-7, 0.75)
    whole = trained(optimizer, "golden", epochs=3)
    trained(optimizer, "golden", epochs=1).save(path)
    for backend in ("rtl", "golden"):
        with GraphTrainer.load(path, machine=TINY, backend=backend) as trainer:
            trainer.fit(DATA, 1)
            trainer.save(path)
    assert equal(GraphTrainer.load(path, machine=TINY), whole)


class Front:
    """Counts which calls a core gets."""

    def __init__(self, monkeypatch):
        self.calls: list[str] = []
        for name in ("forward", "update", "update_forward"):
            monkeypatch.setattr(GraphCore, name, self.counted(name, getattr(GraphCore, name)))

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
        with GraphTrainer(
            network(), TINY, "rtl", loss=LOSSES, optimizer=optimizer, batch=8, check=False
        ) as trainer:
            trainer.fit(DATA, 1)
            assert front.calls == want
            assert trainer.checked() == {"tensors": 0, "values": 0, "mismatches": 0}
    monkeypatch.setattr(GraphLockstep, "load_weights", lambda *_: (_ for _ in ()).throw(Mismatch))
    with pytest.raises(Mismatch), GraphTrainer(network(), TINY, "rtl", loss=LOSSES) as trainer:
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
            GraphTrainer(network(), machine, "rtl", steps=5, **options)
        with GraphTrainer(network(), machine, "rtl", **options) as trainer:
            with pytest.raises(UserError, match=message):
                trainer.fit(DATA, 1)


def test_golden_moments_are_set():
    """They come back, and the next update is made of them; wrong ones are refused."""
    graph, learning = network(), Learning(batch=4, momentum=0.5)
    engine = GraphEngine("golden", graph, learning, TINY, steps=2, stateful=False, check=False)
    g = torch.Generator().manual_seed(0)
    zero = {name: np.zeros(shape, np.uint16) for name, shape in graph.shapes.items()}
    moments = {c.name: to_bits(random_halves(graph.shapes[c.name], g)) for c in graph.trained}
    engine.load(zero, moments)
    assert all(np.array_equal(x, moments[name]) for name, x in engine.moments().items())
    assert set(engine.moments()) == {"x-h", "h-h", "h-y", "h-z"}
    logits = engine.forward({"x": np.zeros((1, 2, 6), np.uint8)}, go_on=False)
    engine.update({name: np.zeros_like(x) for name, x in logits.items()}, 0)
    assert any(x.any() for x in engine.weights().values())
    backend = GraphBackend(graph, learning)
    with pytest.raises(UserError, match=r"moments are of \[\], must be of"):
        backend.set_moments({})
    with pytest.raises(UserError, match=r"moments of h-h has the shape \(1,\), must have \(7, 7\)"):
        backend.set_moments({**moments, "h-h": np.zeros(1, np.uint16)})


def test_backends():
    """Golden and the RTL, as yet."""
    for name in ("golden", "rtl"):
        check_graph_backend(name)
    with pytest.raises(UserError, match="backend is 'serial:x', must be golden or rtl"):
        check_graph_backend("serial:x")
