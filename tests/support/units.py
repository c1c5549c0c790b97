"""What tests of the drain units share: given sums in golden's rules, and ports as columns."""

import numpy as np
import torch

from backspike.gen.core.engines import KINDS
from backspike.gen.core.layout import TABLE
from backspike.golden import exact, half
from backspike.golden.arithmetic import Halves
from backspike.golden.exact import Terms
from backspike.ir.constants import LARGEST
from backspike.sim.bench.array_bench import to_limbs
from tests.support.streams import Packed, packed


class GivenSums(Halves):
    """Halves whose matrix products are given, and which keep every rounding's result and flags.

    sums: the exact sums, as terms of (B, T, N).
    """

    def __init__(self, sums: Terms):
        super().__init__()
        self._sums = sums
        self.rounded: list[torch.Tensor] = []
        self.flags: list[torch.Tensor] = []

    def gated_sum(self, spikes: torch.Tensor, values: torch.Tensor) -> Terms:
        return self._sums

    def product_sum(self, left: torch.Tensor, right: torch.Tensor) -> Terms:
        return tuple(x.flatten(0, 1) for x in self._sums)

    def round(self, *terms: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
        # As Halves does, with a flag for each element.
        x = exact.odd_sum(*terms)
        rounded = half.nearest(x) if random is None else half.stochastic(x, random)
        beyond = rounded.abs() > LARGEST
        self.saturated |= bool(beyond.any())
        result = rounded.clamp(-LARGEST, LARGEST)
        self.rounded.append(result)
        self.flags.append(beyond)
        return result


def columns(shape: Packed, count: int, **fields) -> np.ndarray:
    """Packed fields, arrays (count,) or numbers: uint64 (count,)."""
    packed = np.zeros(count, np.uint64)
    for name, values in fields.items():
        offset = shape.pack({name: 1}).bit_length() - 1
        packed |= np.broadcast_to(np.asarray(values).astype(np.uint64) << np.uint64(offset), count)
    return packed


def constant(bits: int, width: int, count: int) -> np.ndarray:
    """A wide constant in every cycle: uint64 (count, limbs)."""
    return np.repeat(to_limbs([bits], width), count, axis=0)


def settings(engine: str, descriptor: dict[str, int]) -> tuple[int, list[int]]:
    """A descriptor as an engine's parts have it: the ports `config`, and `table` row by row."""
    names = KINDS[engine].table
    rest = {name: value for name, value in descriptor.items() if name not in names}
    rows = [packed(TABLE).pack(write=1, index=n, half=descriptor[name])
            for n, name in enumerate(names)]  # fmt: skip
    return packed(KINDS[engine].config).pack(rest), rows


def by_sample(values: np.ndarray) -> torch.Tensor:
    """(T, samples, lanes) as golden's (B, T, N)."""
    return torch.from_numpy(np.ascontiguousarray(values)).transpose(0, 1)


def check(name: str, got: np.ndarray, want: np.ndarray) -> None:
    """The same bits; the first difference is named."""
    assert got.shape == want.shape
    wrong = np.argwhere(got != want)
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise AssertionError(
            f"{name}: {len(wrong)} of {want.size} differ, the first at {at}: "
            f"got {int(got[at]):#06x}, want {int(want[at]):#06x}"
        )
