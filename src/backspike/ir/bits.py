"""Tensors as bits: what crosses every interface, so that a comparison is `==`."""

import numpy as np

Bits = np.ndarray
"""FP16 as uint16 (binary16's pattern), or uint8 spikes and codes."""
