"""Kinds of connections: how a source's spikes become a current of its target."""

from dataclasses import dataclass

from backspike.ir.checks import nearest_half, switch
from backspike.ir.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A weight from each source to each target. bias: one more source, spiking in every step."""

    bias: bool = False

    def __post_init__(self) -> None:
        switch("bias", self.bias)


@dataclass(frozen=True)
class Identity:
    """Each source to the target of its index, times `scale`: a skip connection, no weights.

    scale is rounded to FP16 on construction, and not 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        scale = nearest_half("an identity's scale", self.scale)
        if not scale:
            raise UserError(f"an identity's scale is {self.scale}, must not be 0 as FP16")
        object.__setattr__(self, "scale", scale)


Kind = Dense | Identity
