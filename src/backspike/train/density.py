"""Densities: which share of spikes and gradients an engine has to work for."""

from collections.abc import Mapping

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.loads import Shares
from backspike.compile.measured import MeanShares, measured_shares
from backspike.ir.bits import Bits
from backspike.ir.graph import Graph

KINDS = {"input": "input", "hidden": "spikes"}
"""What spikes are counted as, by a population's role."""
GRADIENTS = {"hidden": "gradients", "readout": "outputs"}
"""What gradients are."""


class Density:
    """Counts ones and nonzeros, and what they are a share of. batches: how many were counted."""

    def __init__(self, graph: Graph) -> None:
        self.batches = 0
        self._roles = {population.name: population.role for population in graph.populations}
        self.hidden = [name for name, role in self._roles.items() if role == "hidden"]
        self._counted: dict[tuple[str, str], list[int]] = {}
        """Nonzeros, and values, by tensor and population."""
        self._batch: tuple[Mapping[str, Bits], Mapping[str, Bits]] = {}, {}
        self._on_core = MeanShares()

    def forward(self, inputs: Mapping[str, Bits], tensors: Mapping[str, Bits]) -> None:
        """Count the spikes of inputs uint8 (B, T, N), and those of forward tensors."""
        self._batch = inputs, tensors
        for name, bits in inputs.items():
            self._count("spikes", name, bits)
        for tensor, bits in tensors.items():
            kind, _, name = tensor.partition(".")
            if kind == "spikes":
                self._count("spikes", name, bits)

    def update(
        self,
        tensors: Mapping[str, Bits],
        errors: Mapping[str, Bits] | None = None,
        plan: Plan | None = None,
        *,
        last: bool = True,
    ) -> None:
        """Count the gradients, as far as a backend still has them, of the batch that was counted
        forward. plan: of a core, whose engines have them to add. last: of a batch's parts."""
        self.batches += last
        if plan is not None:
            inputs, forward = self._batch
            found = measured_shares(plan, inputs, errors or {}, {**forward, **tensors})
            self._on_core.add(found, len(next(iter(inputs.values()))))
        for tensor, bits in tensors.items():
            kind, _, name = tensor.partition(".")
            if kind == "gradients":
                self._count("gradients", name, bits)

    def is_zero(self, kind: str) -> bool:
        """Whether some of `input`, `spikes`, `gradients` (hidden) or `outputs` (gradients of
        read-outs) were counted, and all of them were zero."""
        nonzero, values = self._sum(kind)
        return values > 0 and nonzero == 0

    def shares(self) -> dict[str, float | None]:
        """0..1 of ones in the inputs' and the hidden populations' spikes, and of nonzero gradients
        of hidden populations; None where there was none."""
        found = {kind: self._sum(kind) for kind in ("input", "spikes", "gradients")}
        return {k: nonzero / values if values else None for k, (nonzero, values) in found.items()}

    def on_core(self) -> Shares | None:
        """What a core's engines have to add in a batch; None if none was counted on a core."""
        return self._on_core.shares()

    def by_population(self) -> dict[str, dict[str, float]]:
        """`spikes` and `gradients` of each, where they were counted."""
        found: dict[str, dict[str, float]] = {name: {} for name in self._roles}
        for (tensor, name), (nonzero, values) in self._counted.items():
            found[name][tensor] = nonzero / values
        return found

    def _count(self, tensor: str, name: str, bits: Bits) -> None:
        counted = self._counted.setdefault((tensor, name), [0, 0])
        counted[0] += int(np.count_nonzero(bits))
        counted[1] += bits.size

    def _sum(self, kind: str) -> tuple[int, int]:
        nonzero = values = 0
        for (tensor, name), counted in self._counted.items():
            kinds = KINDS if tensor == "spikes" else GRADIENTS
            if kinds.get(self._roles[name]) == kind:
                nonzero, values = nonzero + counted[0], values + counted[1]
        return nonzero, values
