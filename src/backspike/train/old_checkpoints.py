"""Checkpoints of version 0.1.0, whose networks were chains of layers.

Tensors `weights.L` hold layer L's FP16 weights (K, N). The metadata's JSON has the network as its
inputs, steps and layers. Format 1 has no backend and no machine, and forgets that a run saturated.
"""

from pathlib import Path
from typing import Any

import numpy as np

from backspike.ir.builder import Input, Sequential
from backspike.ir.checks import whole
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.graph_json import surrogate_from_json
from backspike.train.losses import CrossEntropy, Loss, MeanSquared
from backspike.train.optimizers import SGD, Momentum, OnChip, optimizer_to_json
from backspike.train.progress import Progress
from backspike.train.tally import Tally
from backspike.train.tensor_file import sha256

OLD_FORMATS = (1, 2)
READOUT = "readout"
"""As a chain has it."""


def read_old(
    path: Path, about: dict[str, Any], tensors: dict[str, np.ndarray], digest: str, text: str
) -> dict[str, Any]:
    """The fields of a `Checkpoint`, from the JSON `text` that is `about`. Raises UserError,
    KeyError, TypeError, ValueError or AttributeError if it is not as it was written."""
    weights = [tensors[f"weights.{i}"] for i in range(len(tensors))]
    for i, w in enumerate(weights):
        if w.dtype != np.float16:
            raise UserError(f"checkpoint {path} has weights.{i} of {w.dtype}, must have float16")
    if sha256(text, weights) != digest:
        raise UserError(f"checkpoint {path} is damaged: its content differs from its digest")
    network, learning = about["network"], Learning(**about["learning"])
    graph = _graph(network)
    whole("steps", network["steps"])
    progress = _progress(about["progress"], learning.batch)
    loss: Loss = CrossEntropy()
    if learning.loss == "mse":
        loss = MeanSquared(alpha=learning.alpha)
    optimizer: OnChip = SGD(learning.rate, learning.rounding)
    if learning.momentum:  # whose moments such a file does not have
        optimizer = Momentum(learning.rate, learning.momentum, learning.rounding)
    names = list(graph.shapes)
    if len(weights) != len(names):
        raise UserError(f"weights are of {len(weights)} layers, must be of {len(names)}")
    return {
        "graph": graph,
        "losses": {READOUT: loss},
        "optimizer": optimizer_to_json(optimizer),
        "batch": learning.batch,
        "seed": learning.seed,
        "steps": network["steps"],
        "stateful": False,
        "backend": about.get("backend"),
        "machine": about.get("machine"),
        "progress": progress,
        "saturated": progress.saturated is not None,
        "weights": {n: w.view(np.uint16) for n, w in zip(names, weights, strict=True)},
        "moments": {},
        "host": None,
        "notes": {name: about[name] for name in ("epochs", "data", "limit", "digest")},
    }


def _graph(about: dict[str, Any]) -> Graph:
    *hidden, last = about["layers"]
    parts: list[Input | Dense | LIF] = [Input(about["inputs"])]
    for layer in hidden:
        fields = {name: x for name, x in layer.items() if name not in ("size", "bias")}
        surrogate = surrogate_from_json(fields.pop("surrogate"))
        parts += [Dense(layer["size"], bias=layer["bias"]), LIF(**fields, surrogate=surrogate)]
    return Sequential(*parts, Dense(last["size"], bias=last["bias"]))


def _progress(about: dict[str, Any], batch: int) -> Progress:
    fields = dict(about)
    samples, loss, correct = fields.pop("samples"), fields.pop("loss"), fields.pop("correct")
    history = [
        {"epoch": e["epoch"], "loss": e["loss"], "accuracy": e["train"], "test": e["test"]}
        for e in fields.pop("history")
    ]
    tally = Tally(samples, {READOUT: loss}, {READOUT: correct}) if samples else Tally()
    return Progress(**fields, history=history, batches=-(-samples // batch), tally=tally)
