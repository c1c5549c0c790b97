"""Neuron models, one step at a time, against exact rational arithmetic: what spikes do not show."""

import functools
from fractions import Fraction

import pytest
import torch

from backspike.golden import neurons
from backspike.golden.arithmetic import Halves
from backspike.golden.half import nearest, random_halves
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan, rectangle
from tests.support.rational_graph import Rounding

MODELS = {
    "lif": LIF(leak=0.3),
    "soft": LIF(leak=0.9, threshold=0.3, reset="soft", surrogate=arctan()),
    "cuba": CubaLIF(leak=0.7, synapse=0.3, surrogate=rectangle(3.0)),
    "cuba-soft": CubaLIF(leak=0.3, synapse=0.9, threshold=0.7, reset="soft", rule="mpd-ed"),
    "cuba-no-leak": CubaLIF(leak=1.0, synapse=1.0, temporal=False, surrogate=arctan()),
}
SIZE = 400


def numbers(g: torch.Generator) -> torch.Tensor:
    """Half of them any FP16, half ordinary, (1, SIZE)."""
    ordinary = nearest(torch.randn(1, SIZE, generator=g).double() * 2)
    return torch.where(torch.arange(SIZE) % 2 == 0, random_halves((1, SIZE), g), ordinary)


def sums(g: torch.Generator) -> tuple[torch.Tensor, ...]:
    """An exact sum, as terms: a number, and what moves it beside the middle of two halves."""
    x = numbers(g)
    rest = (2.0**-11 * x.abs() / 2).where(torch.rand(1, SIZE, generator=g) < 0.5, 0.0)
    return x, nearest(rest), 2.0**-24 * torch.randint(-1, 2, (1, SIZE), generator=g).double()


@functools.cache
def fractions(x: torch.Tensor) -> list[Fraction]:
    return [Fraction(v) for v in x.flatten().tolist()]


@pytest.mark.parametrize("name", MODELS)
def test_a_step(name):
    """u, the spike, and every variable that is handed on are rounded once, where the model says."""
    neuron, g = MODELS[name], torch.Generator().manual_seed(len(name))
    current = sums(g)
    state = tuple(numbers(g) for _ in range(neurons.variables(neuron)))
    u, s, after = neurons.step(Halves(), neuron, current, state)
    leak, theta = Fraction(neuron.leak), Fraction(neuron.threshold)
    to_half = Rounding()
    for n in range(SIZE):
        x = sum((fractions(term)[n] for term in current), Fraction(0))
        if isinstance(neuron, CubaLIF):
            x = to_half(x + Fraction(neuron.synapse) * fractions(state[1])[n])
            assert fractions(after[1])[n] == x
        want = to_half(x + leak * fractions(state[0])[n])
        assert fractions(u)[n] == want
        assert fractions(s)[n] == (want >= theta)
        v = to_half(want - theta * (want >= theta))
        if neuron.reset == "hard":
            v = want * (want < theta)
        assert fractions(after[0])[n] == v


@pytest.mark.parametrize("name", MODELS)
def test_a_step_back(name):
    """e, g and q are rounded once each; without a temporal path nothing is added to them."""
    neuron, g = MODELS[name], torch.Generator().manual_seed(9 + len(name))
    error = sums(g)
    s = torch.randint(0, 2, (1, SIZE), generator=g).double()
    codes = torch.randint(0, len(neuron.surrogate.values), (1, SIZE), generator=g)
    state = tuple(numbers(g) for _ in range(neurons.variables(neuron)))
    sent, after = neurons.step_back(Halves(), neuron, error, s, codes, state)
    to_half = Rounding()
    for n in range(SIZE):
        spike = fractions(s)[n]
        h = Fraction(neuron.surrogate.values[int(codes[0, n])])
        h *= spike if neuron.rule == "mpd-ed" else 1
        e = to_half(sum((fractions(term)[n] for term in error), Fraction(0)))
        kappa = Fraction(neuron.leak) * (1 - spike if neuron.reset == "hard" else 1)
        gradient = to_half(h * e + (kappa * fractions(state[0])[n] if neuron.temporal else 0))
        assert fractions(after[0])[n] == gradient
        if isinstance(neuron, CubaLIF):
            before = Fraction(neuron.synapse) * fractions(state[1])[n] if neuron.temporal else 0
            gradient = to_half(gradient + before)
            assert fractions(after[1])[n] == gradient
        assert fractions(sent)[n] == gradient
