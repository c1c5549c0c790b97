"""Training of any graph: data in, weights out, on golden or on hardware."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from backspike.drive.machines import find_machine, is_machine
from backspike.gen.machine import Machine
from backspike.golden.half import from_bits
from backspike.golden.initial import initial_graph_weights
from backspike.ir.bits import Bits
from backspike.ir.builder import Network
from backspike.ir.checks import instance, switch, whole
from backspike.ir.constants import LARGEST
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.system.files import as_path
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.train.batches import Batch, Reader, check_again, is_pair
from backspike.train.graph_checkpoint import GraphCheckpoint, load_graph_checkpoint
from backspike.train.graph_engine import GraphEngine, check_graph_backend
from backspike.train.graph_weights import Weights, from_columns, rounded, to_columns
from backspike.train.losses import Criterion, CrossEntropy, Loss
from backspike.train.optimizers import (
    SGD,
    MakesOptimizer,
    OnChip,
    host_optimizer,
    learning_of,
    optimizer_from_json,
    optimizer_to_json,
)
from backspike.train.tally import Tally
from backspike.train.words import plural

Callback = Callable[[dict], object]


class GraphTrainer:
    """Trains a network that is a graph, on `golden` (PyTorch) or `rtl` (the machine, simulated).

        with GraphTrainer(Sequential(Input(64), Dense(128), LIF(), Dense(10))) as trainer:
            trainer.fit((spikes, labels), epochs=5)
            trainer.score((more_spikes, more_labels))

    network: a Graph, or a builder's Network. steps: T, that of the first batch unless given.
    Data is an iterable of batches (spikes, labels), as a torch DataLoader is; or a pair of arrays
    (spikes, labels), which is shuffled in each epoch. spikes: (B, T, *shape) of 0 and 1, of any
    type, or a dict of them by input; labels: integers (B,), or a dict of them by read-out.
    batch: samples at the most. loss, optimizer: see `losses` and `optimizers`; with several
    read-outs {name: loss}. A Momentum needs a machine with `momentum=1` if it is hardware.
    seed: of first weights, order of the data and stochastic rounding.
    stateful: potentials, currents and delayed spikes go on from batch to batch of an epoch; all
    batches then have the same samples, at steps that follow, and no pair of arrays is taken.
    check: compare every tensor with golden (default: on for all but golden).
    A run gives the same bits whenever and wherever it runs; with an optimizer of PyTorch's, with
    the same build of PyTorch. Raises UserError; Mismatch where hardware and golden differ.
    """

    def __init__(
        self,
        network: Graph | Network,
        machine: Machine | str = "default",
        backend: str = "golden",
        *,
        steps: int | None = None,
        batch: int = 16,
        loss: Loss | Mapping[str, Loss] = CrossEntropy(),  # noqa: B008 (it is frozen)
        optimizer: OnChip | MakesOptimizer = SGD(),  # noqa: B008
        seed: int = 0,
        stateful: bool = False,
        check: bool | None = None,
    ) -> None:
        self._closed = False
        self._engine: GraphEngine | None = None
        self.graph = network.graph if isinstance(network, Network) else network
        if not isinstance(self.graph, Graph):
            raise UserError(
                f"network is a {type(network).__name__}, must be a Graph, a builder's Network or a "
                "Sequential"
            )
        self.machine = find_machine(machine) if isinstance(machine, str) else machine
        instance("machine", self.machine, Machine)
        check_graph_backend(backend)
        self.backend_name = backend
        if steps is not None:
            whole("steps", steps)
        switch("stateful", stateful)
        if check is not None:
            switch("check", check)
        self.stateful, self._check = stateful, backend != "golden" if check is None else check
        self.optimizer = optimizer
        self.learning = learning_of(optimizer, batch, seed)
        self._criterion = Criterion(self.graph, loss)
        sizes = {name: self._criterion.sizes[name] for name in self._criterion.losses}
        self._reader = Reader(self.graph, sizes, batch, steps)
        self.updates = 0
        self.history: list[dict] = []
        self._saturated = False
        # Those of the engine, if there is one, unless the host updates.
        self._bits = initial_graph_weights(self.graph, seed)
        self._moments: dict[str, Bits] = {}  # until there is an engine
        self._weights = Weights(self.graph, self._read, self._write)
        self._host = host_optimizer(optimizer, self.graph, from_columns(self.graph, self._bits))
        if steps is not None:
            self._open(steps)

    def __enter__(self) -> "GraphTrainer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Release the backend. Nothing can be run afterwards; weights can be read."""
        if not self._closed:
            self._bits, self._moments = self._read(), self._read_moments()
            self._saturated = self.saturated
            self._closed = True
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    @property
    def losses(self) -> dict[str, Loss]:
        """By read-out."""
        return dict(self._criterion.losses)

    @property
    def steps(self) -> int | None:
        """T; None before the first batch, unless it was given."""
        return self._reader.steps

    @property
    def weights(self) -> Weights:
        """All weights by connection, as PyTorch has them; see `Weights`. Momentum stays as it is
        when they are set; an optimizer on the host goes on from them."""
        return self._weights

    @weights.setter
    def weights(self, weights: Mapping[str, Any]) -> None:
        self._weights.replace(weights)

    @property
    def saturated(self) -> bool:
        """Whether a sum was cut off at ±65504 since the first weights."""
        return self._saturated or (self._engine is not None and self._engine.saturated())

    def fit(self, data: Any, epochs: int, callbacks: Iterable[Callback] = ()) -> list[dict]:
        """Train so many epochs more. Returns for each `epoch` (numbered from 1 since the first
        weights), mean `loss` and `accuracy` (0..1) of its batches, each before its update.

        With several losses, `loss` is their sum and `accuracy` the mean, and `readouts` has both
        by read-out. callbacks: called with each epoch's dict; one that returns True stops.
        Ctrl-C stops after a batch (Interrupted); the next `fit` begins that epoch again.
        """
        self._check_ready(data)
        whole("epochs", epochs)
        callbacks = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for callback in callbacks:
            if not callable(callback):
                raise UserError(f"a callback is {callback!r}, must be a function of a dict")
        check_again(data, epochs)
        if not self.graph.trained:
            raise UserError("all connections are frozen, or no error reaches them; one must learn")
        done = len(self.history)
        with Interruptible() as stop:
            for _ in range(epochs):
                self.history.append(self._epoch(data, stop))
                told = [callback(dict(self.history[-1])) for callback in callbacks]
                if any(isinstance(said, bool | np.bool_) and said for said in told):
                    break
        return [dict(entry) for entry in self.history[done:]]

    def predict(self, spikes: Any) -> Any:
        """Logits of the last step, float64 (samples, classes); a dict by read-out if several have a
        loss. Any number of samples, each from its beginning. A class is the largest logit's."""
        self._check_open()
        parts = [self._run(batch, False) for batch in self._reader.samples(spikes)]
        found = {
            name: np.concatenate([from_bits(part[name][:, -1]).numpy() for part in parts])
            for name in self._criterion.losses
        }
        return found if len(found) > 1 else next(iter(found.values()))

    def score(self, data: Any) -> float:
        """The share of samples, 0..1, whose class is their label's; the mean over read-outs."""
        self._check_ready(data)
        tally = Tally(self._criterion)
        for batch in self._reader.epoch(data, None):
            tally.add(self._run(batch, self.stateful and tally.samples > 0), batch)
        return tally.entry()["accuracy"]

    def record(self, spikes: Any) -> dict[str, dict[str, np.ndarray]]:
        """What every population but the inputs does: uint8 `spikes` and `codes` (of the surrogate
        derivative), float64 `logits` of read-outs, (samples, T, *shape) all of them."""
        self._check_open()
        parts: list[dict[str, Bits]] = []
        for batch in self._reader.samples(spikes):
            self._run(batch, False)
            assert self._engine is not None
            parts.append(self._engine.tensors())
        found: dict[str, dict[str, np.ndarray]] = {}
        for population in self.graph.populations:
            for kind in ("spikes", "codes", "logits"):
                if (name := f"{kind}.{population.name}") in parts[0]:
                    x = np.concatenate([part[name] for part in parts])
                    x = from_bits(x).numpy() if kind == "logits" else x
                    shaped = x.reshape(*x.shape[:2], *population.shape)
                    found.setdefault(population.name, {})[kind] = shaped
        return found

    def checked(self) -> dict[str, int]:
        """Tensors and values compared with golden so far, and mismatches; all 0 without check."""
        none = {"tensors": 0, "values": 0, "mismatches": 0}
        return none if self._engine is None else self._engine.checked()

    def save(self, path: str | os.PathLike) -> None:
        """Write all that a run needs to go on bit for bit from the end of its last epoch."""
        path = as_path("checkpoint", path)
        GraphCheckpoint(
            graph=self.graph,
            losses=self.losses,
            optimizer=optimizer_to_json(self.optimizer),
            batch=self.learning.batch,
            seed=self.learning.seed,
            steps=self.steps,
            stateful=self.stateful,
            backend=self.backend_name,
            machine=self.machine.name,
            updates=self.updates,
            history=self.history,
            saturated=self.saturated,
            weights=self._read(),
            moments=self._read_moments(),
            host=None if self._host is None else self._host.state(),
        ).save(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        machine: Machine | str | None = None,
        backend: str | None = None,
        optimizer: OnChip | MakesOptimizer | None = None,
        check: bool | None = None,
    ) -> "GraphTrainer":
        """Stand where a saved trainer stood, on the same backend and machine unless others are
        given. optimizer: needed only if a file cannot say it, as a class of the user's own."""
        saved = load_graph_checkpoint(path)
        backend = saved.backend if backend is None else backend
        if machine is None and not is_machine(saved.machine):
            if backend != "golden":
                raise UserError(
                    f"checkpoint {path} is of machine {saved.machine!r}, no preset: machine must "
                    "be given"
                )
            machine = "default"
        trainer = cls(
            saved.graph,
            saved.machine if machine is None else machine,
            backend,
            batch=saved.batch,
            loss=saved.losses,
            optimizer=optimizer_from_json(saved.optimizer, optimizer),
            seed=saved.seed,
            stateful=saved.stateful,
            check=check,
        )
        trainer._stand(saved)
        return trainer

    def _stand(self, saved: GraphCheckpoint) -> None:
        self.updates, self.history = saved.updates, saved.history
        self._saturated = saved.saturated
        self._bits, self._moments = saved.weights, saved.moments
        if self._host is not None and saved.host is not None:
            self._host.restore(*saved.host)
        if saved.steps is not None:
            self._open(saved.steps)

    def _open(self, steps: int) -> GraphEngine:
        """The engine, made for so many steps if there is none."""
        if self._engine is None:
            engine = GraphEngine(
                self.backend_name, self.graph, self.learning, self.machine,
                steps=steps, stateful=self.stateful, check=self._check,
            )  # fmt: skip
            engine.load(self._bits, self._moments)
            self._engine, self._reader.steps = engine, steps
        return self._engine

    def _epoch(self, data: Any, stop: Interruptible) -> dict:
        """Hardware updates and runs the next batch at one time."""
        tally = Tally(self._criterion)
        errors: dict[str, Bits] | None = None
        samples = 0
        for batch in self._reader.epoch(data, (self.learning.seed, len(self.history))):
            if stop.requested:
                break
            if errors is None:
                logits = self._run(batch, False)
            else:
                logits = self._update_run(errors, samples, batch)
            tally.add(logits, batch)
            errors, samples = self._criterion.errors(logits, batch.labels), batch.samples
        if errors is not None:
            self._update(errors, samples)
        if stop.requested:
            raise Interrupted(f"stopped after {plural(self.updates, 'batch', 'es')}")
        return {"epoch": len(self.history) + 1, **tally.entry()}

    def _run(self, batch: Batch, go_on: bool) -> dict[str, Bits]:
        steps = next(iter(batch.inputs.values())).shape[1]
        return self._open(steps).forward(batch.inputs, go_on=go_on)

    def _update_run(self, errors: dict[str, Bits], samples: int, batch: Batch) -> dict[str, Bits]:
        """An update, and the next batch."""
        if self._host is not None:
            self._update(errors, samples)
            return self._run(batch, self.stateful)
        assert self._engine is not None
        logits = self._engine.update_forward(
            errors, self.updates, batch.inputs, go_on=self.stateful
        )
        self.updates += 1
        return logits

    def _update(self, errors: dict[str, Bits], samples: int) -> None:
        engine = self._engine
        assert engine is not None
        engine.update(errors, self.updates)
        if self._host is not None:
            new = self._host.step(from_columns(self.graph, engine.gradients()), samples)
            for name, w in new.items():
                self._saturated |= bool((np.abs(w) > LARGEST).any())
                new[name] = rounded(name, w.clip(-LARGEST, LARGEST))
            self._bits = self._bits | to_columns(self.graph, new)
            engine.set_weights(self._bits)
        self.updates += 1

    def _read(self) -> dict[str, Bits]:
        if self._engine is None or self._host is not None:
            return self._bits
        return self._engine.weights()

    def _read_moments(self) -> dict[str, Bits]:
        if self._engine is None or not self.learning.momentum:
            return self._moments
        return self._engine.moments()

    def _write(self, weights: dict[str, np.ndarray], names: list[str]) -> None:
        self._check_open()
        if self._host is not None:
            for name in names:
                self._host.set(name, weights[name])
        self._bits = to_columns(self.graph, weights)
        if self._engine is not None:
            self._engine.set_weights(self._bits)

    def _check_ready(self, data: Any) -> None:
        self._check_open()
        if self.stateful and is_pair(data):
            raise UserError(
                "data is a pair of arrays, whose batches are of other samples, must be an iterable "
                "of batches that go on from each other, as the trainer is stateful"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise UserError("the trainer is closed, must be open: use it in its `with` statement")
