"""A network of any graph as one writes it in PyTorch: autograd, and nothing is rounded to halves.

In float32 it is the baseline of accuracy, in float64 what golden's passes are tested against. So it
shares no code with them: it knows surrogates and rules, but no codes, terms or states of theirs.
Shapes: B samples, T steps, N neurons of a population, K sources of a connection.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch.nn.functional import avg_pool2d, conv2d

from backspike.golden.half import from_bits
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.connection import Conv2d, Identity
from backspike.ir.graph import Connection, Graph
from backspike.ir.neuron import LIF, CubaLIF

Tensors = Mapping[str, torch.Tensor]
Logits = dict[str, torch.Tensor]
MakesOptimizer = Callable[[Iterable[torch.Tensor]], torch.optim.Optimizer]


class Spike(torch.autograd.Function):
    """s = 1 if u >= θ else 0; backward multiplies by h(u - θ), for rule mpd-ed at spikes only."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, neuron: LIF) -> torch.Tensor:
        x = u.detach() - neuron.threshold
        s = (x >= 0).to(u.dtype)
        h = torch.full_like(x, neuron.surrogate.values[0])
        for edge, value in zip(neuron.surrogate.edges, neuron.surrogate.values[1:], strict=True):
            h[x >= edge] = value
        ctx.save_for_backward(h * s if neuron.rule == "mpd-ed" else h)
        return s

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (h,) = ctx.saved_tensors
        return grad_outputs[0] * h, None


def outputs(
    graph: Graph, weights: Tensors, inputs: Tensors, rates: dict[str, float] | None = None
) -> dict[str, torch.Tensor]:
    """(B, T, N) of each read-out: its potential after each step, or its spikes.

    weights: (K, N) by connection, a bias the last row; inputs: spikes (B, T, N) by population. Both
    of one floating type, which is the result's. rates: gets the share of spikes of each population
    with a neuron model.
    """
    some = next(iter(inputs.values()))
    order = [name for stage in graph.stages for name in stage if name not in inputs]
    v: dict[str, Any] = dict.fromkeys(order, 0.0)
    i: dict[str, Any] = dict.fromkeys(order, 0.0)
    before = {p.name: some.new_zeros(len(some), p.size) for p in graph.populations}
    found: dict[str, list] = {p.name: [] for p in graph.populations if p.role == "readout"}
    spikes = dict.fromkeys((n for n in order if graph.by_name[n].neuron is not None), 0)
    for t in range(some.shape[1]):
        now = {name: x[:, t] for name, x in inputs.items()}
        for name in order:
            currents = [
                _current(graph, c, weights, (before if c.delay else now)[c.source])
                for c in graph.into(name)
            ]
            now[name] = _step(graph.by_name[name].neuron, sum(currents), v, i, name)
            if name in found:
                found[name].append(now[name])
            if rates is not None and name in spikes:
                spikes[name] += int(torch.count_nonzero(now[name]))
        before = now
    if rates is not None:
        values = some.shape[0] * some.shape[1]
        rates.update({n: ones / (values * graph.by_name[n].size) for n, ones in spikes.items()})
    return {name: torch.stack(steps, 1) for name, steps in found.items()}


def _current(
    graph: Graph, connection: Connection, weights: Tensors, spikes: torch.Tensor
) -> torch.Tensor:
    """(B, N) of one step, from spikes (B, K)."""
    s = spikes.detach() if connection.stop_gradient else spikes
    if isinstance(connection.kind, Identity):
        return connection.kind.scale * s
    w = weights[connection.name]
    if isinstance(connection.kind, Conv2d):
        planes = s.reshape(len(s), *graph.by_name[connection.source].shape)
        return _convolved(connection.kind, w, planes).flatten(1)
    return s @ w[:-1] + w[-1] if connection.kind.bias else s @ w


def _convolved(kind: Conv2d, w: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """(B, N, rows, columns), of planes (B, C, rows, columns) and weights (K, N)."""
    pool: Any = planes.shape[2:] if kind.pool == "all" else kind.pool
    if pool != (1, 1):
        divisor = None if kind.average else 1
        planes = avg_pool2d(planes, pool, divisor_override=divisor)
    kernel, stride, padding = cast(Any, (kind.kernel, kind.stride, kind.padding))
    bias = w[-1] if kind.bias else None
    taps = (w[:-1] if kind.bias else w).T.reshape(w.shape[1], planes.shape[1], *kernel)
    return conv2d(planes, taps, bias, stride, padding)


def _step(neuron: LIF | None, current: Any, v: dict, i: dict, name: str) -> torch.Tensor:
    """A population's step: its spikes, or a read-out's potential. v, i: states, which it updates.

    The reset is detached; without the temporal path so is what comes of the step before.
    """
    if neuron is None:
        v[name] = v[name] + current
        return v[name]
    old_v, old_i = v[name], i[name]
    if not neuron.temporal:
        old_v, old_i = (x.detach() if torch.is_tensor(x) else x for x in (old_v, old_i))
    if isinstance(neuron, CubaLIF):
        current = i[name] = current + neuron.synapse * old_i
    u = current + neuron.leak * old_v
    s = cast(torch.Tensor, Spike.apply(u, neuron))
    reset = s.detach()
    v[name] = u * (1 - reset) if neuron.reset == "hard" else u - neuron.threshold * reset
    return s


class Reference:
    """Trains a network without rounding, from the weights that golden starts from.

    rates: of the last batch, the share of spikes of each population with a neuron model. optimizer:
    makes one of the weights that learn, as `functools.partial(torch.optim.Adam, lr=…)`.
    dtype: of weights, states and gradients. Spikes are (B, T, N) of 0 and 1 by input, in any type;
    of a graded one they are its numbers.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Bits],
        optimizer: MakesOptimizer,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.graph, self.dtype = graph, dtype
        self.rates: dict[str, float] = {}
        self.weights = {name: from_bits(weights[name]).to(dtype) for name in graph.shapes}
        trained = [self.weights[c.name].requires_grad_() for c in graph.trained]
        self.optimizer = optimizer(trained)

    def logits(self, inputs: Mapping[str, Any]) -> Logits:
        """(B, T, N) of each read-out: its potential, or its number of spikes, up to each step."""
        spikes = {
            name: torch.as_tensor(x).to(self.dtype) * self.graph.by_name[name].unit
            for name, x in inputs.items()
        }
        return {
            name: x if self.graph.by_name[name].neuron is None else x.cumsum(1)
            for name, x in outputs(self.graph, self.weights, spikes, self.rates).items()
        }

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Of some populations, from the next batch on."""
        self.graph = self.graph.with_thresholds(thresholds)

    @one_thread()
    def train_batch(
        self, inputs: Mapping[str, Any], loss: Callable[[Logits], torch.Tensor]
    ) -> float:
        """One step of the optimizer down the gradient of `loss`, a number; returns it."""
        found = loss(self.logits(inputs))
        self.optimizer.zero_grad()
        found.backward()
        self.optimizer.step()
        return float(found.detach())

    @one_thread()
    def classes(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """int64 (B,) of each read-out: the largest logit's after the last step."""
        with torch.no_grad():
            return {name: x[:, -1].argmax(1) for name, x in self.logits(inputs).items()}
