"""The golden backend: a batch in PyTorch, bit for bit what hardware must do."""

import numpy as np
import torch

from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import from_bits, to_bits
from backspike.golden.hash import draw
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.network import Learning, Network
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
        self._batch: tuple[rules.Activity, torch.Tensor] | None = None  # with labels, to update
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
        activity = rules.forward(
            self.arithmetic,
            self.network,
            self._weights,
            torch.from_numpy(spikes.astype(np.float64)),
        )
        self._batch = activity, torch.from_numpy(labels.astype(np.int64))
        self._forward = {"logits": to_bits(activity.logits)}
        for i, codes in enumerate(activity.codes):
            size = self.network.layers[i].size
            self._forward[f"spikes.{i}"] = _uint8(activity.sources[i + 1][..., :size])
            self._forward[f"codes.{i}"] = _uint8(codes)
        return self._forward["logits"].copy()

    @one_thread()
    def update(self, error: Bits | None, step: int) -> None:
        if self._batch is None:
            raise RuntimeError("update without a forward since the last one")
        activity, labels = self._batch
        check_step(step)
        e = self._error(error, activity.logits, labels)
        gradients = rules.backward(self.arithmetic, self.network, self._weights, activity, e)
        for i, (s, g) in enumerate(zip(activity.sources, gradients, strict=True)):
            d = rules.weight_gradient(self.arithmetic, s, g)
            self._weights[i] = rules.update(
                self.arithmetic, self.learning, self._weights[i], d, self._random(step, i)
            )
        self._batch = None
        self._update = {f"gradients.{i}": to_bits(g) for i, g in enumerate(gradients)}
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
