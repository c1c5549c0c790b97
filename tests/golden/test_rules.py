"""The rules: without rounding they are torch.autograd's, with rounding exact rationals'."""

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
import torch

from backspike.golden import rules
from backspike.golden.arithmetic import Halves, Reals
from backspike.golden.half import from_bits, nearest, random_halves, to_bits, ulp
from backspike.ir.constants import SMALLEST
from backspike.ir.network import SURROGATES, Layer, Learning, Network, rectangle
from tests.support import rational

# ------------------------------------------------------------------- float64: torch.autograd agrees


class Spike(torch.autograd.Function):
    """1 if u >= θ; backward h(u - θ), for mpd-ed at spikes only. Knows no codes."""

    @staticmethod
    def forward(ctx: Any, u, layer: Layer):
        ctx.save_for_backward(u)
        ctx.layer = layer
        return (u >= layer.threshold).double()

    @staticmethod
    def backward(ctx: Any, *grads):
        (u,) = ctx.saved_tensors
        layer = ctx.layer
        h = torch.full_like(u, layer.surrogate.values[0])
        for edge, value in zip(layer.surrogate.edges, layer.surrogate.values[1:], strict=True):
            h[u - layer.threshold >= edge] = value
        if layer.rule == "mpd-ed":
            h = h * (u >= layer.threshold)
        return grads[0] * h, None


def autograd_logits(network: Network, weights: list[torch.Tensor], spikes: torch.Tensor):
    """The network as one would write it in PyTorch, step by step."""
    x = list(spikes.unbind(1))
    for layer, w in zip(network.layers, weights, strict=True):
        if layer.bias:
            x = [torch.cat([s, torch.ones(len(s), 1).double()], 1) for s in x]
        if layer is network.layers[-1]:
            return torch.stack([s @ w for s in x]).sum(0)
        v = torch.zeros(len(spikes), layer.size, dtype=torch.float64)
        fired = []
        for s in x:
            u = s @ w + layer.leak * (v if layer.temporal else v.detach())
            out = cast(torch.Tensor, Spike.apply(u, layer))
            fired.append(out)
            reset = out.detach()
            v = u * (1 - reset) if layer.reset == "hard" else u - layer.threshold * reset
        x = fired
    raise AssertionError


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
    weights = [torch.randn(s, generator=generator).double() / 2 for s in network.shapes]
    spikes = torch.randint(0, 2, (6, 5, 9), generator=generator).double()
    labels = torch.randint(0, 4, (6,), generator=generator)

    leaves = [w.clone().requires_grad_() for w in weights]
    want_logits = autograd_logits(network, leaves, spikes)
    want = torch.autograd.grad(loss_of(learning, want_logits, labels), leaves)

    a = Reals()
    activity = rules.forward(a, network, weights, spikes)
    if loss == "mse":
        error = rules.squared_error(a, activity.logits, labels, learning.alpha)
    else:
        error = torch.softmax(activity.logits, 1) - torch.eye(4, dtype=torch.float64)[labels]
    gradients = rules.backward(a, network, weights, activity, error)
    got = [rules.weight_gradient(a, s, g) for s, g in zip(activity.sources, gradients, strict=True)]

    # Sums of some hundred terms in another order: 1e-9 of the largest is 10^6 times their error.
    assert close(activity.logits, want_logits)
    for g, w in zip(got, want, strict=True):
        assert w.abs().max() > 0
        assert close(g, w)


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    return bool((got - want).abs().max() <= 1e-9 * want.abs().max())


# ---------------------------------------------------------------- halves: exact rationals agree


def exact_bits(values: torch.Tensor) -> list:
    """Nested patterns of values that must be halves."""
    bits = to_bits(values)
    assert torch.equal(from_bits(bits), values)
    return bits.tolist()


def both(network: Network, learning: Learning, weights, spikes, labels, error, draw):
    """The same step by the rules and by Fractions: two dictionaries of nested lists of bits."""
    a = Halves()
    values = [from_bits(w) for w in weights]
    activity = rules.forward(a, network, values, torch.from_numpy(spikes).double())
    if learning.loss == "mse":
        e = rules.squared_error(a, activity.logits, torch.from_numpy(labels), learning.alpha)
    else:
        e = from_bits(error)
    gradients = rules.backward(a, network, values, activity, e)
    updated = [
        rules.update(a, learning, w, rules.weight_gradient(a, s, g), r)
        for w, s, g, r in zip(values, activity.sources, gradients, draw, strict=True)
    ]
    hidden = [
        list(rules.membranes(Halves(), layer, w, s))
        for layer, w, s in zip(network.layers[:-1], values, activity.sources, strict=False)
    ]
    got = {
        "u": [torch.stack([u for u, _, _ in steps], 1).tolist() for steps in hidden],
        "v": [torch.stack([v for _, _, v in steps], 1).tolist() for steps in hidden],
        "logits": exact_bits(activity.logits),
        "spikes": [
            s[..., : layer.size].int().tolist()
            for s, layer in zip(activity.sources[1:], network.layers, strict=False)
        ],
        "codes": [c.tolist() for c in activity.codes],
        "gradients": [exact_bits(g) for g in gradients],
        "weights": [exact_bits(w) for w in updated],
        "saturated": a.saturated,
    }
    step = rational.Step(
        network, learning, [w.tolist() for w in weights], spikes.tolist(), labels.tolist(),
        error=lambda _: error.tolist(),
        draw=None if draw[0] is None else lambda i: draw[i].tolist(),
    )  # fmt: skip
    return got, {name: getattr(step, name) for name in got}


WEIGHTS = {
    "ordinary": lambda shape, g: to_bits(torch.randn(shape, generator=g) / 2),
    "extreme": lambda shape, g: to_bits(random_halves(shape, g)),
    "tiny": lambda shape, g: to_bits(random_halves(shape, g)) & 0x83FF,
    "largest": lambda shape, g: (
        0x7BFF - torch.randint(0, 3, shape, generator=g)
        + 0x8000 * torch.randint(0, 2, shape, generator=g)
    ).numpy().astype(np.uint16),
    "ties": lambda shape, g: ties(shape, g),
}  # fmt: skip


def ties(shape: tuple[int, int], g: torch.Generator) -> np.ndarray:
    """Columns of a number, half of its last place, the smallest half, and zeros: sums a 2^-24
    beside the middle of two halves, which to round to float32 first, or in parts, is to lose."""
    w = torch.zeros(shape, dtype=torch.float64)
    w[0] = nearest(1 + 3 * torch.rand(shape[1], generator=g).double())
    w[1] = ulp(w[0]) / 2
    w[2] = SMALLEST * (1 - 2 * torch.randint(0, 2, (shape[1],), generator=g))
    signs = 1 - 2 * torch.randint(0, 2, (shape[1],), generator=g)
    return to_bits(w[torch.randperm(shape[0], generator=g)] * signs + 0.0)


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
    weights = [np.where(w == 0x8000, 0, w).astype(np.uint16) for w in weights]
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
    assert exact_bits(got.flatten()) == [pattern for pattern, _ in exact]
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
        activity = rules.forward(a, network, weights, spikes)
        e = rules.squared_error(a, activity.logits, labels, learning.alpha)
        gradients = rules.backward(a, network, weights, activity, e)
        d = [
            rules.weight_gradient(a, s, x) for s, x in zip(activity.sources, gradients, strict=True)
        ]
        return activity.logits, d

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
    codes = rules.codes_of(table, x)
    assert codes.tolist() == [0, 1, 1, 1, 2, 2]
    assert rules.derivative(table, codes).tolist() == [0, 1, 1, 1, 0, 0]
