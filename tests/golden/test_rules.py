"""Chains of dense layers, with a loss: without rounding autograd's, with rounding rationals'."""

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from backspike.golden import graph, neurons, rules
from backspike.golden.arithmetic import Halves, Reals
from backspike.golden.half import from_bits, nearest, random_halves, to_bits
from backspike.golden.reference import outputs
from backspike.ir.learning import Learning
from backspike.ir.surrogate import SURROGATES, rectangle
from tests.support import rational
from tests.support.autograd import close
from tests.support.chains import named, rational_step, run
from tests.support.layered import Layer, Network
from tests.support.rational_graph import patterns
from tests.support.weight_kinds import WEIGHTS

LAST = "2"
"""The read-out's name in networks of three layers."""


# ------------------------------------------------------------------- float64: torch.autograd agrees


def loss_of(learning: Learning, logits, labels) -> torch.Tensor:
    """Summed over the batch, as the gradient is."""
    if learning.loss == "ce":
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    onehot = torch.eye(logits.shape[1], dtype=torch.float64)[labels]
    return (learning.alpha / 2 * logits**2 - logits * onehot).sum()


OPTIONS = list(
    itertools.product(
        ["hard", "soft"], ["bptt", "mpd-ed"], [True, False], sorted(SURROGATES), ["ce", "mse"],
        [False, True],
    )
)  # fmt: skip


@pytest.mark.parametrize(("reset", "rule", "temporal", "surrogate", "loss", "bias"), OPTIONS)
def test_without_rounding_it_is_autograd(reset, rule, temporal, surrogate, loss, bias):
    """Logits and all weight gradients are torch.autograd's to 1e-9, for all options."""
    layer = Layer(
        size=13, leak=0.7, threshold=0.8, reset=reset, bias=bias, rule=rule, temporal=temporal,
        surrogate=SURROGATES[surrogate](),
    )  # fmt: skip
    network = Network(
        inputs=9, layers=(layer, replace(layer, size=11, leak=0.9), Layer(size=4, bias=bias)),
        steps=5,
    )  # fmt: skip
    learning = Learning(loss=loss, batch=6, alpha=0.3)
    generator = torch.Generator().manual_seed(3)
    weights = named(
        network, [torch.randn(s, generator=generator).double() / 2 for s in network.shapes]
    )
    spikes = torch.randint(0, 2, (6, 5, 9), generator=generator).double()
    labels = torch.randint(0, 4, (6,), generator=generator)

    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    want_logits = outputs(network.graph, leaves, {"input": spikes})[LAST][:, -1]
    want = torch.autograd.grad(loss_of(learning, want_logits, labels), list(leaves.values()))

    a = Reals()
    activity, gradients = run(a, network, learning, weights, spikes, labels)
    got = graph.weight_gradients(a, network.graph, (activity, gradients))
    assert close(activity.logits[LAST][:, -1], want_logits)
    for g, w in zip(got.values(), want, strict=True):
        assert w.abs().max() > 0
        assert close(g, w)


# ---------------------------------------------------------------- halves: exact rationals agree


def both(network: Network, learning: Learning, weights, spikes, labels, error, draw):
    """The same step by golden and by Fractions: two dictionaries of nested lists of bits."""
    a, names = Halves(), list(network.graph.shapes)
    values = named(network, [from_bits(w) for w in weights])
    x, onehot = torch.from_numpy(spikes).double(), torch.from_numpy(labels)
    activity, gradients = run(a, network, learning, values, x, onehot, from_bits(error))
    d = graph.weight_gradients(a, network.graph, (activity, gradients))
    got = {
        "logits": patterns(activity.logits[names[-1]][:, -1]),
        "spikes": [activity.spikes[n].int().tolist() for n in names[:-1]],
        "codes": [activity.codes[n].tolist() for n in names[:-1]],
        "gradients": [patterns(gradients[n]) for n in names],
        "weights": [
            patterns(rules.update(a, learning, values[n], d[n], r))
            for n, r in zip(names, draw, strict=True)
        ],
        "saturated": a.saturated,
    }
    draws = None
    if draw[0] is not None:
        draws = dict(zip(names, [r.tolist() for r in draw], strict=True))
    return got, rational_step(network, learning, weights, spikes, labels, error.tolist(), draws)


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
@pytest.mark.parametrize("case", range(12))
def test_with_rounding_it_is_exact(kind, case):
    """Whole steps of small networks, all options in turn, up to weights that saturate."""
    g = torch.Generator().manual_seed(100 * case + len(kind))

    def pick(options: list) -> Any:
        return options[int(torch.randint(0, len(options), (), generator=g))]

    def layer(size: int) -> Layer:
        return Layer(
            size=size, leak=pick([0.0, 0.3, 0.75, 1.0]), threshold=pick([1.0, 0.1, 300.0, -0.5]),
            reset=pick(["hard", "soft"]), bias=pick([False, True]), rule=pick(["bptt", "mpd-ed"]),
            temporal=pick([True, True, False]), surrogate=SURROGATES[pick(sorted(SURROGATES))](),
        )  # fmt: skip

    network = Network(inputs=4, layers=(layer(5), layer(3), layer(3)), steps=3)
    learning = Learning(
        loss=pick(["ce", "mse"]), batch=3, rate=pick([2.0**-6, 1.0, 1000.0, 2.0**-24]),
        alpha=pick([0.25, 0.3, 100.0]),
    )  # fmt: skip
    weights = [WEIGHTS[kind](s, g) for s in network.shapes]
    spikes = torch.randint(0, 2, (3, 3, 4), generator=g).numpy().astype(np.uint8)
    labels = torch.randint(0, 3, (3,), generator=g).numpy()
    error = to_bits(random_halves((3, 3), g))
    chance = case % 2
    draw = [torch.randint(0, 2**16, s, generator=g) if chance else None for s in network.shapes]
    got, want = both(network, learning, weights, spikes, labels, error, draw)
    for name in want:
        assert got[name] == want[name], name


