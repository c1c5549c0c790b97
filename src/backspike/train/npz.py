"""Arrays of `.npz` files: numbers or spikes of samples, and their labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backspike.ir.errors import UserError
from backspike.ir.graph import MAX_BITS

ARRAYS = ("x", "y", "x_test", "y_test", "spikes", "spikes_test")
"""What is read of an `.npz` file."""
LARGEST_COUNT = 2**MAX_BITS - 1


def read_arrays(source: str, path: Path) -> dict[str, np.ndarray]:
    """Those of ARRAYS that the archive has. Raises UserError if it is damaged."""
    arrays: dict[str, np.ndarray] = {}
    name = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in (name for name in ARRAYS if name in archive.files):
                arrays[name] = archive[name]
    except Exception as error:  # a damaged archive raises whatever its parsers stumble over
        if "Object arrays" in str(error):
            raise UserError(
                f"{name} in data {source} holds Python objects, must hold numbers"
            ) from None
        raise UserError(f"data {source} cannot be read: the archive is damaged") from None
    return arrays


def samples_name(source: str, arrays: Mapping[str, np.ndarray]) -> str:
    """`x`, or `spikes`: what samples are. Raises UserError if both are there."""
    if "x" in arrays and "spikes" in arrays:
        raise UserError(f"data {source} has x and spikes, must have one of them")
    return "x" if "x" in arrays else "spikes"


def check_numbers(source: str, name: str, x: np.ndarray) -> None:
    """UserError unless these are finite real numbers of samples."""
    if x.ndim < 2:
        raise UserError(
            f"{name} in data {source} has the shape {x.shape}, must have (samples, numbers)"
        )
    if x.dtype.kind not in "buif":
        raise UserError(f"{name} in data {source} is of {x.dtype}, must be of real numbers")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise UserError(
            f"{name}[{', '.join(map(str, where))}] in data {source} is {x[where]}, must be finite"
        )


def check_spikes(source: str, name: str, x: np.ndarray) -> np.ndarray:
    """Spikes as uint8 (samples, T, inputs). Raises UserError unless they are 0 and 1, or
    counts of a graded input."""
    if x.ndim < 3 or not x.size:
        raise UserError(
            f"{name} in data {source} has the shape {x.shape}, must have (samples, steps, inputs), "
            "none of them 0"
        )
    if x.dtype.kind not in "buif":
        raise UserError(f"{name} in data {source} is of {x.dtype}, must be of 0 and 1")
    wrong = ~((x >= 0) & (x <= LARGEST_COUNT) & (x % 1 == 0))
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), x.shape))
        raise UserError(
            f"{name}[{', '.join(map(str, at))}] in data {source} is {x[at]:g}, must be 0 or 1, "
            f"or a count up to {LARGEST_COUNT}"
        )
    return np.ascontiguousarray(x.reshape(*x.shape[:2], -1), np.uint8)
