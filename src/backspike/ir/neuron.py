"""Neuron models: what a population's neurons do with their current."""

from dataclasses import dataclass, field
from typing import Literal

from backspike.ir.checks import instance, nearest_half, one_of, switch
from backspike.ir.errors import UserError
from backspike.ir.surrogate import Surrogate, rectangle

Reset = Literal["hard", "soft"]
Rule = Literal["bptt", "mpd-ed"]


def _decay(name: str, value: float) -> float:
    decay = nearest_half(name, value)
    if not 0 <= decay <= 1:
        raise UserError(f"{name} is {value}, must be from 0 to 1")
    return decay


@dataclass(frozen=True, kw_only=True)
class LIF:
    """Leaky integrate-and-fire: u_t = round(current + λ v_{t-1}), a spike where u_t >= θ.

    leak (λ) and threshold (θ) are rounded to FP16 on construction. reset: v is set to 0 (hard), or
    θ is taken off (soft). surrogate, rule and temporal say how errors pass (design, section 3).
    """

    leak: float = 0.75
    threshold: float = 1.0
    reset: Reset = "hard"
    surrogate: Surrogate = field(default_factory=rectangle)
    rule: Rule = "bptt"
    temporal: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "leak", _decay("leak", self.leak))
        object.__setattr__(self, "threshold", nearest_half("threshold", self.threshold))
        one_of("reset", self.reset, ("hard", "soft"))
        one_of("rule", self.rule, ("bptt", "mpd-ed"))
        switch("temporal", self.temporal)
        instance("surrogate", self.surrogate, Surrogate)


@dataclass(frozen=True, kw_only=True)
class CubaLIF(LIF):
    """LIF whose current is a state of its own: i_t = round(current + α i_{t-1}),
    u_t = round(i_t + λ v_{t-1}). synapse (α) is rounded to FP16 on construction.

    It rounds twice, so with α = 0 it is not LIF bit for bit.
    """

    synapse: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "synapse", _decay("synapse", self.synapse))


def IF(
    *,
    threshold: float = 1.0,
    reset: Reset = "hard",
    surrogate: Surrogate | None = None,
    rule: Rule = "bptt",
    temporal: bool = True,
) -> LIF:
    """Integrate-and-fire: LIF that does not leak."""
    return LIF(
        leak=1.0,
        threshold=threshold,
        reset=reset,
        surrogate=rectangle() if surrogate is None else surrogate,
        rule=rule,
        temporal=temporal,
    )
