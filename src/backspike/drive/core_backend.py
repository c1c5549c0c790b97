"""A backend that trains a chain of layers on a core, wherever it is."""

from backspike.drive.graph_core import GraphCore
from backspike.ir.bits import Bits
from backspike.ir.network import Network
from backspike.ir.validation import check_batch, check_error, check_weights


class CoreBackend:
    """See `backspike.drive.backend.Backend`.

    core: with the network's graph, compiled for the loss of its last step.
    """

    name = "core"

    def __init__(self, network: Network, core: GraphCore):
        self.network, self.core = network, core
        self.plan, self.driver = core.plan, core.driver
        self._names = list(network.graph.shapes)

    def load_weights(self, weights: list[Bits]) -> None:
        check_weights(self.network, weights)
        self.core.load_weights(dict(zip(self._names, weights, strict=True)))

    def weights(self) -> list[Bits]:
        return list(self.core.weights().values())

    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        check_batch(self.network, self.plan.learning, spikes, labels)
        return self._readout(self.core.forward({"input": spikes}, labels))

    def update(self, error: Bits | None, step: int) -> None:
        self.core.update(self._errors(error), step)

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        check_batch(self.network, self.plan.learning, spikes, labels)
        return self._readout(
            self.core.update_forward(self._errors(error), step, {"input": spikes}, labels)
        )

    def forward_tensors(self) -> dict[str, Bits]:
        tensors = self.core.forward_tensors()
        return {"logits": tensors.pop(f"logits.{self._names[-1]}")} | tensors

    def update_tensors(self) -> dict[str, Bits]:
        return self.core.update_tensors()

    @property
    def gone(self) -> frozenset[str]:
        """See GraphCore."""
        return self.core.gone

    def saturated(self) -> bool:
        return self.core.saturated()

    def counters(self) -> dict:
        """See GraphCore."""
        return self.core.counters()

    def close(self) -> None:
        self.core.close()

    def _readout(self, logits: dict[str, Bits]) -> Bits:
        return logits[self._names[-1]]

    def _errors(self, error: Bits | None) -> dict[str, Bits] | None:
        if not self.core.pending:
            raise RuntimeError("update without a forward since the last one")
        check_error(self.network, self.plan.learning, error, self.core.pending)
        return None if error is None else {self._names[-1]: error}
