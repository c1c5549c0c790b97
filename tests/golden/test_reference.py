"""The float32 baseline: same gradients as the rules, same accuracy as the halves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from backspike.golden import graph, loss, rules
from backspike.golden.arithmetic import Reals
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits
from backspike.golden.initial import initial_weights
from backspike.golden.reference import Reference
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import rectangle
from tests.support.chains import named, run

NETWORK = Network(
    inputs=12, layers=(Layer(size=20, bias=True, reset="soft"), Layer(size=4)), steps=4
)


@pytest.mark.parametrize("rule", ["bptt", "mpd-ed"])
@pytest.mark.parametrize("lossname", ["ce", "mse"])
@pytest.mark.parametrize("temporal", [True, False])
def test_a_step_is_the_rules_step_but_for_float32(rule, lossname, temporal):
    """The PyTorch reference's weights after a step are the rules', to float32."""
    network = replace(
        NETWORK,
        layers=(replace(NETWORK.layers[0], rule=rule, temporal=temporal), NETWORK.layers[1]),
    )
    learning = Learning(loss=lossname, batch=5, rate=0.125)
    g = torch.Generator().manual_seed(2)
    spikes = torch.randint(0, 2, (5, 4, 12), generator=g)
    labels = torch.randint(0, 4, (5,), generator=g)
    bits = initial_weights(network, 1)
    reference = Reference(network, learning, bits)
    reference.train_batch(spikes, labels)

    a, weights = Reals(), named(network, [from_bits(w) for w in bits])
    activity, gradients = run(a, network, learning, weights, spikes.double(), labels)
    d = graph.weight_gradients(a, network.graph, activity, gradients)
    for (name, w), got in zip(weights.items(), reference.weights, strict=True):
        want = rules.update(a, learning, w, d[name])
        assert not torch.equal(want, w)
        # float32 keeps 24 bits; some hundred additions of terms near 1 lose up to 8 of them.
        assert (got - want).abs().max() < 2.0**-16


@pytest.mark.parametrize("rule", ["bptt", "mpd-ed"])
def test_halves_learn_digits_as_well_as_float32(rule):
    """Two epochs on the bundled digits, same weights and order: accuracy within three points.

    One test image in 360 is 0.28 points; ten epochs and three seeds are the benchmark's figure.
    """
    x, y = load_digits(return_X_y=True)
    count, t = np.round(x / 4).astype(int)[:, None, :], np.arange(4)[None, :, None]
    spikes = ((t + 1) * count // 4 - t * count // 4).astype(np.uint8)
    layer = Layer(size=64, rule=rule, surrogate=rectangle(1.0 if rule == "bptt" else 2.0))
    network = Network(inputs=64, layers=(layer, Layer(size=10)), steps=4)
    learning = Learning()
    weights = initial_weights(network, 5)
    golden, reference = GoldenBackend(network, learning), Reference(network, learning, weights)
    golden.load_weights(weights)
    order = np.random.default_rng(0)
    step = 0
    for _ in range(2):
        for i in np.split(order.permutation(1424), 89):
            logits = golden.forward(spikes[i], y[i])
            golden.update(loss.cross_entropy_error(logits, y[i]), step)
            reference.train_batch(spikes[i], y[i])
            step += 1
    test = [slice(i, i + 16) for i in range(1424, 1792, 16)]
    got = np.mean([loss.accuracy(golden.forward(spikes[i], y[i]), y[i]) for i in test])
    want = reference.accuracy(spikes[1424:1792], y[1424:1792])
    assert got > 0.85
    assert abs(got - want) < 0.03
    assert not golden.saturated()
