"""The golden backend: a batch in PyTorch, bit for bit what hardware must do."""

import numpy as np
import torch

from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.graph_backend import GraphBackend
from backspike.golden.half import from_bits, to_bits
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
        self._graph = GraphBackend(network.graph, learning)
        self._names = list(network.graph.shapes)
        self._labels: torch.Tensor | None = None  # of the batch to update
        self._logits = torch.empty(0)

    @property
    def arithmetic(self) -> Halves:
        """That every sum is rounded in."""
        return self._graph.arithmetic

    def load_weights(self, weights: list[Bits]) -> None:
        check_weights(self.network, weights)
        self._graph.load_weights(dict(zip(self._names, weights, strict=True)))
        self._labels = None

    def weights(self) -> list[Bits]:
        return list(self._graph.weights().values())

    @one_thread()
    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        spikes, labels = np.asarray(spikes), np.asarray(labels)
        check_batch(self.network, self.learning, spikes, labels)
        logits = self._graph.forward({"input": spikes})[self._names[-1]][:, -1]
        self._labels = torch.from_numpy(labels.astype(np.int64))
        self._logits = from_bits(logits)
        return logits

    @one_thread()
    def update(self, error: Bits | None, step: int) -> None:
        if self._labels is None:
            raise RuntimeError("update without a forward since the last one")
        check_step(step)
        labels = self._labels
        check_error(self.network, self.learning, error, len(labels))
        self._labels = None
        if error is None:
            alpha = self.learning.alpha
            error = to_bits(rules.squared_error(self.arithmetic, self._logits, labels, alpha))
        errors = np.zeros((len(labels), self.network.steps, self.network.sizes[-1]), np.uint16)
        errors[:, -1] = error  # the loss is of the last step's logits
        self._graph.update({self._names[-1]: errors}, step)

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        self.update(error, step)
        return self.forward(spikes, labels)

    def forward_tensors(self) -> dict[str, Bits]:
        tensors = self._graph.forward_tensors()
        if not tensors:
            return {}
        return {"logits": tensors.pop(f"logits.{self._names[-1]}")[:, -1]} | tensors

    def update_tensors(self) -> dict[str, Bits]:
        return self._graph.update_tensors()

    def saturated(self) -> bool:
        return self._graph.saturated()

    def close(self) -> None:
        """Nothing is held."""
