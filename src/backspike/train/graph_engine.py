"""What computes a graph's batches: golden, or a core, perhaps with golden beside it."""

from collections.abc import Mapping
from typing import Any

from backspike.compile.compiler import compile_graph
from backspike.drive.graph_core import GraphCore
from backspike.drive.graph_lockstep import GraphLockstep
from backspike.gen.machine import Machine
from backspike.golden.graph_backend import GraphBackend
from backspike.ir.bits import Bits
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning

Arrays = Mapping[str, Bits]
GRAPH_BACKENDS = ("golden", "rtl")


def check_graph_backend(name: object) -> None:
    """Raise UserError unless there is a backend of that name for graphs."""
    if name not in GRAPH_BACKENDS:
        raise UserError(f"backend is {name!r}, must be {' or '.join(GRAPH_BACKENDS)}")


class GraphEngine:
    """A backend at work, on batches of T steps; errors and logits are of every step.

    check: compare every tensor with golden (of golden itself there is nothing to compare).
    Raises UserError if the graph does not fit the machine, Mismatch where a core differs.
    """

    def __init__(
        self,
        backend: str,
        graph: Graph,
        learning: Learning,
        machine: Machine,
        *,
        steps: int,
        stateful: bool,
        check: bool,
    ) -> None:
        self._core: GraphCore | GraphBackend
        self._front: GraphCore | GraphBackend | GraphLockstep
        self._golden: GraphBackend | None = None
        if backend == "golden":
            self._front = self._core = GraphBackend(graph, learning)
            return
        from backspike.drive.rtl_core import RTLCore

        plan = compile_graph(graph, steps, learning, machine, every=True, stateful=stateful)
        self._front = self._core = core = RTLCore(plan)
        if check:
            self._golden = GraphBackend(graph, learning)
            self._front = GraphLockstep(core, self._golden)

    def load(self, weights: Arrays, moments: Arrays) -> None:
        """Start from these; moments: of a run that goes on, or none. Forgets any batch."""
        self._front.load_weights(weights)
        if moments:
            for each in (self._core, self._golden):
                if each is not None:
                    each.set_moments(moments)

    def set_weights(self, weights: Arrays) -> None:
        """New weights, uint16 (K, N); nothing is forgotten."""
        self._front.set_weights(weights)

    def weights(self) -> dict[str, Bits]:
        """uint16 (K, N) of each connection that has some."""
        return self._core.weights()

    def moments(self) -> dict[str, Bits]:
        """Likewise moments of those that are updated with momentum."""
        return self._core.moments()

    def gradients(self) -> dict[str, Bits]:
        """Likewise d of the last update, for the host."""
        return self._core.weight_gradients()

    def forward(self, inputs: Arrays, *, go_on: bool) -> dict[str, Bits]:
        """Logits (B, T, N) of each read-out."""
        return self._front.forward(inputs, go_on=go_on)

    def update(self, errors: Arrays, step: int) -> None:
        """Errors (B, T, N) back; if the host updates, `gradients` are to be taken, weights set."""
        self._front.update(errors, step)

    def update_forward(
        self, errors: Arrays, step: int, inputs: Arrays, *, go_on: bool
    ) -> dict[str, Bits]:
        """An update on chip and the next forward pass, at one time where the backend can."""
        if isinstance(self._front, GraphBackend):
            self._front.update(errors, step)
            return self._front.forward(inputs, go_on=go_on)
        return self._front.update_forward(errors, step, inputs, go_on=go_on)

    def tensors(self) -> dict[str, Bits]:
        """Of the last forward pass: `logits.P`, `spikes.P`, `codes.P`."""
        return self._core.forward_tensors()

    def saturated(self) -> bool:
        """Whether a rounding has saturated since weights were loaded."""
        return self._core.saturated()

    def checked(self) -> dict[str, int]:
        """Tensors and values compared with golden so far, and mismatches."""
        counts: Any = getattr(self._front, "counts", None)
        return {"tensors": 0, "values": 0, "mismatches": 0} | (vars(counts) if counts else {})

    def close(self) -> None:
        """Release the backend."""
        if isinstance(self._core, GraphCore):
            self._core.close()
