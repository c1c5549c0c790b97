"""Losses of graphs: torch.autograd's gradients, the chain's bits, and what is refused."""

import math

import numpy as np
import pytest
import torch

from backspike.golden import graph as golden
from backspike.golden.arithmetic import Halves, Reals
from backspike.golden.half import from_bits, to_bits
from backspike.golden.loss import cross_entropy_error
from backspike.golden.reference import outputs
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan
from backspike.train.losses import Criterion, CrossEntropy, MeanSquared, errors
from tests.support.autograd import close
from tests.support.losses import cross_entropy, squared

BATCH, STEPS = 5, 6


def network(spiking: bool) -> Graph:
    """x -> h, which listens to itself -> y."""
    net = Network()
    x, h = net.input("x", 4), net.population("h", 7, CubaLIF(surrogate=arctan()))
    y = net.readout("y", 3, LIF(surrogate=arctan(), threshold=0.5) if spiking else None)
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, y)
    return net.graph


def two() -> Graph:
    """A network with two read-outs, one of which spikes."""
    net = Network()
    x, h = net.input("x", 4), net.population("h", 5, LIF())
    net.connect(x, h)
    net.connect(h, net.readout("y", 3))
    net.connect(h, net.readout("z", 2, LIF()))
    return net.graph


def drawn() -> tuple[torch.Tensor, np.ndarray]:
    """Logits (B, T, N), halves, and labels."""
    g = torch.Generator().manual_seed(3)
    logits = torch.randn((BATCH, STEPS, 3), generator=g).half().double() * 4
    return logits, torch.randint(0, 3, (BATCH,), generator=g).numpy()


