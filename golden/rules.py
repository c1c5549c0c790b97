"""The learning rules, equation by equation; they run in either arithmetic.

Shapes: B samples, T time steps, K sources (a bias is the last one), N neurons of a layer. All
tensors are float64; spikes are 0 or 1. `a.round` is the identity in the arithmetic `Reals`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from backspike.golden.arithmetic import Arithmetic
from backspike.ir.network import Layer, Learning, Network, Surrogate


@dataclass(frozen=True)
class Activity:
    """What a batch's forward pass keeps for its backward pass.

    sources: each layer's input spikes, (B, T, K); codes: of each hidden layer's surrogate
    derivative, int64 (B, T, N); logits: (B, N) of the read-out.
    """

    sources: list[torch.Tensor]
    codes: list[torch.Tensor]
    logits: torch.Tensor


def codes_of(surrogate: Surrogate, x: torch.Tensor) -> torch.Tensor:
    """c = number of edges <= x, for x = u - θ: int64, x's shape."""
    return torch.bucketize(x, torch.tensor(surrogate.edges, dtype=x.dtype), right=True)


def derivative(surrogate: Surrogate, codes: torch.Tensor) -> torch.Tensor:
    """h(c) = values[c]: float64, codes' shape."""
    return torch.tensor(surrogate.values, dtype=torch.float64)[codes]


def with_bias(layer: Layer, spikes: torch.Tensor) -> torch.Tensor:
    """The layer's sources: its input spikes, and a bias that spikes in every step."""
    return torch.nn.functional.pad(spikes, (0, 1), value=1.0) if layer.bias else spikes


# ---------------------------------------------------------------------------------------- forward


def membranes(
    a: Arithmetic, layer: Layer, weights: torch.Tensor, sources: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """(u_t, s_t, v_t) of a hidden layer, each (B, N), for t = 0 .. T - 1; sources (B, T, K).

    u_t = round(Σ_k w_kj s_k,t + λ v_{t-1})         s_t = 1 if u_t >= θ else 0
    v_t = (1 - s_t) u_t hard, round(u_t - θ s_t) soft
    """
    current = a.gated_sum(sources, weights)
    v = torch.zeros_like(current[0][:, 0])
    for t in range(sources.shape[1]):
        u = a.round(*(x[:, t] for x in current), layer.leak * v)
        s = (u >= layer.threshold).to(u.dtype)
        v = (1 - s) * u if layer.reset == "hard" else a.round(u, -layer.threshold * s)
        yield u, s, v


def integrate_and_fire(
    a: Arithmetic, layer: Layer, weights: torch.Tensor, sources: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and codes (B, T, N) of a hidden layer; sources (B, T, K).

    c_t = code of u_t - θ
    """
    spikes, codes = [], []
    for u, s, _ in membranes(a, layer, weights, sources):
        spikes.append(s)
        # Two halves' difference spans 41 bits at most: exact.
        codes.append(codes_of(layer.surrogate, u - layer.threshold))
    return torch.stack(spikes, 1), torch.stack(codes, 1)


def integrate(a: Arithmetic, weights: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Logits (B, N) of the read-out: u_t = round(Σ_k w_kj s_k,t + u_{t-1}), the last one."""
    current = a.gated_sum(sources, weights)
    u = torch.zeros_like(current[0][:, 0])
    for t in range(sources.shape[1]):
        u = a.round(*(x[:, t] for x in current), u)
    return u


def forward(
    a: Arithmetic, network: Network, weights: list[torch.Tensor], spikes: torch.Tensor
) -> Activity:
    """All layers; spikes (B, T, inputs). Each layer runs all its steps before the next."""
    *hidden, readout = network.layers
    sources, codes = [], []
    for layer, w in zip(hidden, weights[:-1], strict=True):
        sources.append(with_bias(layer, spikes))
        spikes, c = integrate_and_fire(a, layer, w, sources[-1])
        codes.append(c)
    sources.append(with_bias(readout, spikes))
    return Activity(sources, codes, integrate(a, weights[-1], sources[-1]))


# --------------------------------------------------------------------------------------- backward


def squared_error(
    a: Arithmetic, logits: torch.Tensor, labels: torch.Tensor, alpha: float
) -> torch.Tensor:
    """The read-out's error for the mean squared loss: e = round(α o - onehot), (B, N)."""
    onehot = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return a.round(alpha * logits, -onehot)


def spike_gradients(
    a: Arithmetic,
    layer: Layer,
    spikes: torch.Tensor,
    codes: torch.Tensor,
    weights_above: torch.Tensor,
    gradients_above: torch.Tensor,
) -> torch.Tensor:
    """Gradients g (B, T, N) of a hidden layer, from those of the layer above, (B, T, M).

    e_t = round(Σ_j w_kj g_j,t)                     weights_above: (N, M) or, with bias, (N + 1, M)
    g_t = round(h(c_t) e_t + κ_t g_{t+1})           κ_t = λ (1 - s_t) hard, λ soft, 0 not temporal

    Rule mpd-ed multiplies h(c_t) by s_t. An error whose h is 0 reaches nothing and is not summed,
    so that it cannot saturate either.
    """
    steps, neurons = codes.shape[1:]
    h = derivative(layer.surrogate, codes)
    if layer.rule == "mpd-ed":
        h = h * spikes
    sums = a.product_sum(gradients_above.flatten(0, 1), weights_above[:neurons].T)
    wanted = (h != 0).to(h.dtype)
    e = a.round(*(x.view(h.shape) * wanted for x in sums))

    if not layer.temporal:
        return a.round(h * e)
    g = torch.zeros_like(e[:, 0])
    gradients = []
    for t in reversed(range(steps)):
        kappa = layer.leak * (1 - spikes[:, t]) if layer.reset == "hard" else layer.leak
        g = a.round(h[:, t] * e[:, t], kappa * g)
        gradients.append(g)
    return torch.stack(gradients[::-1], 1)


def backward(
    a: Arithmetic,
    network: Network,
    weights: list[torch.Tensor],
    activity: Activity,
    error: torch.Tensor,
) -> list[torch.Tensor]:
    """Gradients (B, T, N) of every layer from the error e (B, N) at the read-out.

    The error enters at the last step and the read-out does not leak, so its g_t is e for every t.
    """
    gradients = [error.unsqueeze(1).repeat(1, network.steps, 1)]
    for l in reversed(range(len(network.layers) - 1)):  # noqa: E741
        size = network.layers[l].size
        spikes = activity.sources[l + 1][..., :size]
        g = spike_gradients(
            a, network.layers[l], spikes, activity.codes[l], weights[l + 1], gradients[0]
        )
        gradients.insert(0, g)
    return gradients


# ----------------------------------------------------------------------------------------- update


def weight_gradient(a: Arithmetic, sources: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """d_kj = round(Σ_b Σ_t s_k,t g_j,t), (K, N), over the whole batch."""
    return a.round(*a.gated_sum(sources.flatten(0, 1).T, gradients.flatten(0, 1)))


def update(
    a: Arithmetic,
    learning: Learning,
    weights: torch.Tensor,
    gradient: torch.Tensor,
    random: torch.Tensor | None = None,
) -> torch.Tensor:
    """w_kj = round(w_kj - η d_kj), (K, N); random (K, N) for stochastic rounding."""
    return a.round(weights, -learning.rate * gradient, random=random)
