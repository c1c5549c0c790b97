"""A batch through a network: forward, and its errors back; they run in either arithmetic.

Shapes: B samples, T steps, N neurons of a population, float64. Populations and connections go by
their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from backspike.golden import connections, neurons
from backspike.golden.arithmetic import Arithmetic
from backspike.golden.exact import Terms
from backspike.ir.graph import Connection, Graph

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Activity:
    """What a batch's forward pass keeps: for its backward pass, and for the batch that follows.

    spikes: (B, T, N) of each population that has some; codes: of the surrogate derivatives, int64
    (B, T, N), of each with a neuron model; logits: (B, T, N) of each read-out: its potential, or
    how often it has spiked up to each step. before: spikes (B, N) of the step before the first.
    state: of each but the inputs, after the last step.
    """

    spikes: dict[str, torch.Tensor]
    codes: dict[str, torch.Tensor]
    logits: dict[str, torch.Tensor]
    before: dict[str, torch.Tensor]
    state: dict[str, neurons.State]

    def of(self, name: str) -> torch.Tensor:
        """(B, T, N): spikes of a population, or a read-out's logits."""
        return self.spikes[name] if name in self.spikes else self.logits[name]

    def sources(self, connection: Connection) -> torch.Tensor:
        """(B, T, N): the spikes that a connection brings to each step."""
        spikes = self.spikes[connection.source]
        if not connection.delay:
            return spikes
        return torch.cat([self.before[connection.source].unsqueeze(1), spikes[:, :-1]], 1)

    def sources_at(self, connection: Connection, t: int) -> torch.Tensor:
        """(B, N): those that it brings to one step."""
        before = t < connection.delay
        source = connection.source
        return self.before[source] if before else self.spikes[source][:, t - connection.delay]


def forward(
    a: Arithmetic, graph: Graph, weights: Tensors, inputs: Tensors, last: Activity | None = None
) -> Activity:
    """inputs: spikes (B, T, N) of each input, of a graded one values. last: of the batch that
    this one continues, if any.

    The current of a population is one sum over all connections that enter it.
    """
    found = _start(graph, inputs, last)
    for stage in graph.stages:
        outer = {
            c.name: connections.current(a, graph, c, weights.get(c.name), found.sources(c))
            for name in stage
            for c in graph.into(name)
            if c.source not in stage
        }
        for t in range(next(iter(inputs.values())).shape[1]):
            for name in stage:
                current: Terms = ()
                for c in graph.into(name):
                    if c.name in outer:
                        current += tuple(x[:, t] for x in outer[c.name])
                    else:
                        s = found.sources_at(c, t)
                        current += connections.current(a, graph, c, weights.get(c.name), s)
                _step(a, graph, name, current, t, found)
    return found


def _start(graph: Graph, inputs: Tensors, last: Activity | None) -> Activity:
    """Tensors to be filled, step by step, but for the inputs' spikes."""
    some = next(iter(inputs.values()))
    batch, steps = some.shape[:2]
    empty = {p.name: some.new_zeros(batch, steps, p.size) for p in graph.populations}
    neuron = [p for p in graph.populations if p.neuron is not None]
    spikes = {p.name: empty[p.name].clone() for p in neuron} | dict(inputs)
    zero = {name: some.new_zeros(x.shape[0], x.shape[2]) for name, x in empty.items()}
    return Activity(
        spikes=spikes,
        codes={p.name: empty[p.name].long() for p in neuron},
        logits={p.name: empty[p.name] for p in graph.populations if p.role == "readout"},
        before={n: last.spikes[n][:, -1] if last else zero[n] for n in spikes},
        state=dict(last.state)
        if last
        else {
            p.name: (zero[p.name],) * neurons.variables(p.neuron)
            for p in graph.populations
            if p.role != "input"
        },
    )