@pytest.mark.parametrize("alpha", [0.25, 0.3, 0.7, 0.9, -1.0, 100.0, 65504.0])
def test_a_squared_error_is_rounded_once(alpha):
    """For logits of every exponent, and for those with α o - 1 beside the middle of two halves.

    α 0.7 and 0.9 have logits for which float32 in between is one rounding too many.
    """
    alpha = Learning(alpha=alpha).alpha
    g = torch.Generator().manual_seed(4)
    near = torch.arange(-100, 101).double() * 2.0**-12 / alpha
    logits = torch.cat([random_halves((400,), g), nearest(near), nearest(near + 1 / alpha)])
    logits = torch.stack([logits, logits], 1)  # the first is the label's, the second is not
    a = Halves()
    got = rules.squared_error(a, logits, torch.zeros(len(logits), dtype=torch.int64), alpha)
    exact = [
        rational.nearest(Fraction(alpha) * Fraction(float(o)) - (j == 0))
        for row in logits
        for j, o in enumerate(row)
    ]
    assert patterns(got.flatten()) == [pattern for pattern, _ in exact]
    assert a.saturated == any(saturated for _, saturated in exact)


def test_cases_saturate_and_do_not():
    """The steps above reach saturation in each place; here each is reached alone."""
    network = Network(inputs=1, layers=(Layer(size=1), Layer(size=1)), steps=2)
    one = np.array([[0x3C00]], dtype=np.uint16)
    big = np.array([[0x7BFF]], dtype=np.uint16)
    spikes, labels = np.ones((1, 2, 1), np.uint8), np.zeros(1, np.int64)
    for weights, error, rate, saturates in (
        ([one, one], one, 1.0, False),
        ([big, one], one, 1.0, False),
        ([one, big], one * 0, 1.0, True),  # the read-out adds 65504 twice
        ([one, one], big, 2.0**-24, True),  # d adds 65504 twice
    ):
        learning = Learning(batch=1, rate=rate)
        got, want = both(network, learning, weights, spikes, labels, error, [None, None])
        assert got == want
        assert got["saturated"] == saturates


def test_an_error_that_no_derivative_lets_through_cannot_saturate():
    """h is 0 two thresholds below θ: the sum of 2 * 65504 * 65504 is not asked for."""
    network = Network(inputs=1, layers=(Layer(size=1, threshold=2.0), Layer(size=1)), steps=1)
    weights = [np.array([[0]], np.uint16), np.array([[0x7BFF]], np.uint16)]
    for threshold, saturates in ((2.0, False), (0.25, True)):
        layers = (replace(network.layers[0], threshold=threshold), network.layers[1])
        got, want = both(
            replace(network, layers=layers), Learning(batch=1, rate=2.0**-24), weights,
            np.ones((1, 1, 1), np.uint8), np.zeros(1, np.int64),
            np.array([[0x7BFF]], np.uint16), [None, None],
        )  # fmt: skip
        assert got == want
        assert got["saturated"] == saturates


def test_neurons_samples_and_sources_may_come_in_any_order():
    """Permuting what is summed over permutes the results and changes none of their bits."""
    network = Network(
        inputs=40, layers=(Layer(size=30, surrogate=rectangle(8.0)), Layer(size=5)), steps=3
    )
    g = torch.Generator().manual_seed(8)
    learning = Learning(batch=12, loss="mse")
    weights = [random_halves(s, g) for s in network.shapes]
    spikes = torch.randint(0, 2, (12, 3, 40), generator=g).double()
    labels = torch.randint(0, 5, (12,), generator=g)
    sample, source, neuron = (torch.randperm(n, generator=g) for n in (12, 40, 30))

    def step(weights, spikes, labels):
        a = Halves()
        activity, gradients = run(a, network, learning, named(network, weights), spikes, labels)
        d = graph.weight_gradients(a, network.graph, (activity, gradients))
        return activity.logits["1"][:, -1], d.values()

    logits, (d0, d1) = step(weights, spikes, labels)
    moved = [weights[0][source][:, neuron], weights[1][neuron]]
    logits_moved, (d0_moved, d1_moved) = step(moved, spikes[sample][..., source], labels[sample])
    assert torch.equal(logits_moved, logits[sample])
    assert torch.equal(d0_moved, d0[source][:, neuron])
    assert torch.equal(d1_moved, d1[neuron])


def test_codes_count_the_edges_at_or_below():
    """An edge belongs to the code above it; h is the table's entry."""
    table = rectangle(1.0)
    x = torch.tensor([-0.5 - 2.0**-24, -0.5, 0.0, 0.5 - 2.0**-24, 0.5, 65504.0]).double()
    codes = neurons.codes_of(table, x)
    assert codes.tolist() == [0, 1, 1, 1, 2, 2]
    assert neurons.derivative(table, codes).tolist() == [0, 1, 1, 1, 0, 0]
