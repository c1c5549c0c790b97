"""The spectral unit's numeric contract: golden and the generator read the same constants."""

MANTISSA = 18
"""Bits of a stored sample's parts."""
GUARD = 2
"""Bits by which a transform's words are finer than the largest mantissas of their line."""
WIDTH = MANTISSA + GUARD
"""Bits of the words that enter a transform."""
DROPPED = 10
"""Bits of a column's transform that the spectrum is rounded by."""
TWIDDLE_FRACTION = 16
"""A twiddle factor's parts are multiples of 2^-16, so they are 18 bits: both 1 and -1 are exact."""
