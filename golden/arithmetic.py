"""The two arithmetics that the learning rules run in: halves, and float64 without rounding."""

from typing import Protocol

import torch

from backspike.golden import exact, half
from backspike.golden.exact import Terms
from backspike.ir.constants import LARGEST


class Arithmetic(Protocol):
    """Sums of matrices come as terms, whose one rounding `round` does together with more terms.

    All tensors are float64. A product of two halves is exact in float64 (22 bits), so a caller
    writes it with `*` and passes it as a term.
    """

    def gated_sum(self, counts: torch.Tensor, values: torch.Tensor, most: int = 1) -> Terms:
        """counts (..., D, K) @ values (..., K, N), as terms of (..., D, N). Counts are spikes of 0
        or 1, or whole numbers up to `most`, all times one power of two."""
        ...

    def product_sum(self, left: torch.Tensor, right: torch.Tensor, most: int = 1) -> Terms:
        """left (..., J) @ right (J, K), as terms of (..., K); `most` of them may be added up."""
        ...

    def round(self, *terms: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
        """The terms' sum, rounded once: to nearest, or by `random` (int64, 16 bits)."""
        ...


class Halves:
    """The numeric contract: every sum exact, rounded once to a half, saturating.

    `saturated` is sticky: set when a rounded sum lies beyond ±65504.
    """

    def __init__(self) -> None:
        self.saturated = False

    def gated_sum(self, counts: torch.Tensor, values: torch.Tensor, most: int = 1) -> Terms:
        return exact.gated_sum(counts, values, most)

    def product_sum(self, left: torch.Tensor, right: torch.Tensor, most: int = 1) -> Terms:
        return exact.product_sum(left, right, most)

    def round(self, *terms: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
        x = exact.odd_sum(*terms)
        rounded = half.nearest(x) if random is None else half.stochastic(x, random)
        self.saturated |= bool((rounded.abs() > LARGEST).any())
        return rounded.clamp(-LARGEST, LARGEST)


class Reals:
    """float64 without rounding: the same equations, for comparison with autograd."""

    def gated_sum(self, counts: torch.Tensor, values: torch.Tensor, most: int = 1) -> Terms:
        return (counts @ values,)

    def product_sum(self, left: torch.Tensor, right: torch.Tensor, most: int = 1) -> Terms:
        return (left @ right,)

    def round(self, *terms: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
        return sum(terms[1:], terms[0])
