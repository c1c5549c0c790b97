"""Checkpoints of graphs: all that a run needs to go on bit for bit, in one safetensors file.

Tensors: `weights.C` FP16 (K, N) of connection C, a bias the last row; with momentum `moments.C`
likewise; with an optimizer on the host `master.C`, float32 as PyTorch has it, and `state.C.KEY`.
The metadata's `backspike` is JSON: network, loss, learning, optimizer, place and history, and each
tensor's type and shape. Its `sha256` is a digest of these and of the tensors.
"""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from safetensors.numpy import save

from backspike.ir.bits import Bits
from backspike.ir.checks import switch, whole
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.validation import check_arrays, check_halves
from backspike.system.files import as_path, write_file
from backspike.train.checkpoint import sha256
from backspike.train.graph_json import graph_from_json, graph_to_json
from backspike.train.losses import CrossEntropy, Loss, MeanSquared
from backspike.train.tensor_file import as_written, read_tensors

FORMAT = "graph 1"
LOSSES = {"CrossEntropy": CrossEntropy, "MeanSquared": MeanSquared}


@dataclass(kw_only=True)
class GraphCheckpoint:
    """A run that stands still. optimizer: see `optimizer_to_json`; host: `HostOptimizer.state`.

    updates: since the first weights; history: an entry for each epoch that ended; saturated:
    whether a rounding has. steps: None before the first batch. Raises UserError for wrong values.
    """

    graph: Graph
    losses: dict[str, Loss]
    optimizer: dict[str, Any]
    batch: int
    seed: int
    steps: int | None
    stateful: bool
    backend: str
    machine: str
    updates: int
    history: list[dict]
    saturated: bool
    weights: dict[str, Bits]
    moments: dict[str, Bits]
    host: tuple[dict[str, np.ndarray], dict] | None

    def __post_init__(self) -> None:
        switch("stateful", self.stateful)
        switch("saturated", self.saturated)
        if self.steps is not None:
            whole("steps", self.steps)
        if type(self.updates) is not int or not 0 <= self.updates <= 2**32:
            raise UserError(f"updates is {self.updates!r}, must be a whole number from 0 to 2^32")
        for n, entry in enumerate(self.history):
            if entry["epoch"] != n + 1:
                raise UserError(f"epoch of history[{n}] is {entry['epoch']!r}, must be {n + 1}")
        shapes = self.graph.shapes
        trained = {c.name: shapes[c.name] for c in self.graph.trained}
        for what, found, wanted in (
            ("weights", self.weights, shapes),
            ("moments", self.moments, trained if self.moments else {}),
        ):
            check_arrays(what, found, wanted)
            for name, shape in wanted.items():
                check_halves(f"{what} of {name}", found[name], shape)

    def save(self, path: str | os.PathLike) -> None:
        """Write the file whole or not at all."""
        tensors = {f"weights.{n}": w.view(np.float16) for n, w in self.weights.items()}
        tensors |= {f"moments.{n}": m.view(np.float16) for n, m in self.moments.items()}
        if self.host is not None:
            tensors |= self.host[0]
        # The file has arrays in rows, whatever order of axes they have here.
        tensors = {name: np.array(x, order="C") for name, x in tensors.items()}
        same = ("optimizer", "batch", "seed", "steps", "stateful", "backend", "machine", "updates",
                "history", "saturated")  # fmt: skip
        about = {
            "format": FORMAT,
            "graph": graph_to_json(self.graph),
            "losses": {
                name: {"type": type(loss).__name__, **asdict(loss)}
                for name, loss in self.losses.items()
            },
            **{name: getattr(self, name) for name in same},
            "host": None if self.host is None else self.host[1],
            "tensors": _index(tensors),
        }
        text = json.dumps(about)
        metadata = {"backspike": text, "sha256": _digest(text, tensors)}
        write_file(path, save(tensors, metadata))


def load_graph_checkpoint(path: str | os.PathLike) -> GraphCheckpoint:
    """Read and verify a checkpoint. Raises UserError if anything about it is not as written."""
    path = as_path("checkpoint", path)
    metadata, tensors = read_tensors(path)
    with as_written(path):
        text, digest = metadata["backspike"], metadata["sha256"]
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise UserError(
                f"checkpoint {path} is of format {about['format']}, must be of {FORMAT}, which is "
                "that of graphs"
            )
        if _digest(text, tensors) != digest or about["tensors"] != _index(tensors):
            raise UserError(f"checkpoint {path} is damaged: its content differs from its digest")
        return _checkpoint(about, tensors)


def _checkpoint(about: dict[str, Any], tensors: dict[str, np.ndarray]) -> GraphCheckpoint:
    fields = {name: x for name, x in about.items() if name not in ("format", "tensors")}
    losses: dict[str, Loss] = {}
    for name, loss in fields["losses"].items():
        values = dict(loss)
        losses[name] = LOSSES[values.pop("type")](**values)
    host = {n: x for n, x in tensors.items() if n.startswith(("master.", "state."))}
    fields |= {
        "graph": graph_from_json(fields["graph"]),
        "losses": losses,
        "weights": _bits(tensors, "weights."),
        "moments": _bits(tensors, "moments."),
        "host": None if fields["host"] is None else (host, fields["host"]),
    }
    return GraphCheckpoint(**fields)


def _bits(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, Bits]:
    return {n.removeprefix(prefix): x.view(np.uint16) for n, x in tensors.items()
            if n.startswith(prefix)}  # fmt: skip


def _index(tensors: dict[str, np.ndarray]) -> dict[str, list]:
    return {name: [str(x.dtype), list(x.shape)] for name, x in sorted(tensors.items())}


def _digest(text: str, tensors: dict[str, np.ndarray]) -> str:
    return sha256(text, [tensors[name] for name in sorted(tensors)])
