"""Comparing tensors as bits, in the order in which they are computed."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.errors import Mismatch

AXES = {2: ("sample", "index"), 3: ("sample", "step", "index")}
"""What the axes of a tensor count; those of weights are source and index."""
KINDS = {
    "spikes": 0, "codes": 0, "logits": 1, "returned logits": 1, "gradients": 2,
    "d": 3, "moments": 3, "weights": 4,
}  # fmt: skip
"""Tensors' kinds, and when they are computed."""
OF_WEIGHTS = ("d", "moments", "weights")
"""Those with the axes of weights."""


@dataclass
class Counts:
    """What was compared so far. values: elements of all tensors; mismatches: those that differ."""

    tensors: int = 0
    values: int = 0
    mismatches: int = 0


class Comparison:
    """Compares what two backends have computed; the first difference is the one nearest to its
    cause, and raises Mismatch.

    Tensors are called KIND.NAME; place: of a name, in the order of computation. A batch is counted
    from 0, and -1 before it.
    """

    def __init__(self, got_from: str, want_from: str, place: Callable[[str], int]) -> None:
        self.counts = Counts()
        self.batch = -1
        self.by_name: Counter[tuple[str, str]] = Counter()
        """Values compared of each ("population" or "connection", name)."""
        self._got_from, self._want_from, self._place = got_from, want_from, place

    def compare(self, got: Mapping[str, Bits], want: Mapping[str, Bits]) -> None:
        """All tensors of both."""
        if got.keys() != want.keys():
            self.counts.mismatches += 1
            raise Mismatch(
                f"batch {self.batch}: {self._got_from} has the tensors {sorted(got)}, "
                f"{self._want_from} has {sorted(want)}"
            )
        for tensor in sorted(want, key=self._causal):
            self._compare(tensor, got[tensor], want[tensor])

    def _causal(self, tensor: str) -> tuple[int, int, str]:
        """Forward runs up and ends in logits; backward runs down; weights come last."""
        kind, _, name = tensor.partition(".")
        number = self._place(name)
        return KINDS[kind], -number if kind == "gradients" else number, kind

    def _compare(self, tensor: str, got: Bits, want: Bits) -> None:
        self.counts.tensors += 1
        self.counts.values += want.size
        kind, _, name = tensor.partition(".")
        what = "connection" if kind in OF_WEIGHTS else "population"
        self.by_name[what, name] += want.size
        where = f"{what} {name}, tensor {kind}, " + (
            f"batch {self.batch}" if self.batch >= 0 else "as loaded"
        )
        if got.shape != want.shape or got.dtype != want.dtype:
            self.counts.mismatches += 1
            raise Mismatch(f"{where}: got {got.dtype} {got.shape}, want {want.dtype} {want.shape}")
        differs = got != want
        if not differs.any():
            return
        self.counts.mismatches += int(differs.sum())
        at = tuple(int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape))
        axes = ("source", "index") if kind in OF_WEIGHTS else AXES[want.ndim]
        place = ", ".join(f"{axis} {i}" for axis, i in zip(axes, at, strict=True))
        raise Mismatch(
            f"{where}, {place}: got {_shown(got[at])}, want {_shown(want[at])} "
            f"({int(differs.sum())} of {want.size} values of this tensor differ)"
        )


def _shown(value: np.generic) -> str:
    """Hexadecimal, and decimal: of a half its value."""
    if value.dtype == np.uint16:
        return f"0x{int(value):04x} ({float(value.view(np.float16)):.9g})"
    return f"0x{int(value):x} ({int(value)})"
