"""What passes between the spectral unit's components: layouts and widths.

Widths follow from bounds on the numbers of `backspike.golden.spectral`, whose constants are in
`backspike.ir.spectral_constants`.
"""

import math

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from backspike.gen.spectral.machine import SpectralMachine
from backspike.ir.spectral_constants import DROPPED, GUARD, MANTISSA, TWIDDLE_FRACTION, WIDTH

TWIDDLE = TWIDDLE_FRACTION + 2
EXPONENT = 6
"""Bits of an exponent: four passes of the largest size add 12 each at the most."""
MAX_PASSES = 4
"""Passes that may follow each other on stored results."""
LOG = 4
"""Bits that hold log2 of a height or a width."""


def complex_layout(width: int) -> data.StructLayout:
    """Complex integer of two parts of `width` bits."""
    return data.StructLayout({"re": signed(width), "im": signed(width)})


SAMPLE = data.StructLayout(
    {"re": signed(MANTISSA), "im": signed(MANTISSA), "exponent": unsigned(EXPONENT)}
)
"""A word of the frame store, at address row * size + column."""


def flow(payload) -> wiring.Signature:
    """A stream that cannot wait, from its sender's side."""
    return wiring.Signature({"valid": Out(1), "payload": Out(payload)})


def point_layout(width: int) -> data.StructLayout:
    """A word of a line on its way through the transform; `first` marks the line's first."""
    return data.StructLayout({"re": signed(width), "im": signed(width), "first": 1})


def column_layout(machine: SpectralMachine) -> data.StructLayout:
    """A word of a pair's transformed column on its way to the analysis; `row`: its natural row.

    In units of 2^(exponent - 2 GUARD); exponent: the column's, at most log_size + 3.
    """
    width = transformed_width(WIDTH, machine.log_size)
    return data.StructLayout(
        {"re": signed(width), "im": signed(width), "exponent": EXPONENT, "row": machine.log_size}
    )


def transformed_width(width: int, log_points: int) -> int:
    """Bits of a transform's words: each of log_points butterflies adds one, rotations half a one.

    Parts of magnitude 2^(width-1) are a magnitude of 2^(width-1/2), which a butterfly doubles.
    """
    return width + log_points + 1


def spectrum_width(machine: SpectralMachine) -> int:
    """Bits of the spectrum's parts, on one scale: |Z| up to sqrt(2) 2^(MANTISSA-1) size^2."""
    magnitude = MANTISSA - 0.5 + 2 * machine.log_size - (DROPPED - 2 * GUARD)
    return math.ceil(magnitude + 0.1) + 1


def separated_width(machine: SpectralMachine) -> int:
    """Bits of twice a real image's spectrum."""
    return spectrum_width(machine) + 1


def cumulative_width(machine: SpectralMachine) -> int:
    """Bits of the cumulative spectrum's parts.

    A cumulative sum is the image under a window of at most `dirichlet_mean` a dimension, so it
    cannot grow as the number of its terms does: |cA| up to size^2 dirichlet_mean^2 2^(MANTISSA-1),
    and twice that here. The tenth is for rounding.
    """
    bits = MANTISSA - 1 + 2 * machine.log_size - (DROPPED - 2 * GUARD) + 1
    return math.ceil(bits + 2 * math.log2(dirichlet_mean(machine.size)) + 0.1) + 1


def dirichlet_mean(points: int) -> float:
    """The greatest mean over n of |sum of exp(-2 pi j r n / points), r = 0 … R|, R <= points/2."""
    greatest = 0.0
    for terms in range(1, points // 2 + 2):
        total = float(terms) + sum(
            abs(math.sin(math.pi * terms * n / points) / math.sin(math.pi * n / points))
            for n in range(1, points)
        )
        greatest = max(greatest, total / points)
    return greatest
