"""A serial line's rate, out of the clock."""

from dataclasses import dataclass

PHASE = 20
"""Bits of a bit's phase: with up to 1000 cycles a bit the rate is exact to 1 in 2000."""
FEWEST, MOST = 4, 1000


@dataclass(frozen=True)
class Rate:
    """`baud` bits a second out of a `clock` in Hz, which need not be a multiple.

    A bit takes clock / baud cycles on the average, and each edge is less than a cycle late.
    """

    clock: int
    baud: int

    def __post_init__(self) -> None:
        if self.clock < 1 or not FEWEST <= self.clock / max(self.baud, 1) <= MOST:
            raise ValueError(
                f"clock is {self.clock} Hz and baud {self.baud}, must give {FEWEST} to {MOST} "
                "cycles per bit"
            )

    @property
    def cycles(self) -> float:
        """Cycles a bit."""
        return self.clock / self.baud

    @property
    def step(self) -> int:
        """What the phase, of PHASE bits, gains in a cycle."""
        return round((self.baud << PHASE) / self.clock)

    @property
    def tolerance(self) -> float:
        """By what share the sender's bits may be longer or shorter than the receiver's.

        The middle of the stop bit is 9.5 bits after the edge that starts a byte; whole cycles
        move both by up to a cycle in all; the rest of half a bit is left for the two clocks.
        """
        return (0.5 - 1 / self.cycles) / 9.5
