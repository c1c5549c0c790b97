"""Lockstep of graphs: a core and golden run the same batches, and every tensor is compared."""

from collections.abc import Mapping

from backspike.drive.comparison import Comparison, Counts
from backspike.drive.graph_core import GraphCore
from backspike.golden.graph_backend import GraphBackend
from backspike.ir.bits import Bits

Arrays = Mapping[str, Bits]


class GraphLockstep:
    """Runs `core`, and golden beside it, and compares after every call; see `Lockstep`.

    The core's plan is for errors of every step, as golden takes them.
    """

    def __init__(self, core: GraphCore, golden: GraphBackend) -> None:
        self.core, self.golden = core, golden
        graph = core.plan.graph
        order = [name for stage in graph.stages for name in stage]
        # A connection's weights are used where it enters.
        order += [c.name for name in order for c in graph.into(name)]
        self._comparison = Comparison(core.name, "golden", order.index)

    @property
    def counts(self) -> Counts:
        """What was compared."""
        return self._comparison.counts

    def load_weights(self, weights: Arrays) -> None:
        """Load both, read the weights back and compare."""
        self.core.load_weights(weights)
        self.golden.load_weights(weights)
        self._comparison.compare(_named(self.core.weights()), _named(self.golden.weights()))

    def set_weights(self, weights: Arrays) -> None:
        """See `GraphCore.set_weights`."""
        self.core.set_weights(weights)
        self.golden.set_weights(weights)

    def forward(self, inputs: Arrays, *, go_on: bool = False) -> dict[str, Bits]:
        """See `GraphCore.forward`."""
        logits = self.core.forward(inputs, go_on=go_on)
        self.golden.forward(inputs, go_on=go_on)
        self._compare_forward(logits)
        return logits

    def update(self, errors: Arrays, step: int) -> None:
        """See `GraphCore.update`."""
        self.core.update(errors, step)
        self.golden.update(errors, step)
        self._compare_update()

    def update_forward(
        self, errors: Arrays, step: int, inputs: Arrays, *, go_on: bool = False
    ) -> dict[str, Bits]:
        """See `GraphCore.update_forward`."""
        logits = self.core.update_forward(errors, step, inputs, go_on=go_on)
        self.golden.update(errors, step)
        self._compare_update()
        self.golden.forward(inputs, go_on=go_on)
        self._compare_forward(logits)
        return logits

    def _compare_update(self) -> None:
        got, want = self.core.update_tensors(), self.golden.update_tensors()
        gone = self.core.gone
        self._comparison.compare(got, {name: x for name, x in want.items() if name not in gone})

    def _compare_forward(self, logits: Arrays) -> None:
        self._comparison.batch += 1
        got, want = self.core.forward_tensors(), self.golden.forward_tensors()
        returned = {f"returned logits.{name}": x for name, x in logits.items()}
        wanted = {f"returned {name}": x for name, x in want.items() if name.startswith("logits")}
        self._comparison.compare(got | returned, want | wanted)


def _named(weights: Arrays) -> dict[str, Bits]:
    return {f"weights.{name}": each for name, each in weights.items()}
