"""Data of graphs: whatever a user brings becomes checked batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from backspike.ir.bits import Bits
from backspike.ir.constants import ceil_div
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.train.arrays import as_array

PAIR = "(spikes, labels)"
DATA = f"an iterable of batches {PAIR}, or a pair of arrays {PAIR}"


def epoch_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """The order of the samples in an epoch (from 0): a permutation, int64 (samples,)."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(samples)


class Coded(ABC):
    """Samples that become spikes only when their batch is run: a base class.

    labels: integers (samples,).
    """

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def spikes(self, rows: np.ndarray) -> Any:
        """Spikes (rows, T, *shape) of some samples, or a dict of them by input."""


@dataclass(frozen=True)
class Batch:
    """inputs: uint8 (B, T, N) of each input. labels: int64 (B,) of each read-out with a loss."""

    inputs: dict[str, Bits]
    labels: dict[str, np.ndarray]

    @property
    def samples(self) -> int:
        """B."""
        return len(next(iter(self.inputs.values())))

    def cut(self, most: int) -> list["Batch"]:
        """As few parts of up to `most` samples as it takes, as equal as can be; in order."""
        count = ceil_div(self.samples, most)
        ends = [self.samples * n // count for n in range(count + 1)]
        return [
            Batch(
                {name: x[begin:end] for name, x in self.inputs.items()},
                {name: y[begin:end] for name, y in self.labels.items()},
            )
            for begin, end in pairwise(ends)
        ]


@dataclass(frozen=True)
class Part:
    """What a backend runs at a time: a batch, or a part of one that is too large for it.

    batch: this part. whole: that of which it is. first, last: of its parts.
    """

    batch: Batch
    whole: Batch
    first: bool
    last: bool


def parts_of(batch: Batch, most: int) -> Iterator[Part]:
    """The batch in parts of up to `most` samples."""
    parts = batch.cut(most)
    for n, part in enumerate(parts):
        yield Part(part, batch, n == 0, n + 1 == len(parts))


class Reader:
    """Checks what is brought for a graph, and cuts it in batches of up to `batch` samples.

    classes: neurons of each read-out that has a loss. steps: T, or None while any will do.
    Raises UserError: it says what is wrong, what it is and what it must be.
    """

    def __init__(self, graph: Graph, classes: Mapping[str, int], batch: int, steps: int | None):
        self.shapes = {p.name: p.shape for p in graph.populations if p.role == "input"}
        self._most = {p.name: p.most for p in graph.populations}
        self.classes, self.batch, self.steps = dict(classes), batch, steps

    def epoch(
        self, data: Any, order: tuple[int, int] | None = None, skip: int = 0
    ) -> Iterator[Batch]:
        """The batches of data as users bring it. order: (seed, epoch) of a shuffle of data that is
        indexed; skip: so many of its batches are left out."""
        if isinstance(data, Coded):
            yield from self._code(data, order, skip)
            return
        if is_pair(data):
            spikes, labels = data
            yield from self._cut(spikes, labels, order, skip)
            return
        if isinstance(data, str | bytes | Mapping | np.ndarray | torch.Tensor) or not hasattr(
            data, "__iter__"
        ):
            raise UserError(f"data is a {_kind(data)}, must be {DATA}")
        n = -1
        for n, each in enumerate(data):
            if not (isinstance(each, tuple | list) and len(each) == 2):
                length = f" of {len(each)}" if isinstance(each, tuple | list) else ""
                raise UserError(f"batch {n} of the data is a {_kind(each)}{length}, must be {PAIR}")
            try:
                found = Batch(inputs := self.spikes(each[0]), self._labels(each[1], _count(inputs)))
                if not 1 <= found.samples <= self.batch:
                    raise UserError(
                        f"it has {found.samples} samples, must have 1 to {self.batch}, the "
                        "trainer's batch"
                    )
            except UserError as error:
                raise UserError(f"batch {n} of the data: {error}") from None
            yield found
        if n < 0:
            raise UserError("data has no batch, must have 1 or more")

    def samples(self, spikes: Any) -> Iterator[Batch]:
        """Batches without labels."""
        if isinstance(spikes, Coded):
            for rows in self._rows(len(spikes)):
                yield Batch(self.spikes(spikes.spikes(rows)), {})
            return
        inputs = self.spikes(spikes)
        for rows in self._rows(_count(inputs)):
            yield Batch({name: x[rows] for name, x in inputs.items()}, {})

    def spikes(self, given: Any) -> dict[str, Bits]:
        """uint8 (samples, T, N) of each input, checked."""
        names = ", ".join(self.shapes)
        if not isinstance(given, Mapping):
            if len(self.shapes) > 1:
                raise UserError(
                    f"spikes are a {_kind(given)} for the inputs {names}, must be a dict by input"
                )
            given = {next(iter(self.shapes)): given}
        if set(given) != set(self.shapes):
            raise UserError(f"spikes are of {sorted(given)}, must be of {sorted(self.shapes)}")
        found: dict[str, Bits] = {}
        steps = self.steps
        for name, shape in self.shapes.items():
            found[name] = self._spikes(name, given[name], shape, steps)
            steps = found[name].shape[1]
        first, *others = self.shapes
        for name in others:
            if len(found[name]) != len(found[first]):
                raise UserError(
                    f"spikes of {name} have {len(found[name])} samples, must have "
                    f"{len(found[first])}, as those of {first} have"
                )
        return found

    def _spikes(self, name: str, given: Any, shape: tuple[int, ...], steps: int | None) -> Bits:
        x = as_array(f"spikes of {name} are", given)
        wanted = ", ".join(map(str, ("B", "T" if steps is None else steps, *shape)))
        if x.ndim != 2 + len(shape) or x.shape[2:] != shape or not len(x):
            raise UserError(f"spikes of {name} have the shape {x.shape}, must have ({wanted})")
        if x.shape[1] != (x.shape[1] if steps is None else steps) or not x.shape[1]:
            must = "1 or more" if steps is None else str(steps)
            raise UserError(f"spikes of {name} have {x.shape[1]} steps, must have {must}")
        if x.dtype.kind not in "buif":
            raise UserError(f"spikes of {name} are of {x.dtype}, must be numbers")
        most = self._most[name]
        wrong = np.argwhere(~((x >= 0) & (x <= most) & (x % 1 == 0)))
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            must = "0 or 1" if most == 1 else f"a whole number from 0 to {most}"
            raise UserError(f"spikes of {name} at {at} are {x[at]:g}, must be {must}")
        return x.astype(np.uint8).reshape(*x.shape[:2], -1)

    def _labels(self, given: Any, samples: int) -> dict[str, np.ndarray]:
        shared = not isinstance(given, Mapping)
        if not shared and set(given) != set(self.classes):
            raise UserError(f"labels are of {sorted(given)}, must be of {sorted(self.classes)}")
        found = {}
        for name, classes in self.classes.items():
            what = "labels" if shared else f"labels of {name}"
            y = as_array(f"{what} are", given if shared else given[name])
            if y.shape != (samples,):
                raise UserError(
                    f"{what} have the shape {y.shape}, must have ({samples},): one for each sample"
                )
            if y.dtype.kind not in "ui":
                raise UserError(f"{what} are of {y.dtype}, must be of integers")
            if y.min() < 0 or y.max() >= classes:
                wrong = y.min() if y.min() < 0 else y.max()
                raise UserError(
                    f"{what} have the label {wrong}, must have labels from 0 to {classes - 1}, as "
                    f"read-out {name} has {classes} neurons"
                )
            found[name] = y.astype(np.int64)
        return found

    def _code(self, data: Coded, order: tuple[int, int] | None, skip: int) -> Iterator[Batch]:
        if not len(data):
            raise UserError("data has no samples, must have 1 or more")
        named = self._labels(data.labels, len(data))
        for rows in self._rows(len(data), order, skip):
            yield Batch(
                self.spikes(data.spikes(rows)), {name: y[rows] for name, y in named.items()}
            )

    def _cut(
        self, spikes: Any, labels: Any, order: tuple[int, int] | None, skip: int
    ) -> Iterator[Batch]:
        inputs = self.spikes(spikes)
        samples = _count(inputs)
        named = self._labels(labels, samples)
        for rows in self._rows(samples, order, skip):
            yield Batch(
                {name: x[rows] for name, x in inputs.items()},
                {name: y[rows] for name, y in named.items()},
            )

    def _rows(
        self, samples: int, order: tuple[int, int] | None = None, skip: int = 0
    ) -> Iterator[np.ndarray]:
        taken = np.arange(samples) if order is None else epoch_order(*order, samples)
        for first in range(skip * self.batch, samples, self.batch):
            yield taken[first : first + self.batch]


def is_indexed(data: Any) -> bool:
    """Whether samples can be taken in any order, so that an epoch can be gone on with."""
    return isinstance(data, Coded) or is_pair(data)


def samples_of(data: Any) -> int | None:
    """How many, if that can be told beforehand."""
    if isinstance(data, Coded):
        return len(data)
    if not is_pair(data):
        return None
    labels = data[1]
    return len(next(iter(labels.values())) if isinstance(labels, Mapping) else labels)


def is_pair(data: Any) -> bool:
    """Whether data is a pair of arrays, each perhaps a dict of some: no two batches."""
    arrays = np.ndarray | torch.Tensor | Mapping
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(each, arrays) for each in data)
    )


def check_again(data: Any, epochs: int) -> None:
    """UserError if data can be run through only once, and there are more epochs."""
    if epochs > 1 and hasattr(data, "__next__"):
        raise UserError(
            f"data is a {_kind(data)}, which ends after one epoch of {epochs}, must be iterable in "
            "each: a list, a DataLoader or a pair of arrays"
        )


def _count(inputs: Mapping[str, Bits]) -> int:
    return len(next(iter(inputs.values())))


def _kind(value: Any) -> str:
    return type(value).__name__
