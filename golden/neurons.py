"""Neuron models, a step forward and a step back; they run in either arithmetic.

All tensors are float64 of (B, N): B samples, N neurons of a population. A state is a tuple of
them, one for each variable that a step hands to the next; states start at 0 in both directions.
"""

import torch

from backspike.golden.arithmetic import Arithmetic
from backspike.golden.exact import Terms
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import Surrogate

State = tuple[torch.Tensor, ...]


def variables(neuron: LIF | None) -> int:
    """How many tensors a state is: v; with a synapse v and i; of a read-out u. Backward likewise
    g; g and q; g."""
    return 2 if isinstance(neuron, CubaLIF) else 1


def codes_of(surrogate: Surrogate, x: torch.Tensor) -> torch.Tensor:
    """c = number of edges <= x, for x = u - θ: int64, x's shape."""
    return torch.bucketize(x, torch.tensor(surrogate.edges, dtype=x.dtype), right=True)


def derivative(surrogate: Surrogate, codes: torch.Tensor) -> torch.Tensor:
    """h(c) = values[c]: float64, codes' shape."""
    return torch.tensor(surrogate.values, dtype=torch.float64)[codes]


def passed(neuron: LIF, spikes: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """What an error is multiplied by: h(c), for rule mpd-ed h(c) s. Of spikes' shape."""
    h = derivative(neuron.surrogate, codes)
    return h * spikes if neuron.rule == "mpd-ed" else h


def step(
    a: Arithmetic, neuron: LIF, current: Terms, state: State
) -> tuple[torch.Tensor, torch.Tensor, State]:
    """(u_t, s_t, state) from a current and the state before.

    LIF        u_t = round(Σ_k w_kj s_k,t + λ v_{t-1})
    CUBA-LIF   i_t = round(Σ_k w_kj s_k,t + α i_{t-1})      u_t = round(i_t + λ v_{t-1})
    both       s_t = 1 if u_t >= θ else 0
               v_t = (1 - s_t) u_t hard, round(u_t - θ s_t) soft
    """
    if isinstance(neuron, CubaLIF):
        v, i = state
        i = a.round(*current, neuron.synapse * i)
        u = a.round(i, neuron.leak * v)
        synapse: State = (i,)
    else:
        (v,) = state
        u = a.round(*current, neuron.leak * v)
        synapse = ()
    s = (u >= neuron.threshold).to(u.dtype)
    v = (1 - s) * u if neuron.reset == "hard" else a.round(u, -neuron.threshold * s)
    return u, s, (v, *synapse)


def step_back(
    a: Arithmetic, neuron: LIF, error: Terms, s: torch.Tensor, codes: torch.Tensor, state: State
) -> tuple[torch.Tensor, State]:
    """(what errors and weight gradients are made of, state), from an error and the state after.

    e_t = round(error)                          not formed where h is 0: it reaches nothing there
    g_t = round(h(c_t) e_t + κ_t g_{t+1})       κ_t = λ (1 - s_t) hard, λ soft, 0 not temporal
    q_t = round(g_t + α q_{t+1})                of CUBA-LIF alone, in g's place; α 0 not temporal
    """
    h = passed(neuron, s, codes)
    wanted = (h != 0).to(h.dtype)
    e = a.round(*(x * wanted for x in error))
    if not neuron.temporal:
        g = a.round(h * e)
        return g, (g,) * variables(neuron)
    kappa = neuron.leak * (1 - s) if neuron.reset == "hard" else neuron.leak
    g = a.round(h * e, kappa * state[0])
    if isinstance(neuron, CubaLIF):
        q = a.round(g, neuron.synapse * state[1])
        return q, (g, q)
    return g, (g,)


def integrate(a: Arithmetic, current: Terms, state: State) -> State:
    """A read-out's u_t = round(Σ_k w_kj s_k,t + u_{t-1})."""
    return (a.round(*current, *state),)


def integrate_back(a: Arithmetic, error: Terms, state: State) -> State:
    """A read-out's g_t = round(e_t + g_{t+1}), e_t the loss's error of the step."""
    return (a.round(*error, *state),)
