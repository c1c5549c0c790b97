"""Lockstep: two backends run the same batches, and every tensor is compared as bits."""

from collections.abc import Mapping

from backspike.drive.backend import Arrays, Backend
from backspike.drive.comparison import Comparison, Counts
from backspike.ir.bits import Bits
from backspike.ir.graph import Graph


class Lockstep:
    """A backend that runs `primary`, and `reference` beside it, and compares after every call.

    Tensors are compared in the order in which they are computed, so that the first difference is
    the one nearest to its cause: it raises Mismatch. A batch is a call of `forward` or
    `update_forward`, counted from 0; its update belongs to it.
    """

    def __init__(self, primary: Backend, reference: Backend) -> None:
        self.name = primary.name
        self.primary, self.reference = primary, reference
        order = [name for stage in self.graph.stages for name in stage]
        # A connection's weights are used where it enters.
        order += [c.name for name in order for c in self.graph.into(name)]
        self._comparison = Comparison(primary.name, reference.name, order.index)

    @property
    def graph(self) -> Graph:
        """The network."""
        return self.primary.graph

    @property
    def counts(self) -> Counts:
        """What was compared."""
        return self._comparison.counts

    @counts.setter
    def counts(self, counts: Counts) -> None:
        """Goes on counting there."""
        self._comparison.counts = counts

    def compared(self) -> dict[str, int]:
        """Values by population: its own tensors', and those of the connections that enter it."""
        found = self._comparison.by_name
        return {
            p.name: found["population", p.name]
            + sum(found["connection", c.name] for c in self.graph.into(p.name))
            for p in self.graph.populations
        }

    @property
    def room(self) -> int:
        """See `Backend`."""
        return self.primary.room

    @property
    def gone(self) -> frozenset[str]:
        """See `Backend`."""
        return self.primary.gone

    def load_weights(self, weights: Arrays) -> None:
        """Load both, read the weights back and compare."""
        self.primary.load_weights(weights)
        self.reference.load_weights(weights)
        self._comparison.compare(_named(self.primary.weights()), _named(self.reference.weights()))

    def set_weights(self, weights: Arrays) -> None:
        self.primary.set_weights(weights)
        self.reference.set_weights(weights)

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        self.primary.set_thresholds(thresholds)
        self.reference.set_thresholds(thresholds)

    def set_rate(self, rate: float) -> None:
        self.primary.set_rate(rate)
        self.reference.set_rate(rate)

    def weights(self) -> dict[str, Bits]:
        return self.primary.weights()

    def weight_gradients(self) -> dict[str, Bits]:
        return self.primary.weight_gradients()

    def moments(self) -> dict[str, Bits]:
        return self.primary.moments()

    def set_moments(self, moments: Arrays) -> None:
        self.primary.set_moments(moments)
        self.reference.set_moments(moments)

    def forward(
        self, inputs: Arrays, labels: Bits | None = None, *, go_on: bool = False
    ) -> dict[str, Bits]:
        logits = self.primary.forward(inputs, labels, go_on=go_on)
        self.reference.forward(inputs, labels, go_on=go_on)
        self._compare_forward(logits)
        return logits

    def update(
        self, errors: Arrays | None, step: int, *, first: bool = True, last: bool = True
    ) -> None:
        self.primary.update(errors, step, first=first, last=last)
        self.reference.update(errors, step, first=first, last=last)
        self._compare_update()

    def update_forward(
        self,
        errors: Arrays | None,
        step: int,
        inputs: Arrays,
        labels: Bits | None = None,
        *,
        go_on: bool = False,
        first: bool = True,
        last: bool = True,
    ) -> dict[str, Bits]:
        how = {"go_on": go_on, "first": first, "last": last}
        logits = self.primary.update_forward(errors, step, inputs, labels, **how)
        self.reference.update_forward(errors, step, inputs, labels, **how)
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

    def _compare_forward(self, logits: Arrays) -> None:
        self._comparison.batch += 1
        got, want = self.primary.forward_tensors(), self.reference.forward_tensors()
        # What the caller was given is compared beside what the memory holds.
        returned = {f"returned logits.{name}": x for name, x in logits.items()}
        wanted = {f"returned {name}": x for name, x in want.items() if name.startswith("logits")}
        self._comparison.compare(got | returned, want | wanted)

    def _compare_update(self) -> None:
        want = self.reference.update_tensors()
        kept = {name: x for name, x in want.items() if name not in self.primary.gone}
        self._comparison.compare(self.primary.update_tensors(), kept)


def _named(weights: Mapping[str, Bits]) -> dict[str, Bits]:
    return {f"weights.{name}": each for name, each in weights.items()}
