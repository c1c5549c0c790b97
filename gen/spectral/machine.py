"""The spectral unit's parameters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # whoever only lists the presets need not wait for Amaranth
    from amaranth.lib import wiring

    from backspike.gen.host.registers import RegisterMap

SMALLEST = 8
LARGEST = 512


@dataclass(frozen=True, kw_only=True)
class SpectralMachine:
    """Sizes of one spectral unit.

    size M: the largest height and width. The unit runs every height and width that is a power of
    two from 8 to M, chosen at run time. pixel_bits: 8 or 16.
    """

    name: str
    size: int
    pixel_bits: int = 8
    kind: ClassVar[str] = "spectral"

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST or self.size & (self.size - 1):
            raise ValueError(
                f"size is {self.size}, must be a power of two from {SMALLEST} to {LARGEST}"
            )
        if self.pixel_bits not in (8, 16):
            raise ValueError(f"pixel_bits is {self.pixel_bits}, must be 8 or 16")

    @property
    def log_size(self) -> int:
        """log2 of `size`: butterflies of a line."""
        return self.size.bit_length() - 1

    @property
    def points(self) -> int:
        """Samples that the frame store holds."""
        return self.size * self.size

    # What follows imports the parts that are made for a machine, which import this module.

    def component(self) -> "wiring.Component":
        """The spectral unit."""
        from backspike.gen.spectral.top import SpectralUnit

        return SpectralUnit(self)

    def map(self) -> "RegisterMap":
        """The unit's registers and windows."""
        from backspike.gen.spectral.map import spectral_map

        return spectral_map(self)

    def page(self) -> str:
        """The unit's registers."""
        from backspike.gen.host.register_page import markdown

        return markdown(self.map())


SPECTRAL_MACHINES = {
    m.name: m
    for m in (
        SpectralMachine(name="spectral-32", size=32),
        SpectralMachine(name="spectral-64", size=64),
        SpectralMachine(name="spectral-128", size=128),
        SpectralMachine(name="spectral-256", size=256),
        SpectralMachine(name="spectral-128x16", size=128, pixel_bits=16),
    )
}
"""Presets. `spectral-64` fits a GW2AR-18, `spectral-128` and `spectral-256` an LFE5U-85F."""
