"""What a backend accepts: every array is looked at before anything is computed."""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.constants import PART_TERMS
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph


def is_half(bits: np.ndarray) -> np.ndarray:
    """Whether patterns (uint16) are FP16 numbers: finite, and not -0. Same shape, bool."""
    return ((bits & 0x7C00) != 0x7C00) & (bits != 0x8000)


def check_halves(name: str, bits: object, shape: tuple[int, ...]) -> np.ndarray:
    """`bits` if it is uint16 of `shape` and holds FP16 only; else a UserError names `name`."""
    if not isinstance(bits, np.ndarray) or bits.dtype != np.uint16:
        raise UserError(f"{name} is {_kind(bits)}, must be an array of uint16")
    if bits.shape != shape:
        raise UserError(f"{name} has the shape {bits.shape}, must have {shape}")
    wrong = np.argwhere(~is_half(bits))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise UserError(
            f"{name} at {at} is 0x{int(bits[at]):04x}, must be finite FP16, zero as 0x0000"
        )
    return bits


def _kind(value: object) -> str:
    return f"of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def check_spikes(name: str, spikes: object, batch: int, size: int, most: int = 1) -> None:
    """UserError unless spikes are uint8 (1 to batch, T, size) of 0 and 1, or up to `most`."""
    if not isinstance(spikes, np.ndarray) or spikes.dtype != np.uint8:
        raise UserError(f"{name} is {_kind(spikes)}, must be an array of uint8")
    shape = spikes.shape
    if len(shape) != 3 or not 1 <= shape[0] <= batch or shape[1] < 1 or shape[2] != size:
        raise UserError(f"{name} has the shape {shape}, must have (1 to {batch}, T, {size}), T > 0")
    if spikes.max() > most:
        must = "0 and 1" if most == 1 else f"0 to {most}"
        raise UserError(f"{name} has numbers up to {spikes.max()}, must have {must}")


def check_arrays(what: str, given: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """UserError unless arrays are given of those names, and no others."""
    if set(given) != set(wanted):
        raise UserError(f"{what} are of {sorted(given)}, must be of {sorted(wanted)}")


def check_inputs(graph: Graph, batch: int, inputs: Mapping[str, Bits]) -> None:
    """UserError unless spikes are given of each input, uint8 (1 to batch, T, N) of 0 and 1, or
    numbers of a graded one's bits, with equal numbers of samples and of steps."""
    sizes = {p.name: p.size for p in graph.populations if p.role == "input"}
    check_arrays("inputs", inputs, sizes)
    first = next(iter(sizes))
    for name, size in sizes.items():
        check_spikes(f"input {name}", inputs[name], batch, size, graph.by_name[name].most)
        if inputs[name].shape[:2] != inputs[first].shape[:2]:
            raise UserError(
                f"input {name} has {inputs[name].shape[:2]} samples and steps, must have "
                f"{inputs[first].shape[:2]}, as input {first} has"
            )


def check_labels(labels: object, samples: int, classes: int) -> None:
    """UserError unless labels are integers (samples,) from 0 to classes - 1."""
    if not isinstance(labels, np.ndarray) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"labels are {_kind(labels)}, must be an array of integers")
    if labels.shape != (samples,):
        raise UserError(f"labels have the shape {labels.shape}, must have ({samples},)")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < classes:
            raise UserError(f"a label is {label}, must be from 0 to {classes - 1}")


def check_terms(graph: Graph, samples: int, steps: int) -> None:
    """UserError unless parts of a batch can be added, so many samples in all."""
    each = max((_share(graph, c) for c in graph.trained), default=Fraction(1))
    if samples * steps * each > PART_TERMS:
        raise UserError(
            f"a batch in parts has {samples} samples of {steps} steps, must have up to "
            f"{int(PART_TERMS / each):,} steps in all: so many are added without loss"
        )


def _share(graph: Graph, connection: Connection) -> Fraction:
    """A bound of a weight gradient's sum of a sample and step, if all gradients were 1."""
    window, source = graph.windows[connection.name], graph.by_name[connection.source]
    pixels = math.prod(window.pixels) * (1 if window.average else window.pool_size)
    return pixels * max(Fraction(1), Fraction(source.most) * Fraction(source.unit))


def check_step(step: int) -> None:
    """UserError unless the number of an update is one that stochastic rounding can draw from."""
    if not 0 <= step < 2**32:
        raise UserError(f"step is {step}, must be from 0 to 2^32 - 1")
