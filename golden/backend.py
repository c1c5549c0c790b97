"""The golden backend: a batch in PyTorch, bit for bit what hardware must do."""

import numpy as np
import torch

from backspike.golden import graph, rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import from_bits, to_bits
from backspike.golden.hash import draw
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.ir.validation import check_batch, check_error, check_step, check_weights


class GoldenBackend:
    """Implements `backspike.drive.backend.Backend` in PyTorch; weights start at zero.

    Input is checked: a UserError says which array, what it holds and must hold. Calls out of
    order (`update` without a `forward` since the last one) raise RuntimeError.
    """

    name = "golden"

    def __init__(self, network: Network, learning: Learning) -> None:
        self.network = network
        self.learning = learning
        self.arithmetic = Halves()
        self._weights = [torch.zeros(s, dtype=torch.float64) for s in network.shapes]
        self._readout = str(len(network.layers) - 1)
        self._batch: tuple[graph.Activity, torch.Tensor] | None = None  # with labels, to update
        self._forward: dict[str, Bits] = {}
        self._update: dict[str, Bits] = {}

    def load_weights(self, weights: list[Bits]) -> None:
        check_weights(self.network, weights)
        self._weights = [from_bits(w) for w in weights]
        self._batch = None
        self.arithmetic.saturated = False

    def weights(self) -> list[Bits]:
        return [to_bits(w) for w in self._weights]

    @one_thread()
    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        spikes, labels = np.asarray(spikes), np.asarray(labels)
        check_batch(self.network, self.learning, spikes, labels)
        inputs = {"input": torch.from_numpy(spikes.astype(np.float64))}
        activity = graph.forward(self.arithmetic, self.network.graph, self._named(), inputs)
        self._batch = activity, torch.from_numpy(labels.astype(np.int64))
        self._forward = {"logits": to_bits(activity.logits[self._readout][:, -1])}
        for name, codes in activity.codes.items():
            self._forward[f"spikes.{name}"] = _uint8(activity.spikes[name])
            self._forward[f"codes.{name}"] = _uint8(codes)
        return self._forward["logits"].copy()

    @one_thread()
    def update(self, error: Bits | None, step: int) -> None:
        if self._batch is None:
            raise RuntimeError("update without a forward since the last one")
        a, net, (activity, labels) = self.arithmetic, self.network.graph, self._batch
        check_step(step)
        logits = activity.logits[self._readout]
        # The loss is of the last step's logits.
        errors = torch.zeros_like(logits)
        errors[:, -1] = self._error(error, logits[:, -1], labels)
        gradients = graph.backward(a, net, self._named(), activity, {self._readout: errors})
        for i, d in enumerate(graph.weight_gradients(a, net, activity, gradients).values()):
            w, random = self._weights[i], self._random(step, i)
            self._weights[i] = rules.update(a, self.learning, w, d, random)
        self._batch = None
        count = range(len(self._weights))
        self._update = {f"gradients.{i}": to_bits(gradients[str(i)]) for i in count}
        self._update |= {f"weights.{i}": w for i, w in enumerate(self.weights())}

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        self.update(error, step)
        return self.forward(spikes, labels)

    def forward_tensors(self) -> dict[str, Bits]:
        return dict(self._forward)

    def update_tensors(self) -> dict[str, Bits]:
        return dict(self._update)

    def saturated(self) -> bool:
        return self.arithmetic.saturated

    def close(self) -> None:
        """Nothing is held."""

    def _named(self) -> dict[str, torch.Tensor]:
        return {str(i): w for i, w in enumerate(self._weights)}

    def _error(self, error: Bits | None, logits: torch.Tensor, labels: torch.Tensor):
        """The read-out's error e, float64 (B, N)."""
        check_error(self.network, self.learning, error, len(labels))
        if error is None:
            return rules.squared_error(self.arithmetic, logits, labels, self.learning.alpha)
        return from_bits(error)

    def _random(self, step: int, layer: int) -> torch.Tensor | None:
        if self.learning.rounding == "nearest":
            return None
        return draw(self.learning.seed, step, layer, *self.network.shapes[layer])


def _uint8(x: torch.Tensor) -> np.ndarray:
    return x.to(torch.uint8).numpy()
