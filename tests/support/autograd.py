"""A graph's forward pass as one would write it in PyTorch, for torch.autograd, in float64."""

from typing import Any, cast

import torch

from backspike.ir.connection import Identity
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF


class Spike(torch.autograd.Function):
    """1 if u >= θ; backward h(u - θ), for mpd-ed at spikes only. Knows no codes."""

    @staticmethod
    def forward(ctx: Any, u, neuron: LIF):
        ctx.save_for_backward(u)
        ctx.neuron = neuron
        return (u >= neuron.threshold).double()

    @staticmethod
    def backward(ctx: Any, *grads):
        (u,) = ctx.saved_tensors
        neuron = ctx.neuron
        h = torch.full_like(u, neuron.surrogate.values[0])
        for edge, value in zip(neuron.surrogate.edges, neuron.surrogate.values[1:], strict=True):
            h[u - neuron.threshold >= edge] = value
        if neuron.rule == "mpd-ed":
            h = h * (u >= neuron.threshold)
        return grads[0] * h, None


def autograd(graph: Graph, weights, inputs) -> dict[str, torch.Tensor]:
    """Each read-out's potentials, or spikes, of all steps, as one would write it in PyTorch."""
    some = next(iter(inputs.values()))
    order = [name for stage in graph.stages for name in stage if name not in inputs]
    v: dict = dict.fromkeys(order, 0.0)
    i: dict = dict.fromkeys(order, 0.0)
    before = {p.name: torch.zeros(len(some), p.size).double() for p in graph.populations}
    found: dict = {p.name: [] for p in graph.populations if p.role == "readout"}
    for t in range(some.shape[1]):
        now = {name: x[:, t] for name, x in inputs.items()}
        for name in order:
            x = 0.0
            for c in graph.into(name):
                s = (before if c.delay else now)[c.source]
                s = s.detach() if c.stop_gradient else s
                if isinstance(c.kind, Identity):
                    x = x + c.kind.scale * s
                else:
                    if c.kind.bias:
                        s = torch.cat([s, torch.ones(len(s), 1).double()], 1)
                    x = x + s @ weights[c.name]
            now[name] = made = leaky(graph.by_name[name].neuron, x, v, i, name)
            if name in found:
                found[name].append(made)
        before = now
    return {name: torch.stack(steps, 1) for name, steps in found.items()}


def leaky(neuron: LIF | None, x, v: dict, i: dict, name: str) -> torch.Tensor:
    """One step: the spikes, or a read-out's potential."""
    if neuron is None:
        v[name] = v[name] + x
        return v[name]
    old_v, old_i = v[name], i[name]
    if not neuron.temporal and torch.is_tensor(old_v):
        old_v = old_v.detach()
        old_i = old_i.detach() if torch.is_tensor(old_i) else old_i
    if isinstance(neuron, CubaLIF):
        x = i[name] = x + neuron.synapse * old_i
    u = x + neuron.leak * old_v
    s = cast(torch.Tensor, Spike.apply(u, neuron))
    reset = s.detach()
    v[name] = u * (1 - reset) if neuron.reset == "hard" else u - neuron.threshold * reset
    return s


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    """To 1e-9 of the largest, 10^6 times the error of some hundred terms in another order."""
    return bool((got - want).abs().max() <= 1e-9 * want.abs().max())
