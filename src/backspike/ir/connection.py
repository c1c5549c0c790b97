"""Kinds of connections: how a source's spikes become a current of its target."""

from dataclasses import dataclass, field

from backspike.ir.checks import nearest_half, switch, whole
from backspike.ir.errors import UserError


@dataclass(frozen=True)
class Dense:
    """A weight from each source to each target. bias: one more source, spiking in every step.

    size: of the target, in a chain; in a graph the target has it, and this is None.
    """

    size: int | None = None
    bias: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("a Dense's size", self.size)
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