def _step(a: Arithmetic, graph: Graph, name: str, current: Terms, t: int, found: Activity) -> None:
    """A population's step t; an input has none."""
    population = graph.by_name[name]
    neuron, state = population.neuron, found.state
    if population.role == "input":
        return
    if neuron is None:
        state[name] = neurons.integrate(a, current, state[name])
        found.logits[name][:, t] = state[name][0]
        return
    u, s, state[name] = neurons.step(a, neuron, current, state[name])
    found.spikes[name][:, t] = s
    # Two halves' difference spans 41 bits at most: exact.
    found.codes[name][:, t] = neurons.codes_of(neuron.surrogate, u - neuron.threshold)
    if population.role == "readout":
        # A half holds every number of spikes up to 2048.
        found.logits[name][:, t] = a.round(found.spikes[name][:, : t + 1].sum(1))


def backward(
    a: Arithmetic, graph: Graph, weights: Tensors, activity: Activity, errors: Tensors
) -> dict[str, torch.Tensor]:
    """What errors and weight gradients are made of: (B, T, N) of each population that learns.

    errors: (B, T, N) of each read-out: of its logits of each step, or, if it spikes, of its spikes.
    The error of a population is one sum over all connections that leave it.
    """
    steps = next(iter(errors.values())).shape[1]
    gradients: dict[str, torch.Tensor] = {}
    for stage in reversed(graph.stages):
        names = [name for name in reversed(stage) if name in graph.learning]
        back = {name: graph.errors_into(name) for name in names}
        outer = {
            c.name: _errors(a, graph, weights, c, _later(gradients[c.target], c.delay))
            for name in names
            for c in back[name]
            if c.target in gradients
        }
        state = {}
        for name in names:
            gradients[name] = torch.zeros_like(activity.of(name))
            zero = torch.zeros_like(gradients[name][:, 0])
            state[name] = (zero,) * neurons.variables(graph.by_name[name].neuron)
        for t in reversed(range(steps)):
            for name in names:
                error: Terms = (errors[name][:, t],) if name in errors else ()
                for c in back[name]:
                    if c.name in outer:
                        error += tuple(x[:, t] for x in outer[c.name])
                    elif t + c.delay < steps:
                        error += _errors(a, graph, weights, c, gradients[c.target][:, t + c.delay])
                g, state[name] = _step_back(a, graph, name, error, t, activity, state[name])
                gradients[name][:, t] = g
    return gradients


def _errors(
    a: Arithmetic, graph: Graph, weights: Tensors, c: Connection, gradients: torch.Tensor
) -> Terms:
    return connections.errors(a, graph, c, weights.get(c.name), gradients)


def _later(gradients: torch.Tensor, delay: int) -> torch.Tensor:
    """(B, T, N) of the step that a step's spikes arrive in: 0 after the last one."""
    return torch.nn.functional.pad(gradients[:, delay:], (0, 0, 0, delay)) if delay else gradients


def _step_back(
    a: Arithmetic,
    graph: Graph,
    name: str,
    error: Terms,
    t: int,
    activity: Activity,
    state: neurons.State,
) -> tuple[torch.Tensor, neurons.State]:
    """A population's step t: its gradient (B, N) and state."""
    neuron = graph.by_name[name].neuron
    error = error or (torch.zeros_like(state[0]),)
    if neuron is None:
        state = neurons.integrate_back(a, error, state)
        return state[0], state
    s, codes = activity.spikes[name][:, t], activity.codes[name][:, t]
    return neurons.step_back(a, neuron, error, s, codes, state)


def weight_gradients(
    a: Arithmetic, graph: Graph, *parts: tuple[Activity, Tensors]
) -> dict[str, torch.Tensor]:
    """d, (K, N), of each connection that has weights and is not frozen: one sum over all parts of
    the batch, each what it has kept and its gradients."""
    return {
        c.name: connections.weight_gradient(
            a,
            graph,
            c,
            torch.cat([activity.sources(c).flatten(0, 1) for activity, _ in parts]),
            torch.cat([gradients[c.target].flatten(0, 1) for _, gradients in parts]),
        )
        for c in graph.trained
    }
