"""Checkpoints: all that a run needs to go on bit for bit, in one safetensors file.

Tensors `weights.L` hold the halves of layer L as float16 (K, N). The metadata's `backspike` is
JSON: network, learning, data, place in the run and history; its `sha256` is a digest of these and
the weights. Order of data and stochastic rounding depend on seed and place alone, so no
generator's state is kept.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from backspike.ir.bits import Bits
from backspike.ir.errors import UserError
from backspike.ir.network import Layer, Learning, Network, Surrogate
from backspike.system.files import write_file

FORMAT = 1


@dataclass(kw_only=True)
class Progress:
    """Where a run stands. updates: weight updates done since its start.

    loss, correct, samples: sums over the batches of the epoch under way.
    history: a dictionary for every epoch that ended.
    """

    updates: int = 0
    loss: float = 0.0
    correct: int = 0
    samples: int = 0
    history: list[dict] = field(default_factory=list)


@dataclass(kw_only=True)
class Checkpoint:
    """A run that stands still. epochs: the goal that it was started with.

    data: what `data.load` was given; limit: samples used at most; digest: `Dataset.digest()`.
    """

    network: Network
    learning: Learning
    weights: list[Bits]
    progress: Progress
    epochs: int
    data: str
    limit: int | None
    digest: str

    def save(self, path: Path) -> None:
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
            "digest": self.digest,
        }
        text = json.dumps(about)
        metadata = {"backspike": text, "sha256": sha256(text, self.weights)}
        write_file(path, save(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint. Raises UserError if anything about it is not as written."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} is not there") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"checkpoint {path} cannot be read: {error}") from None
    try:
        text, digest = metadata["backspike"], metadata["sha256"]
        weights = [_bits(path, tensors, f"weights.{i}") for i in range(len(tensors))]
        if sha256(text, weights) != digest:
            raise UserError(f"checkpoint {path} is damaged: its content differs from its digest")
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise UserError(
                f"checkpoint {path} is of format {about['format']}: {FORMAT} is allowed"
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
        )
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"checkpoint {path} was not written by backspike: {type(error).__name__} {error}"
        ) from None
    shapes = tuple(bits.shape for bits in weights)
    if shapes != network.shapes:
        raise UserError(
            f"checkpoint {path} has weights of the shapes {shapes}: its network needs "
            f"{network.shapes}"
        )
    return checkpoint


def _network(about: dict) -> Network:
    layers = []
    for layer in about["layers"]:
        table = layer["surrogate"]
        surrogate = Surrogate(table["name"], tuple(table["edges"]), tuple(table["values"]))
        layers.append(Layer(**{**layer, "surrogate": surrogate}))
    return Network(inputs=about["inputs"], layers=tuple(layers), steps=about["steps"])


def _bits(path: Path, tensors: dict[str, np.ndarray], name: str) -> Bits:
    halves = tensors[name]
    if halves.dtype != np.float16:
        raise UserError(f"checkpoint {path} has {name} of {halves.dtype}: float16 is allowed")
    return halves.view(np.uint16)


def sha256(text: str, weights: list[Bits]) -> str:
    """The digest of a checkpoint's JSON and weights."""
    hashed = hashlib.sha256(text.encode())
    for bits in weights:
        hashed.update(np.ascontiguousarray(bits).tobytes())
    return hashed.hexdigest()
