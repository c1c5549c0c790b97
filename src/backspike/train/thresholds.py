"""Thresholds that adapt: the host moves them, so that populations spike at a rate that is wanted.

A reconstruction. Rule mpd-ed comes from a work (arXiv 2403.00270) whose neurons have an "adaptive
firing threshold", against layers that fall silent; its formula is not public. Here every hidden
population has one threshold, which the host moves after each batch, from the share of spikes in it
alone. Two forms were compared, docs/accuracy.md has the figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.checks import is_finite, nearest_half, one_of, positive
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph

RATE = 0.13
"""What deep networks spike at when they learn well."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveThreshold:
    """After a batch in which a share r of a hidden population's neurons and steps had spikes:

    sum:      θ = round(θ + speed (r - rate))
    product:  θ = round(θ + speed θ (r - rate) / rate)

    and never below `least` or above `most`. θ is FP16, and all that is kept: where a move is less
    than half its last place, it stays. Raises UserError for wrong values.
    """

    rate: float = RATE
    form: Literal["sum", "product"] = "product"
    speed: float = 0.01
    least: float = 2.0**-4
    most: float = 2.0

    def __post_init__(self) -> None:
        if not (is_finite(self.rate) and 0 < self.rate < 1):
            raise UserError(f"threshold rate is {self.rate!r}, must be more than 0 and less than 1")
        one_of("form of the threshold", self.form, ("sum", "product"))
        positive("speed of the threshold", self.speed)
        for name in ("least", "most"):
            bound = nearest_half(f"{name} threshold", getattr(self, name))
            positive(f"{name} threshold", bound)
            object.__setattr__(self, name, bound)
        if self.least >= self.most:
            raise UserError(f"least threshold is {self.least}, must be below {self.most}, the most")

    def moved(self, threshold: float, rate: float) -> float:
        """The next threshold of a population, from its own and its rate of spikes."""
        by = self.speed * (rate - self.rate)
        if self.form == "product":
            by *= threshold / self.rate
        return nearest_half("threshold", min(self.most, max(self.least, threshold + by)))

    def thresholds(self, graph: Graph, rates: Mapping[str, float]) -> dict[str, float]:
        """The next ones of hidden populations, by name."""
        found = {}
        for population in graph.populations:
            if population.role == "hidden" and population.neuron is not None:
                name, now = population.name, population.neuron.threshold
                found[name] = self.moved(now, rates[name])
        return found


class Rates:
    """Shares of spikes of a batch, which may come in parts."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, int]] = {}

    def add(self, tensors: Mapping[str, Bits]) -> None:
        """The forward tensors of a part."""
        for tensor, bits in tensors.items():
            kind, _, name = tensor.partition(".")
            if kind == "spikes":
                ones, values = self._counted.get(name, (0, 0))
                self._counted[name] = ones + int(np.count_nonzero(bits)), values + bits.size

    def take(self) -> dict[str, float]:
        """0..1 by population, of all parts; and begin again."""
        found = {name: ones / values for name, (ones, values) in self._counted.items()}
        self._counted = {}
        return found
