"""What a training run found, under the names that scripts rely on."""

from dataclasses import dataclass, field
from typing import Any

from backspike.ir.constants import ENGINES
from backspike.system.json_text import json_text


@dataclass(kw_only=True)
class Result:
    """The result of a training run; see `results.result_of`.

    layers: neurons of each population. rule, loss: of the hidden populations, of the read-outs.
    rate: η. optimizer: see `optimizer_to_json`. network: all of its populations, with their neuron
    models, and connections.
    accuracy: shares 0..1 of the training and test samples, with the final weights.
    check: tensors and values compared with golden, and mismatches; all 0 without `check`.
    cycles: of the training batches of this run (evaluation left out): `total`, and of each engine
    `busy` and `bound`, the least. None on the golden backend.
    density: shares 0..1 of ones in the input's and the hidden layers' spikes and of nonzero hidden
    gradients, over every 16th training batch of this run; None where there was none.
    simulation: cycles, seconds and cycles_per_second of everything simulated in this run; None on
    the golden backend.
    populations: of each population `density` of spikes and gradients, values `compared` with
    golden, and, on hardware, `cycles` a batch (or a part of one) by engine, predicted, and their
    `bound` (see `results.population_cycles`).
    history: see `Progress`; `test` is the test samples' accuracy. counters: all that the hardware
    counted in the training batches.
    words: the network, in a few. data: `name`, and `digest` of the training samples. versions: of
    what computed. parameters: of the machine.
    saturated: whether a rounding ran into ±65504 since the first weights, and saturated_batch: the
    first batch in which one did. diverged: whether the mean loss of the last epoch is too large
    (see `health.DIVERGED`), and diverged_batch: the first batch whose loss was. Batches are counted
    from 0 since the first weights. warnings: a sentence for all that makes the run worthless.
    """

    backend: str
    machine: str
    layers: list[int]
    steps: int
    batch: int
    epochs: int
    rule: str
    loss: str
    seed: int
    accuracy: dict[str, float]
    check: dict[str, int]
    cycles: dict | None
    density: dict[str, float | None]
    simulation: dict | None
    history: list[dict] = field(default_factory=list)
    rate: float | None = None
    optimizer: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    populations: dict[str, dict] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    counters: dict | None = None
    saturated: bool = False
    saturated_batch: int | None = None
    diverged: bool = False
    diverged_batch: int | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict:
        """What `backspike train --json` writes: all fields but counters and words."""
        return {name: x for name, x in vars(self).items() if name not in ("counters", "words")}

    def to_json(self) -> str:
        return json_text(self.to_dict())


def cycles_of(counters: dict) -> dict:
    """The part of a backend's counters that the JSON names: total, busy and bound."""
    engines = {e: {"busy": counters[e]["busy"], "bound": counters[e]["bound"]} for e in ENGINES}
    return {"total": counters["total"], **engines}


def difference(after: dict, before: dict) -> dict:
    """What was counted between two readings of nested counters."""
    return {
        name: difference(value, before[name]) if isinstance(value, dict) else value - before[name]
        for name, value in after.items()
    }


def added(a: dict | None, b: dict) -> dict:
    """The sum of nested counters; None counts nothing."""
    if a is None:
        return b
    return {k: added(a[k], v) if isinstance(v, dict) else a[k] + v for k, v in b.items()}
