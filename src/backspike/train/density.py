"""Densities: which share of spikes and gradients an engine has to work for."""

import numpy as np

from backspike.ir.bits import Bits


class Density:
    """Counts ones and nonzeros, and what they are a share of. batches: how many were counted."""

    def __init__(self) -> None:
        self.batches = 0
        self._nonzero = {"input": 0, "spikes": 0, "gradients": 0, "outputs": 0}
        self._all = dict.fromkeys(self._nonzero, 0)

    def forward(self, inputs: Bits, tensors: dict[str, Bits]) -> None:
        """Count the input spikes uint8 (B, T, inputs), and hidden spikes of forward tensors."""
        self._count("input", inputs)
        for name, bits in tensors.items():
            if name.startswith("spikes."):
                self._count("spikes", bits)

    def update(self, tensors: dict[str, Bits], hidden: int) -> None:
        """Count the gradients of the `hidden` lower layers, and of the read-out above them, as far
        as a backend still has them."""
        self.batches += 1
        for layer in range(hidden + 1):
            if f"gradients.{layer}" in tensors:
                kind = "gradients" if layer < hidden else "outputs"
                self._count(kind, tensors[f"gradients.{layer}"])

    def is_zero(self, kind: str) -> bool:
        """Whether some of `input`, `spikes`, `gradients` (hidden) or `outputs` (gradients of the
        read-out) were counted, and all of them were zero."""
        return self._all[kind] > 0 and self._nonzero[kind] == 0

    def shares(self) -> dict[str, float | None]:
        return {
            kind: self._nonzero[kind] / total if total else None
            for kind, total in self._all.items()
            if kind != "outputs"
        }

    def _count(self, kind: str, bits: Bits) -> None:
        self._nonzero[kind] += int(np.count_nonzero(bits))
        self._all[kind] += bits.size
