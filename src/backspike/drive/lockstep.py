"""Lockstep: two backends run the same batches, and every tensor is compared as bits."""

from backspike.drive.backend import Backend
from backspike.drive.comparison import Comparison, Counts
from backspike.ir.bits import Bits


class Lockstep:
    """A backend that runs `primary`, and `reference` beside it, and compares after every call.

    Tensors are compared in the order in which they are computed, so that the first difference is
    the one nearest to its cause: it raises Mismatch. A batch is a call of `forward` or
    `update_forward`, counted from 0; its update belongs to it.
    """

    def __init__(self, primary: Backend, reference: Backend) -> None:
        self.name = primary.name
        self.primary = primary
        self.reference = reference
        self._comparison = Comparison(primary.name, reference.name, int)

    @property
    def counts(self) -> Counts:
        """What was compared."""
        return self._comparison.counts

    @counts.setter
    def counts(self, counts: Counts) -> None:
        """Goes on counting there."""
        self._comparison.counts = counts

    def load_weights(self, weights: list[Bits]) -> None:
        """Load both, read the weights back and compare."""
        self.primary.load_weights(weights)
        self.reference.load_weights(weights)
        self._comparison.compare(_named(self.primary.weights()), _named(self.reference.weights()))

    def weights(self) -> list[Bits]:
        return self.primary.weights()

    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        logits = self.primary.forward(spikes, labels)
        self.reference.forward(spikes, labels)
        self._compare_forward(logits)
        return logits

    def update(self, error: Bits | None, step: int) -> None:
        self.primary.update(error, step)
        self.reference.update(error, step)
        self._compare_update()

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        logits = self.primary.update_forward(error, step, spikes, labels)
        self.reference.update_forward(error, step, spikes, labels)
        self._compare_update()
        self._compare_forward(logits)
        return logits

    def forward_tensors(self) -> dict[str, Bits]:
        return self.primary.forward_tensors()

    def update_tensors(self) -> dict[str, Bits]:
        return self.primary.update_tensors()

    def saturated(self) -> bool:
        return self.primary.saturated()

    def close(self) -> None:
        self.primary.close()
        self.reference.close()

    def _compare_forward(self, logits: Bits) -> None:
        self._comparison.batch += 1
        got, want = self.primary.forward_tensors(), self.reference.forward_tensors()
        # What the caller was given is compared beside what the memory holds.
        self._comparison.compare(
            {**got, "returned logits": logits}, want | {"returned logits": want["logits"]}
        )

    def _compare_update(self) -> None:
        gone = getattr(self.primary, "gone", frozenset())
        want = self.reference.update_tensors()
        self._comparison.compare(
            self.primary.update_tensors(), {n: x for n, x in want.items() if n not in gone}
        )


def _named(weights: list[Bits]) -> dict[str, Bits]:
    return {f"weights.{n}": each for n, each in enumerate(weights)}
