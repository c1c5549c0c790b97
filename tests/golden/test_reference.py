"""The float32 baseline: the rules' steps but for float32, and an accuracy that halves reach."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from backspike.golden import graph as passes
from backspike.golden import loss, rules
from backspike.golden.arithmetic import Reals
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits
from backspike.golden.initial import initial_weights
from backspike.golden.reference import Reference
from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense, Identity
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF, Rule
from backspike.ir.surrogate import arctan, rectangle

RATE = 0.125


def network(rule: Rule, temporal: bool, spiking: bool) -> Graph:
    """Recurrent, with a skip, a bias, and a connection that is frozen."""
    net = Network()
    hidden = LIF(rule=rule, temporal=temporal, reset="soft", surrogate=arctan(), threshold=0.5)
    x, h = net.input("x", 12), net.population("h", 20, hidden)
    g = net.population("g", 20, CubaLIF(rule=rule, temporal=temporal))
    y = net.readout("y", 4, LIF(threshold=0.5) if spiking else None)
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, Dense(), delay=1)
    net.connect(h, g, Dense(), frozen=True)
    net.connect(h, g, Identity(0.5))
    net.connect(g, y)
    return net.graph


@pytest.mark.parametrize("rule", ["bptt", "mpd-ed"])
@pytest.mark.parametrize("temporal", [True, False])
@pytest.mark.parametrize("spiking", [True, False])
def test_a_step_is_the_rules_step_but_for_float32(rule, temporal, spiking):
    """Logits, and weights after a step of SGD; what is frozen stays. (float64: `test_graph`.)"""
    graph = network(rule, temporal, spiking)
    g = torch.Generator().manual_seed(2)
    spikes = torch.randint(0, 2, (5, 4, 12), generator=g)
    weights = {n: torch.randn((5, 4, 4), generator=g) for n in ("y",)}
    bits = initial_weights(graph, 1)
    reference = Reference(graph, bits, partial(torch.optim.SGD, lr=RATE))
    logits = reference.logits({"x": spikes})["y"].detach()
    told = reference.train_batch({"x": spikes}, lambda o: (o["y"] * weights["y"]).sum())
    assert told == pytest.approx(float((logits * weights["y"]).sum()), rel=1e-5)

    a, values = Reals(), {name: from_bits(w) for name, w in bits.items()}
    activity = passes.forward(a, graph, values, {"x": spikes.double()})
    assert (activity.logits["y"] - logits).abs().max() < 2.0**-16
    errors = weights["y"].double()
    if spiking:  # a spike counts in its step and all that follow
        errors = errors.flip(1).cumsum(1).flip(1)
    back = passes.backward(a, graph, values, activity, {"y": errors})
    d = passes.weight_gradients(a, graph, (activity, back))
    assert set(d) == {"x-h", "h-h", "g-y"}
    for name, w in values.items():
        want = rules.update(a, Learning(rate=RATE), w, d[name]) if name in d else w
        assert torch.equal(want, w) == (name not in d), name
        # float32 keeps 24 bits; some hundred additions of terms near 1 lose up to 8 of them.
        assert (reference.weights[name] - want).abs().max() < 2.0**-16, name


@pytest.mark.parametrize("rule", ["bptt", "mpd-ed"])
def test_halves_learn_digits_as_well_as_float32(rule):
    """Two epochs on the bundled digits, same weights and order: accuracy within three points.

    One test image in 360 is 0.28 points; ten epochs and three seeds are the benchmark's figure.
    """
    x, y = load_digits(return_X_y=True)
    count, t = np.round(x / 4).astype(int)[:, None, :], np.arange(4)[None, :, None]
    spikes = ((t + 1) * count // 4 - t * count // 4).astype(np.uint8)
    neuron = LIF(rule=rule, surrogate=rectangle(1.0 if rule == "bptt" else 2.0))
    graph = Sequential(Input(64), Dense(64), neuron, Dense(10))
    weights, learning = initial_weights(graph, 5), Learning()
    golden = GoldenBackend(graph, learning)
    golden.load_weights(weights)
    reference = Reference(graph, weights, partial(torch.optim.SGD, lr=learning.rate))
    order, step = np.random.default_rng(0), 0
    for _ in range(2):
        for i in np.split(order.permutation(1424), 89):
            logits = golden.forward({"input": spikes[i]})["readout"]
            errors = np.zeros_like(logits)
            errors[:, -1] = loss.cross_entropy_error(logits[:, -1], y[i])
            golden.update({"readout": errors}, step)
            step += 1
            labels = torch.from_numpy(y[i])
            reference.train_batch(
                {"input": spikes[i]},
                lambda o, labels=labels: torch.nn.functional.cross_entropy(
                    o["readout"][:, -1], labels, reduction="sum"
                ),
            )
    test = [slice(i, i + 16) for i in range(1424, 1792, 16)]
    last = [golden.forward({"input": spikes[i]})["readout"][:, -1] for i in test]
    got = np.mean([loss.accuracy(logits, y[i]) for logits, i in zip(last, test, strict=True)])
    classes = reference.classes({"input": spikes[1424:1792]})["readout"].numpy()
    want = np.mean(classes == y[1424:1792])
    assert got > 0.85
    assert abs(got - want) < 0.03
    assert not golden.saturated()