def torch_loss(every_step: bool, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """As users of PyTorch write it, for the sum over the batch."""
    ce = torch.nn.functional.cross_entropy
    if not every_step:
        return ce(logits[:, -1], labels, reduction="sum")
    steps = logits.shape[1]
    losses = [ce(logits[:, t], labels, reduction="sum") for t in range(steps)]
    return torch.stack(losses).mean()


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("spiking", [False, True])
def test_weight_gradients_are_autograds(spiking, every_step):
    """From spikes to weight gradients, without rounding, of the last and of every step's loss."""
    graph = network(spiking)
    g = torch.Generator().manual_seed(7)
    weights = {n: torch.randn(s, generator=g).double() for n, s in graph.shapes.items()}
    inputs = {"x": torch.randint(0, 2, (BATCH, STEPS, 4), generator=g).double()}
    labels = torch.randint(0, 3, (BATCH,), generator=g)

    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    made = outputs(graph, leaves, inputs)["y"]
    logits = made.cumsum(1) if spiking else made
    loss = torch_loss(every_step, logits, labels)
    want = torch.autograd.grad(loss, list(leaves.values()))

    a = Reals()
    activity = golden.forward(a, graph, weights, inputs)
    mine = CrossEntropy(every_step=every_step)
    error = errors(mine, activity.logits["y"], labels.numpy(), spiking)
    gradients = golden.backward(a, graph, weights, activity, {"y": error})
    got = golden.weight_gradients(a, graph, (activity, gradients))
    value = float(mine.mean(activity.logits["y"], labels.numpy()))
    assert value == pytest.approx(loss.item() / BATCH)
    for d, w in zip(got.values(), want, strict=True):
        assert d.any()
        assert close(d, w)


def test_the_last_steps_error_is_the_chains():
    """Bits of `cross_entropy_error` in the last step, 0 before; and the same values."""
    logits, labels = drawn()
    bits = to_bits(logits)
    names = {"y": labels}
    criterion = Criterion(network(False), CrossEntropy())
    found = criterion.errors({"y": bits}, names)["y"]
    assert not found[:, :-1].any()
    assert np.array_equal(found[:, -1], cross_entropy_error(bits[:, -1], labels))
    assert criterion.values({"y": bits}, names) == {"y": cross_entropy(bits[:, -1], labels)}


def test_values():
    """Cross-entropy and squared loss, against numbers by hand."""
    logits = torch.tensor([[[1.0, 3.0, -64.0]], [[2.0, 2.0, -64.0]]], dtype=torch.float64)
    bits, labels = {"y": to_bits(logits)}, {"y": np.array([1, 0])}
    want = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    values = Criterion(network(False), CrossEntropy()).values(bits, labels)
    assert values["y"] == pytest.approx(want, rel=1e-12)
    # 1/2 (0.25² + 0.25² + 16²) and 1/2 (0.5² + 0.5² + 16²), at α = 1/4
    values = Criterion(network(False), MeanSquared(0.25)).values(bits, labels)
    assert values["y"] == (0.0625 + 0.25 + 256) / 2


def test_mean_squared():
    """α o - onehot, rounded once, as golden works it out of the last step's logits; only of the
    only read-out, in potentials, is it left to the backend."""
    logits, labels = drawn()
    bits = to_bits(logits)
    loss = MeanSquared(alpha=0.3)
    assert loss.alpha == float(np.float16(0.3))
    assert Criterion(network(False), loss).on_chip
    assert not Criterion(network(True), loss).on_chip
    assert Criterion(network(False), loss).errors({"y": bits}, {"y": labels}) == {}
    onehot = np.eye(3)[labels]
    want = (loss.alpha * logits[:, -1].numpy() - onehot).astype(np.float16)
    found = errors(loss, logits, labels, False)
    assert not found[:, :-1].any()
    assert np.array_equal(to_bits(Halves().round(found))[:, -1], want.view(np.uint16))
    value = Criterion(network(False), loss).values({"y": bits}, {"y": labels})["y"]
    assert value == squared(bits[:, -1], labels, loss.alpha)


def test_a_large_error_is_cut_off():
    """Beyond ±65504 it stays a half."""
    logits = torch.full((1, 1, 3), 60000.0).double()
    criterion = Criterion(network(True), MeanSquared(alpha=2.0))
    found = criterion.errors({"y": to_bits(logits)}, {"y": np.array([0])})["y"]
    assert from_bits(found).tolist() == [[[65504.0] * 3]]


def test_every_spike_has_the_same_error():
    """A read-out that spikes: of its number of spikes, which is the last step's logit."""
    logits, labels = drawn()
    bits = to_bits(logits.abs().round().cumsum(1))
    found = Criterion(network(True), CrossEntropy()).errors({"y": bits}, {"y": labels})["y"]
    for t in range(STEPS):
        assert np.array_equal(found[:, t], cross_entropy_error(bits[:, -1], labels))


def test_read_outs_without_a_loss_have_no_error():
    """Named by the loss itself or by a dict; others' errors are 0."""
    logits, labels = drawn()
    bits = {"y": to_bits(logits), "z": to_bits(logits[..., :2])}
    for loss in (CrossEntropy(readout="y"), {"y": CrossEntropy()}):
        criterion = Criterion(two(), loss)
        assert list(criterion.losses) == ["y"]
        found = criterion.errors(bits, {"y": labels})
        assert found["y"].any()
        assert not found["z"].any()
        assert found["z"].shape == bits["z"].shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(every_step=1), "every_step is 1, must be True or False"),
        (lambda: CrossEntropy(readout=1), "readout is 1, must be the name of a read-out"),
        (lambda: MeanSquared(readout=[]), r"readout is \[\], must be the name of a read-out"),
        (lambda: MeanSquared(alpha=1e6), "alpha is 1000000.0, must be a finite number"),
        (lambda: Criterion(two(), "ce"), "loss is 'ce' of a network with the read-outs y, z, must"),
        (lambda: Criterion(network(False), "ce"), "loss is 'ce', must be a CrossEntropy or a Mean"),
        (lambda: Criterion(two(), CrossEntropy()), "with the read-outs y, z, must be {name: loss}"),
        (lambda: Criterion(two(), {}), "loss is of no read-out, must be of 1 or more of y, z"),
        (lambda: Criterion(two(), {"h": CrossEntropy()}), "read-out 'h', must be of one of y, z"),
        (lambda: Criterion(two(), {"y": 3}), "loss is 3, must be a CrossEntropy or a MeanSquared"),
        (
            lambda: Criterion(two(), {"y": CrossEntropy(readout="z")}),
            "the loss of y has readout 'z', must have none",
        ),
    ],
)
def test_wrong_losses(make, message):
    """Each is refused with its reason."""
    with pytest.raises(UserError, match=message):
        make()
