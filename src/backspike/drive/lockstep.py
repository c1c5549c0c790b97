"""Lockstep: two backends run the same batches, and every tensor is compared as bits."""

from dataclasses import dataclass

import numpy as np

from backspike.drive.backend import Backend
from backspike.ir.bits import Bits
from backspike.ir.errors import Mismatch

AXES = {2: ("sample", "index"), 3: ("sample", "step", "index")}
"""What the axes of a tensor count; those of weights are source and index."""


@dataclass
class Counts:
    """What was compared so far. values: elements of all tensors; mismatches: those that differ."""

    tensors: int = 0
    values: int = 0
    mismatches: int = 0


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
        self.counts = Counts()
        self._batch = -1

    def load_weights(self, weights: list[Bits]) -> None:
        """Load both, read the weights back and compare."""
        self.primary.load_weights(weights)
        self.reference.load_weights(weights)
        loaded = self.primary.weights()
        for i, (got, want) in enumerate(zip(loaded, self.reference.weights(), strict=True)):
            self._compare(f"weights.{i}", got, want)

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
        self._batch += 1
        got, want = self.primary.forward_tensors(), self.reference.forward_tensors()
        # What the caller was given is compared beside what the memory holds.
        self._compare_all(
            {**got, "returned logits": logits}, want | {"returned logits": want["logits"]}
        )

    def _compare_update(self) -> None:
        self._compare_all(self.primary.update_tensors(), self.reference.update_tensors())

    def _compare_all(self, got: dict[str, Bits], want: dict[str, Bits]) -> None:
        if got.keys() != want.keys():
            self.counts.mismatches += 1
            raise Mismatch(
                f"batch {self._batch}: {self.primary.name} has the tensors {sorted(got)}, "
                f"{self.reference.name} has {sorted(want)}"
            )
        for tensor in sorted(want, key=_causal):
            self._compare(tensor, got[tensor], want[tensor])

    def _compare(self, tensor: str, got: Bits, want: Bits) -> None:
        self.counts.tensors += 1
        self.counts.values += want.size
        kind, _, layer = tensor.partition(".")
        where = f"layer {layer or 'read-out'}, tensor {kind}, " + (
            f"batch {self._batch}" if self._batch >= 0 else "as loaded"
        )
        if got.shape != want.shape or got.dtype != want.dtype:
            self.counts.mismatches += 1
            raise Mismatch(f"{where}: got {got.dtype} {got.shape}, want {want.dtype} {want.shape}")
        differs = got != want
        if not differs.any():
            return
        self.counts.mismatches += int(differs.sum())
        at = tuple(int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape))
        axes = ("source", "index") if kind == "weights" else AXES[want.ndim]
        place = ", ".join(f"{axis} {i}" for axis, i in zip(axes, at, strict=True))
        raise Mismatch(
            f"{where}, {place}: got {_shown(got[at])}, want {_shown(want[at])} "
            f"({int(differs.sum())} of {want.size} values of this tensor differ)"
        )


def _causal(tensor: str) -> tuple[int, int, str]:
    """Forward runs up the layers and ends in logits; backward runs down; weights come last."""
    kind, _, layer = tensor.partition(".")
    number = int(layer) if layer else 0
    match kind:
        case "spikes" | "codes":
            return 0, number, kind
        case "gradients":
            return 2, -number, kind
        case "weights":
            return 3, number, kind
        case _:
            return 1, 0, kind


def _shown(value: np.generic) -> str:
    """Hexadecimal, and decimal: of a half its value."""
    if value.dtype == np.uint16:
        return f"0x{int(value):04x} ({float(value.view(np.float16)):.9g})"
    return f"0x{int(value):x} ({int(value)})"
