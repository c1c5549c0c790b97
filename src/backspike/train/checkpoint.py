"""Checkpoints: all that a run needs to go on bit for bit, in one safetensors file.

Tensors: `weights.C` FP16 (K, N) of connection C, a bias the last row; with momentum `moments.C`
likewise; with an optimizer on the host `master.C`, float32 as PyTorch has it, and `state.C.KEY`.
The metadata's `backspike` is JSON: network, loss, learning, optimizer, place and history, and each
tensor's type and shape. Its `sha256` is a digest of these and of the tensors.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import save

from backspike.ir.bits import Bits
from backspike.ir.checks import switch, whole
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.validation import check_arrays, check_halves
from backspike.system.files import as_path, check_name, write_file
from backspike.train.graph_json import graph_from_json, graph_to_json
from backspike.train.losses import Criterion, CrossEntropy, Loss, MeanSquared
from backspike.train.old_checkpoints import OLD_FORMATS, read_old
from backspike.train.optimizers import SGD, learning_of, optimizer_from_json
from backspike.train.progress import Progress
from backspike.train.tally import Tally
from backspike.train.tensor_file import as_written, read_tensors, sha256
from backspike.train.thresholds import AdaptiveThreshold

FORMAT = 3
LOSSES = {"CrossEntropy": CrossEntropy, "MeanSquared": MeanSquared}


@dataclass(kw_only=True)
class Checkpoint:
    """A run that stands still. optimizer: see `optimizer_to_json`; host: `HostOptimizer.state`.

    steps: None before the first batch. backend, machine: names of those it ran on, None if they
    are not known. saturated: whether a rounding has. thresholds: how those of the
    graph adapt. notes: what a command keeps, as JSON.
    Raises UserError for wrong values.
    """

    graph: Graph
    losses: dict[str, Loss]
    optimizer: dict[str, Any]
    batch: int
    seed: int
    steps: int | None
    stateful: bool
    backend: str | None
    machine: str | None
    progress: Progress
    saturated: bool
    weights: dict[str, Bits]
    moments: dict[str, Bits]
    host: tuple[dict[str, np.ndarray], dict] | None
    thresholds: AdaptiveThreshold | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        switch("stateful", self.stateful)
        switch("saturated", self.saturated)
        if self.steps is not None:
            whole("steps", self.steps)
        for name in ("backend", "machine"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, str):
                raise UserError(f"{name} is {value!r}, must be a string")
            check_name(name, value)
        if not isinstance(self.notes, dict):
            raise UserError(f"notes are {self.notes!r}, must be a dict")
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
        same = ("optimizer", "batch", "seed", "steps", "stateful", "backend", "machine",
                "saturated", "notes")  # fmt: skip
        about = {
            "format": FORMAT,
            "graph": graph_to_json(self.graph),
            "losses": {
                name: {"type": type(loss).__name__, **asdict(loss)}
                for name, loss in self.losses.items()
            },
            **{name: getattr(self, name) for name in same},
            "thresholds": None if self.thresholds is None else asdict(self.thresholds),
            "progress": asdict(self.progress),
            "host": None if self.host is None else self.host[1],
            "tensors": _index(tensors),
        }
        try:
            text = json.dumps(about)
        except (TypeError, ValueError) as error:
            raise UserError(f"notes are {self.notes!r}, must be JSON: {error}") from None
        metadata = {"backspike": text, "sha256": _digest(text, tensors)}
        write_file(path, save(tensors, metadata))


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read and verify a checkpoint. Raises UserError if anything about it is not as written."""
    path = as_path("checkpoint", path)
    metadata, tensors = read_tensors(path)
    with as_written(path):
        text, digest = metadata["backspike"], metadata["sha256"]
        about = json.loads(text)
        number = about["format"]
        if type(number) is not int or number not in (*OLD_FORMATS, FORMAT):
            known = ", ".join(map(str, OLD_FORMATS))
            raise UserError(
                f"checkpoint {path} is of format {number}, must be of {known} or {FORMAT}"
            )
        if number in OLD_FORMATS:
            return _judged(Checkpoint(**read_old(path, about, tensors, digest, text)))
        if _digest(text, tensors) != digest or about["tensors"] != _index(tensors):
            raise UserError(f"checkpoint {path} is damaged: its content differs from its digest")
        return _judged(_checkpoint(about, tensors))


def _judged(checkpoint: Checkpoint) -> Checkpoint:
    """UserError, KeyError, TypeError or AttributeError for what no trainer learns with."""
    Criterion(checkpoint.graph, checkpoint.losses)
    tally = checkpoint.progress.tally
    for sums in (tally.loss, tally.right):
        check_arrays("sums", sums, checkpoint.losses if tally.samples else {})
    about = checkpoint.optimizer
    optimizer = optimizer_from_json(about, None) if about["again"] else SGD()
    learning_of(optimizer, checkpoint.batch, checkpoint.seed)
    on_host = about["type"].startswith("torch.optim.") and bool(checkpoint.graph.trained)
    if on_host != (checkpoint.host is not None):
        has, must = ("no", "have one") if on_host else ("a", "have none")
        raise UserError(f"it has {has} state of the optimizer {about['type']}, must {must}")
    return checkpoint


def _checkpoint(about: dict[str, Any], tensors: dict[str, np.ndarray]) -> Checkpoint:
    fields = {name: x for name, x in about.items() if name not in ("format", "tensors")}
    losses: dict[str, Loss] = {}
    for name, loss in fields["losses"].items():
        values = dict(loss)
        losses[name] = LOSSES[values.pop("type")](**values)
    if (adaptive := fields.get("thresholds")) is not None:
        fields["thresholds"] = AdaptiveThreshold(**adaptive)
    host = {n: x for n, x in tensors.items() if n.startswith(("master.", "state."))}
    fields |= {
        "graph": graph_from_json(fields["graph"]),
        "losses": losses,
        "progress": _progress(fields["progress"]),
        "weights": _bits(tensors, "weights."),
        "moments": _bits(tensors, "moments."),
        "host": None if fields["host"] is None else (host, fields["host"]),
    }
    return Checkpoint(**fields)


def _progress(about: dict[str, Any]) -> Progress:
    return Progress(**{**about, "tally": Tally(**about["tally"])})


def _bits(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, Bits]:
    return {n.removeprefix(prefix): x.view(np.uint16) for n, x in tensors.items()
            if n.startswith(prefix)}  # fmt: skip


def _index(tensors: dict[str, np.ndarray]) -> dict[str, list]:
    return {name: [str(x.dtype), list(x.shape)] for name, x in sorted(tensors.items())}


def _digest(text: str, tensors: dict[str, np.ndarray]) -> str:
    return sha256(text, [tensors[name] for name in sorted(tensors)])
