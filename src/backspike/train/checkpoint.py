"""Checkpoints: all that a run needs to go on bit for bit, in one safetensors file.

Tensors `weights.L` hold layer L's FP16 weights (K, N). The metadata's `backspike` is JSON: network,
learning, backend, data, place in the run and history. Its `sha256` is a digest of these and the
weights. The order of data and stochastic rounding depend on seed and place alone, so no generator's
state is kept.
"""

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from backspike.ir.bits import Bits
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.validation import check_weights
from backspike.system.files import as_path, check_name, write_file
from backspike.train.graph_json import surrogate_from_json
from backspike.train.tensor_file import as_written, read_tensors
from backspike.train.words import plural

FORMAT = 2
FORMATS = (1, 2)
"""Those that can be read. Format 1 has no backend, no machine, and forgets that a run saturated."""


@dataclass(kw_only=True)
class Progress:
    """Where a run stands. updates: weight updates done since its start.

    loss, correct, samples: sums over the batches of the epoch under way.
    history: for every epoch that ended its number `epoch` (from 1), mean `loss`, and accuracies
    `train` and `test`. first_loss: of the first batch. saturated, diverged: the first batch in
    which a sum was cut off, or whose loss was too large (see `Health`).
    Raises UserError for values that no run leads to.
    """

    updates: int = 0
    loss: float = 0.0
    correct: int = 0
    samples: int = 0
    history: list[dict] = field(default_factory=list)
    first_loss: float | None = None
    saturated: int | None = None
    diverged: int | None = None

    def __post_init__(self) -> None:
        _update("updates", self.updates)
        for name in ("correct", "samples"):
            _whole(name, getattr(self, name), 0)
        _number("loss", self.loss)
        if self.first_loss is not None:
            _number("first_loss", self.first_loss)
        for name in ("saturated", "diverged"):
            if getattr(self, name) is not None:
                _update(name, getattr(self, name))
        if not isinstance(self.history, list):
            raise UserError(f"history is {self.history!r}, must be a list")
        for n, entry in enumerate(self.history):
            if not isinstance(entry, dict) or entry.keys() != {"epoch", "loss", "train", "test"}:
                raise UserError(f"history[{n}] is {entry!r}, must have epoch, loss, train and test")
            if type(entry["epoch"]) is not int or entry["epoch"] != n + 1:
                raise UserError(f"epoch of history[{n}] is {entry['epoch']!r}, must be {n + 1}")
            _number(f"loss of history[{n}]", entry["loss"])
            for name in ("train", "test"):
                _number(f"{name} of history[{n}]", entry[name], most=1)

    def check(self, batches: int, samples: int, batch: int) -> None:
        """UserError unless the place agrees with the history, for epochs of so many batches."""
        within = self.updates - len(self.history) * batches
        if not 0 <= within <= batches:
            raise UserError(
                f"updates is {self.updates}, must be from {len(self.history) * batches} to "
                f"{(len(self.history) + 1) * batches} after {plural(len(self.history), 'epoch')}"
            )
        seen = min(within * batch, samples)
        if self.samples != seen or not 0 <= self.correct <= seen:
            raise UserError(
                f"correct and samples are {self.correct} and {self.samples}, must be up to {seen} "
                f"and {seen} after {plural(self.updates, 'update')}"
            )


@dataclass(kw_only=True)
class Checkpoint:
    """A run that stands still. epochs: the goal that it was started with.

    data: what `data.load` was given; limit: samples used at most; digest: `Dataset.digest()`.
    backend, machine: names of those it ran on; None if they are not known.
    Raises UserError for values of the wrong kind.
    """

    network: Network
    learning: Learning
    weights: list[Bits]
    progress: Progress
    epochs: int
    data: str
    limit: int | None
    digest: str
    backend: str | None = None
    machine: str | None = None

    def __post_init__(self) -> None:
        _whole("epochs", self.epochs, 1)
        if self.limit is not None:
            _whole("limit", self.limit, 1)
        for name in ("data", "digest", "backend", "machine"):
            value = getattr(self, name)
            if value is None and name in ("backend", "machine"):
                continue
            if not isinstance(value, str):
                raise UserError(f"{name} is {value!r}, must be a string")
            check_name(name, value)

    def save(self, path: str | os.PathLike) -> None:
        """Write the file whole or not at all: a reader sees the old one or the new one."""
        tensors = {f"weights.{i}": w.view(np.float16) for i, w in enumerate(self.weights)}
        about = {
            "format": FORMAT,
            "network": asdict(self.network),
            "learning": asdict(self.learning),
            "progress": asdict(self.progress),
            "epochs": self.epochs,
            "data": self.data,
            "limit": self.limit,
            "backend": self.backend,
            "machine": self.machine,
            "digest": self.digest,
        }
        text = json.dumps(about)
        metadata = {"backspike": text, "sha256": sha256(text, self.weights)}
        write_file(path, save(tensors, metadata))


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read and verify a checkpoint. Raises UserError if anything about it is not as written."""
    path = as_path("checkpoint", path)
    metadata, tensors = read_tensors(path)
    with as_written(path):
        text, digest = metadata["backspike"], metadata["sha256"]
        weights = [_bits(path, tensors, f"weights.{i}") for i in range(len(tensors))]
        if sha256(text, weights) != digest:
            raise UserError(f"checkpoint {path} is damaged: its content differs from its digest")
        about = json.loads(text)
        if type(about["format"]) is not int or about["format"] not in FORMATS:
            raise UserError(
                f"checkpoint {path} is of format {about['format']}, must be of "
                f"{' or '.join(map(str, FORMATS))}"
            )
        network = _network(about["network"])
        checkpoint = Checkpoint(
            network=network,
            learning=Learning(**about["learning"]),
            weights=weights,
            progress=Progress(**about["progress"]),
            epochs=about["epochs"],
            data=about["data"],
            limit=about["limit"],
            digest=about["digest"],
            backend=about.get("backend"),
            machine=about.get("machine"),
        )
        check_weights(network, weights)
        return checkpoint


def _network(about: dict) -> Network:
    layers = []
    for layer in about["layers"]:
        surrogate = surrogate_from_json(layer["surrogate"])
        layers.append(Layer(**{**layer, "surrogate": surrogate}))
    return Network(inputs=about["inputs"], layers=tuple(layers), steps=about["steps"])


def _bits(path: Path, tensors: dict[str, np.ndarray], name: str) -> Bits:
    weights = tensors[name]
    if weights.dtype != np.float16:
        raise UserError(f"checkpoint {path} has {name} of {weights.dtype}, must have float16")
    return weights.view(np.uint16)


def _whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} is {value!r}, must be a whole number from {least} up")


def _update(name: str, value: object) -> None:
    """Stochastic rounding draws from the number of an update, which has 32 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**32:
        raise UserError(f"{name} is {value!r}, must be a whole number from 0 to 2^32")


def _number(name: str, value: object, most: float = math.inf) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and 0 <= number <= most):
        upper = "up" if most == math.inf else f"to {most:g}"
        raise UserError(f"{name} is {value!r}, must be a finite number from 0 {upper}")


def sha256(text: str, weights: list[Bits]) -> str:
    """The digest of a checkpoint's JSON and weights."""
    hashed = hashlib.sha256(text.encode())
    for bits in weights:
        hashed.update(np.ascontiguousarray(bits).tobytes())
    return hashed.hexdigest()
