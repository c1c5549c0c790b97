"""The same network as one writes it in PyTorch: float32, autograd, plain SGD.

The baseline of accuracy: nothing here rounds to halves, and nothing here is compared as bits.
"""

from typing import Any, cast

import torch

from backspike.golden import connections, neurons
from backspike.golden.half import from_bits
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.connection import Dense
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network


class _Spike(torch.autograd.Function):
    """s = 1 if u >= θ else 0; backward multiplies by the surrogate's table (rule mpd-ed: by s)."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, layer: Layer) -> torch.Tensor:
        s = (u >= layer.threshold).to(u.dtype)
        codes = neurons.codes_of(layer.surrogate, (u - layer.threshold).double())
        ctx.save_for_backward(neurons.passed(layer.neuron, s, codes).to(u.dtype))
        return s

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (h,) = ctx.saved_tensors
        return grad_outputs[0] * h, None


class Reference:
    """Trains a network in float32 from the same initial weights; labels are int64 (B,).

    train_batch: one step, w -= η Σ_batch gradient; returns the mean loss. logits: float32 (B, N).
    Spikes are (B, T, inputs) of 0 and 1 in any dtype.
    """

    def __init__(self, network: Network, learning: Learning, weights: list[Bits]) -> None:
        self.network = network
        self.learning = learning
        self.weights = [from_bits(w).float().requires_grad_() for w in weights]

    def logits(self, spikes: Any) -> torch.Tensor:
        x = torch.as_tensor(spikes).float().unbind(1)
        for layer, w in zip(self.network.layers[:-1], self.weights[:-1], strict=True):
            x = _neurons(layer, [_sources(layer, s) @ w for s in x])
        readout = self.network.layers[-1]
        return torch.stack([_sources(readout, s) @ self.weights[-1] for s in x]).sum(0)

    @one_thread()
    def train_batch(self, spikes: Any, labels: Any) -> float:
        labels = torch.as_tensor(labels)
        loss = self._loss(self.logits(spikes), labels)
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for w, d in zip(self.weights, gradients, strict=True):
                w -= self.learning.rate * d
        return float(loss.detach()) / len(labels)

    @one_thread()
    def accuracy(self, spikes: Any, labels: Any) -> float:
        """Share of samples, 0 to 1, whose largest logit is the label's."""
        with torch.no_grad():
            right = self.logits(spikes).argmax(1) == torch.as_tensor(labels)
        return float(right.float().mean())

    def _loss(self, o: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Summed over the batch. For mse its gradient is α o - onehot, as the rules define it."""
        if self.learning.loss == "ce":
            return torch.nn.functional.cross_entropy(o, labels, reduction="sum")
        onehot = torch.nn.functional.one_hot(labels, o.shape[1]).to(o.dtype)
        return (self.learning.alpha / 2 * o**2 - o * onehot).sum()


def _sources(layer: Layer, spikes: torch.Tensor) -> torch.Tensor:
    return connections.sources(Dense(bias=layer.bias), spikes)


def _neurons(layer: Layer, currents: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Leaky integrate-and-fire, reset detached: T currents (B, N) -> T spikes (B, N)."""
    v = torch.zeros_like(currents[0])
    spikes = []
    for x in currents:
        u = x + layer.leak * (v if layer.temporal else v.detach())
        s = cast(torch.Tensor, _Spike.apply(u, layer))
        reset = s.detach()
        v = (1 - reset) * u if layer.reset == "hard" else u - layer.threshold * reset
        spikes.append(s)
    return tuple(spikes)
