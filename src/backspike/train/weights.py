"""Weights as PyTorch has them: (outputs, inputs) by connection, of a convolution (outputs, inputs,
rows, columns), and a bias by itself."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
import torch

from backspike.golden.half import from_bits, nearest, to_bits
from backspike.ir.bits import Bits
from backspike.ir.connection import Conv2d
from backspike.ir.constants import LARGEST
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.train.arrays import as_array

BIAS = ".bias"


class UnknownWeights(UserError, KeyError):
    """No connection of that name has weights."""

    __str__ = UserError.__str__  # a KeyError's would be in quotation marks


def weight_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """(N, K) of each connection that has weights, of a convolution (N, channels, rows, columns),
    and (N,) of its bias under NAME.bias."""
    shapes: dict[str, tuple[int, ...]] = {}
    for c in graph.connections:
        if (window := graph.windows.get(c.name)) is None:
            continue
        conv = isinstance(c.kind, Conv2d)
        inputs = (window.source[0], *window.kernel) if conv else (window.taps,)
        shapes[c.name] = window.channels, *inputs
        if window.bias:
            shapes[c.name + BIAS] = (window.channels,)
    return shapes


def from_columns(graph: Graph, bits: Mapping[str, Bits]) -> dict[str, np.ndarray]:
    """FP16 as uint16 (K, N), a bias the last row, of some connections, to float64 as above."""
    found, shapes = {}, weight_shapes(graph)
    for name, each in bits.items():
        w = from_bits(each).numpy()
        taps = graph.windows[name].taps
        found[name] = w[:taps].T.reshape(shapes[name]).copy()
        if taps < len(w):
            found[name + BIAS] = w[taps].copy()
    return found


def to_columns(graph: Graph, weights: Mapping[str, np.ndarray]) -> dict[str, Bits]:
    """The way back, of FP16 numbers as float64."""
    found = {}
    for name in (n for n in graph.shapes if n in weights):
        w = weights[name].reshape(len(weights[name]), -1).T
        if name + BIAS in weights:
            w = np.concatenate([w, weights[name + BIAS][None]])
        found[name] = to_bits(torch.from_numpy(np.ascontiguousarray(w)))
    return found


def rounded(name: str, weights: np.ndarray) -> np.ndarray:
    """The nearest FP16 numbers, float64. UserError unless they are within ±65504."""
    found = nearest(torch.from_numpy(weights)).numpy()
    wrong = np.argwhere(~(np.abs(found) <= LARGEST))  # also what is no number
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise UserError(
            f"weights of {name} at {at} are {weights[at]:g}, must be finite numbers within ±65504"
        )
    return found


class Weights(MutableMapping[str, np.ndarray]):
    """All weights of a trainer, float64 arrays by connection, of `weight_shapes`; a bias is under
    NAME.bias. Arrays that it gives cannot be written; set them by name: they are rounded
    to FP16. Raises UserError with the connection's name and shape.
    """

    def __init__(
        self,
        graph: Graph,
        read: Callable[[], Mapping[str, Bits]],
        write: Callable[[dict[str, np.ndarray], list[str]], None],
    ) -> None:
        """write: takes all weights, and the names of those that were set."""
        self._graph, self._read, self._write = graph, read, write
        self._shapes = weight_shapes(graph)

    def __getitem__(self, name: str) -> np.ndarray:
        self._check_name(name)
        found = from_columns(self._graph, self._read())[name]
        found.setflags(write=False)
        return found

    def __setitem__(self, name: str, weights: Any) -> None:
        self._check_name(name)
        self._set({name: weights})

    def __delitem__(self, name: str) -> None:
        raise UserError(f"weights of {name!r} cannot be deleted, must be set")

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __repr__(self) -> str:
        return f"Weights({self._shapes})"

    def replace(self, weights: Mapping[str, Any]) -> None:
        """All of them."""
        if not isinstance(weights, Mapping):
            raise UserError(f"weights are a {type(weights).__name__}, must be a mapping by name")
        if set(weights) != set(self._shapes):
            raise UserError(f"weights are of {sorted(weights)}, must be of {sorted(self._shapes)}")
        self._set(weights)

    def _check_name(self, name: str) -> None:
        if name not in self._shapes:
            names = ", ".join(self._shapes) or "none"
            raise UnknownWeights(f"weights of {name!r} are not there, must be of one of {names}")

    def _set(self, weights: Mapping[str, Any]) -> None:
        new = {name: self._checked(name, w) for name, w in weights.items()}
        self._write(from_columns(self._graph, self._read()) | new, list(new))

    def _checked(self, name: str, weights: Any) -> np.ndarray:
        found = as_array(f"weights of {name} are", weights)
        if found.dtype.kind not in "buif":
            raise UserError(f"weights of {name} are of {found.dtype}, must be of real numbers")
        shape = self._shapes[name]
        if found.shape != shape:
            must = {1: "(outputs,)", 2: "(outputs, inputs)"}.get(
                len(shape), "(outputs, inputs, rows, columns)"
            )
            raise UserError(
                f"weights of {name} have the shape {found.shape}, must have {shape}: {must}"
            )
        return rounded(name, found.astype(np.float64))
