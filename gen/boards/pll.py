"""Dividers of the PLLs in three families of parts, for a wanted frequency."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MHZ = 1_000_000


@dataclass(frozen=True)
class Range:
    """From low to high, both allowed. MHz."""

    low: float
    high: float

    def __contains__(self, hertz: Fraction) -> bool:
        return self.low * MHZ <= hertz <= self.high * MHZ

    @property
    def middle(self) -> Fraction:
        return Fraction(self.low + self.high) * MHZ / 2


@dataclass(frozen=True)
class Limits:
    """What a family's data sheet allows: at the pin, at the phase detector, inside, at the output.

    Of pin / input the detector lives. If the clock itself is fed back (`closed`) it is detector x
    multiplier, and the oscillator clock x output; if not, the oscillator is detector x multiplier,
    and the clock oscillator / output.
    inputs, multipliers, outputs: the dividers that there are.
    """

    part: str
    pin: Range
    detector: Range
    oscillator: Range
    clock: Range
    inputs: tuple[int, ...]
    multipliers: tuple[int, ...]
    outputs: tuple[int, ...]
    closed: bool


LIMITS = {
    # FPGA-DS-02012, sysCLOCK PLL timing. Fed back is an output of its own, at the detector's rate:
    # its divider is the multiplier.
    "ecp5": Limits(
        part="an ECP5",
        pin=Range(8, 400),
        detector=Range(10, 400),
        oscillator=Range(400, 800),
        clock=Range(3.125, 400),
        inputs=tuple(range(1, 129)),
        multipliers=tuple(range(1, 129)),
        outputs=tuple(range(1, 129)),
        closed=False,
    ),
    # FPGA-TN-02052, FPGA-DS-02008: FEEDBACK_PATH is SIMPLE.
    "ice40": Limits(
        part="an iCE40",
        pin=Range(10, 133),
        detector=Range(10, 133),
        oscillator=Range(533, 1066),
        clock=Range(16, 275),
        inputs=tuple(range(1, 17)),
        multipliers=tuple(range(1, 129)),
        outputs=tuple(1 << n for n in range(1, 7)),
        closed=False,
    ),
    # UG286 and the data sheet of the GW2AR: rPLL, speed grade C8/I7.
    "gowin": Limits(
        part="a GW2A",
        pin=Range(3, 500),
        detector=Range(3, 500),
        oscillator=Range(500, 1250),
        clock=Range(3.90625, 625),
        inputs=tuple(range(1, 65)),
        multipliers=tuple(range(1, 65)),
        outputs=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
        closed=True,
    ),
}


@dataclass(frozen=True)
class Dividers:
    """One setting: pin / input x multiplier / output. detector, clock: Hz."""

    input: int
    multiplier: int
    output: int
    detector: Fraction
    clock: Fraction


def dividers(family: str, pin: int, clock: int) -> Dividers:
    """The setting that makes exactly `clock` Hz of `pin` Hz: the fastest phase detector, and of
    these the oscillator nearest to the middle of its range, has the least jitter.

    family: ecp5, ice40 or gowin. Raises ValueError if there is none: it names the two frequencies
    next to the wanted one that there are.
    """
    limits = LIMITS[family]
    found = list(_settings(limits, pin))
    exact = [(setting, oscillator) for setting, oscillator in found if setting.clock == clock]
    if exact:
        middle = limits.oscillator.middle

        def worse(entry: tuple[Dividers, Fraction]):
            return -entry[0].detector, abs(entry[1] - middle), entry[1]

        return min(exact, key=worse)[0]
    clocks = {setting.clock for setting, _ in found}
    below = max((c for c in clocks if c < clock), default=None)
    above = min((c for c in clocks if c > clock), default=None)
    near = " and ".join(f"{float(c):.0f} Hz" for c in (below, above) if c is not None)
    allowed = f"{limits.pin.low} to {limits.pin.high} MHz are allowed there"
    raise ValueError(
        f"clock is {clock} Hz: the PLL of {limits.part} cannot make it of {pin} Hz "
        f"({f'next to it are {near}' if near else allowed})"
    )


def _settings(limits: Limits, pin: int) -> Iterator[tuple[Dividers, Fraction]]:
    """All that the limits allow, each with its oscillator's frequency."""
    if pin not in limits.pin:
        return
    for by in limits.inputs:
        detector = Fraction(pin, by)
        if detector not in limits.detector:
            continue
        for multiplier in limits.multipliers:
            product = detector * multiplier
            if not limits.closed and product not in limits.oscillator:
                continue
            for output in limits.outputs:
                clock = product if limits.closed else product / output
                oscillator = clock * output
                if oscillator in limits.oscillator and clock in limits.clock:
                    yield Dividers(by, multiplier, output, detector, clock), oscillator
