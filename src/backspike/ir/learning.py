"""How a network learns: everything beside it that a batch's bits depend on."""

from dataclasses import dataclass
from typing import Literal

from backspike.ir.checks import nearest_half, one_of, whole
from backspike.ir.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How weights are updated: everything beside the network that a batch's bits depend on.

    loss `mse` is computed on chip as e = round(alpha * o - onehot); for `ce` the host computes
    e = round(softmax(o) - onehot) from the logits and supplies it.
    updates `chip`: w = round(w - η m), m = round(μ m + d); momentum μ = 0 makes m d. `host`: d is
    handed over, and new weights come from the host, which may use any rule of its own.
    rate (η), alpha (α) and momentum (μ) are rounded to FP16 on construction.
    """

    batch: int = 16
    loss: Literal["ce", "mse"] = "ce"
    rate: float = 2.0**-6
    alpha: float = 0.25
    rounding: Literal["nearest", "stochastic"] = "nearest"
    momentum: float = 0.0
    updates: Literal["chip", "host"] = "chip"
    seed: int = 0

    def __post_init__(self) -> None:
        whole("batch", self.batch)
        one_of("loss", self.loss, ("ce", "mse"))
        one_of("rounding", self.rounding, ("nearest", "stochastic"))
        one_of("updates", self.updates, ("chip", "host"))
        is_whole = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        if not is_whole or not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed!r}, must be a whole number from 0 to 2^32 - 1")
        rate = nearest_half("rate", self.rate)
        if rate <= 0:
            raise UserError(f"rate is {self.rate}, must be 2^-24 (the least FP16) or more")
        momentum = nearest_half("momentum", self.momentum)
        if not 0 <= momentum < 1:
            raise UserError(f"momentum is {self.momentum}, must be from 0 to less than 1")
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "alpha", nearest_half("alpha", self.alpha))
