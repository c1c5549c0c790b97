"""Training of any network: data in, weights out, on golden or on hardware."""

import os
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from backspike.compile.compiler import Plan
from backspike.drive.machines import find_machine, is_machine
from backspike.drive.registry import check_backend
from backspike.gen.machine import Machine
from backspike.golden.half import from_bits
from backspike.ir.bits import Bits
from backspike.ir.builder import Network
from backspike.ir.checks import instance, switch, whole
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.system.files import as_path
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.train.batches import Reader, check_again, is_pair
from backspike.train.checkpoint import Checkpoint, load_checkpoint
from backspike.train.density import Density
from backspike.train.fitting import Fitting, runs
from backspike.train.health import Health
from backspike.train.losses import Criterion, CrossEntropy, Loss
from backspike.train.optimizers import (
    SGD,
    MakesOptimizer,
    OnChip,
    optimizer_from_json,
    optimizer_to_json,
)
from backspike.train.stepper import Stepper
from backspike.train.tally import Tally
from backspike.train.thresholds import AdaptiveThreshold
from backspike.train.weights import Weights

Callback = Callable[[dict], object]


class Trainer:
    """Trains a network on a backend: `golden` (PyTorch), `rtl` (the machine, simulated) or
    `serial:PORT[:BAUD]` (the machine on a board).

        with Trainer(Sequential(Input(64), Dense(128), LIF(), Dense(10))) as trainer:
            trainer.fit((spikes, labels), epochs=5)
            trainer.score((more_spikes, more_labels))

    network: a Graph, or a builder's Network. steps: T, that of the first batch unless given.
    Data is an iterable of batches (spikes, labels), as a torch DataLoader is; or a pair of arrays
    (spikes, labels), which is shuffled in each epoch; or a `Coded`, shuffled likewise. spikes:
    (B, T, *shape) of 0 and 1, of any type, or a dict of them by input; labels: integers (B,), or a
    dict of them by read-out.
    batch: samples at the most; on hardware with `parts=1` also more than it has room for at a time.
    loss, optimizer: see `losses` and `optimizers`; with several
    read-outs {name: loss}. A Momentum needs a machine with `momentum=1` if it is hardware.
    seed: of first weights, order of the data and stochastic rounding. gain: of first weights; their
    deviation is gain / sqrt(sources of a neuron); None: 2, and 2.4 for more than six layers.
    stateful: potentials, currents and delayed spikes go on from batch to batch of an epoch; all
    batches then have the same samples, at steps that follow, and no pair of arrays is taken.
    thresholds: None, or how those of hidden populations adapt; see `AdaptiveThreshold`.
    check: compare every tensor with golden (default: on for all but golden). trace, trace_batch:
    see `make_backend`. `health` says what is wrong with a run.
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
        gain: float | None = None,
        stateful: bool = False,
        thresholds: AdaptiveThreshold | None = None,
        check: bool | None = None,
        trace: str | os.PathLike | None = None,
        trace_batch: int = 0,
    ) -> None:
        graph = network.graph if isinstance(network, Network) else network
        if not isinstance(graph, Graph):
            raise UserError(
                f"network is a {type(network).__name__}, must be a Graph, a builder's Network or a "
                "Sequential"
            )
        self.machine = find_machine(machine) if isinstance(machine, str) else machine
        instance("machine", self.machine, Machine)
        check_backend(backend)
        self.backend_name = backend
        if steps is not None:
            whole("steps", steps)
        switch("stateful", stateful)
        if check is not None:
            switch("check", check)
        if thresholds is not None:
            instance("thresholds", thresholds, AdaptiveThreshold)
        self.stateful, self.optimizer, self.thresholds = stateful, optimizer, thresholds
        self._criterion = Criterion(graph, loss)
        sizes = {name: self._criterion.sizes[name] for name in self._criterion.losses}
        self._reader = Reader(graph, sizes, batch, steps)
        self._stepper = Stepper(
            graph, self._criterion, optimizer, self._reader,
            machine=self.machine, backend=backend, batch=batch, seed=seed, gain=gain,
            stateful=stateful, check=backend != "golden" if check is None else check,
            thresholds=thresholds,
            trace=None if trace is None else as_path("trace", trace), trace_batch=trace_batch,
        )  # fmt: skip
        self.learning = self._stepper.learning
        self.density = Density(graph)
        self.health = Health(self._criterion, self.density)
        self.counters: dict | None = None
        self._weights = Weights(graph, self._stepper.weights, self._stepper.set_weights)
        if steps is not None:
            self._stepper.open(steps)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Release the backend. Nothing can be run afterwards; weights can be read."""
        self._stepper.close()

    @property
    def graph(self) -> Graph:
        """The network, with the thresholds that it has now."""
        return self._stepper.graph

    @property
    def losses(self) -> dict[str, Loss]:
        """By read-out."""
        return dict(self._criterion.losses)

    @property
    def steps(self) -> int | None:
        """T; None before the first batch, unless it was given."""
        return self._reader.steps

    @property
    def updates(self) -> int:
        """Updates of weights since the first ones."""
        return self._stepper.updates

    @property
    def history(self) -> list[dict]:
        """See `Progress`."""
        return self.health.progress.history

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
        return self._stepper.saturated

    def bits(self) -> dict[str, Bits]:
        """All weights as the core has them, uint16 (K, N) by connection, a bias the last row."""
        return self._stepper.weights()

    def fit(
        self,
        data: Any,
        epochs: int,
        callbacks: Iterable[Callback] = (),
        *,
        test: Any = None,
        save: str | os.PathLike | None = None,
        notes: Mapping[str, Any] | None = None,
        bar: bool = False,
        watch: Callable[[], object] | None = None,
    ) -> list[dict]:
        """Train so many epochs more; one that was interrupted is gone on with, and counts, if its
        data is a pair of arrays or a `Coded`, and else begins again. Returns the entries that the
        history has gained; see `Progress`.

        callbacks: called with each epoch's dict; one that returns True stops. test: data that is
        scored after each epoch. save: checkpoint, written after every epoch; and, where an epoch
        can be gone on with, at the start, when Ctrl-C stops the run (Interrupted), and whenever the
        last one is SAVE_SECONDS old. A pipe or a device gets the last one alone. notes: kept in it,
        as JSON. bar: progress on stderr. watch: called after the first few batches, when `health`
        knows of populations that are silent or saturated.
        Raises LinkError if a board is lost.
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
        fitting = Fitting(
            self._stepper, self._reader, self.health, self.density, self.counters,
            path=None if save is None else as_path("save", save),
            keep=lambda path: self.save(path, notes), bar=bar, watch=watch,
        )  # fmt: skip
        try:
            for entry in fitting.epochs(data, test, epochs):
                told = [callback(dict(entry)) for callback in callbacks]
                if any(isinstance(said, bool | np.bool_) and said for said in told):
                    fitting.save(last=True)
                    break
        finally:
            self.counters = fitting.counters
        return [dict(entry) for entry in self.history[done:]]

    def predict(self, spikes: Any, part: str = "predicted") -> Any:
        """Logits of the last step, float64 (samples, classes); a dict by read-out if several have a
        loss. Any number of samples, each from its beginning. A class is the largest logit's, the
        first of equal ones. part: what `health` calls the samples."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self._criterion.losses}
        for logits in self._each(spikes, part, "predicting"):
            for name, last in self._criterion.last(logits).items():
                parts[name].append(from_bits(last).numpy())
        found = {name: np.concatenate(each) for name, each in parts.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def score(self, data: Any, part: str = "evaluated") -> float:
        """The share of samples, 0..1, whose class is their label's; the mean over read-outs.
        part: what `health` calls the samples."""
        self._check_ready(data)
        tally = Tally()
        with Interruptible() as stop:
            for batch, logits in runs(self._stepper, self._reader, self.health, data, part):
                tally.add(self._criterion, logits, batch)
                if stop.requested:
                    raise Interrupted("stopped while evaluating")
        return tally.accuracy

    def record(self, spikes: Any) -> dict[str, dict[str, np.ndarray]]:
        """What every population but the inputs does: uint8 `spikes` and `codes` (of the surrogate
        derivative), (samples, T, *shape); float64 `logits` of read-outs, likewise, of every step if
        a loss is of every step or the read-out spikes, else of the last one, (samples, *shape)."""
        parts: list[dict[str, Bits]] = []
        for _ in self._each(spikes, "recorded", "recording"):
            backend = self._stepper.backend
            assert backend is not None
            parts.append(backend.forward_tensors())
        found: dict[str, dict[str, np.ndarray]] = {}
        for population in self.graph.populations:
            for kind in ("spikes", "codes", "logits"):
                if (name := f"{kind}.{population.name}") in parts[0]:
                    x = np.concatenate([part[name] for part in parts])
                    x = from_bits(x).numpy() if kind == "logits" else x
                    shaped = x.reshape(*x.shape[:-1], *population.shape)
                    found.setdefault(population.name, {})[kind] = shaped
        return found

    def checked(self) -> dict[str, int]:
        """Tensors and values compared with golden so far, and mismatches; all 0 without check."""
        return self._stepper.checked()

    def compared(self) -> dict[str, int]:
        """Values compared with golden by population, those of the connections that enter it among
        them; empty without check."""
        return self._stepper.compared()

    @property
    def plan(self) -> Plan | None:
        """How the network lies on the machine; None on golden, and before the first batch."""
        return getattr(self._stepper.backend, "plan", None)

    def simulation(self) -> dict | None:
        """Of everything simulated, `cycles`, `seconds` and `cycles_per_second`; None if nothing
        is."""
        return self._stepper.simulation()

    def save(self, path: str | os.PathLike, notes: Mapping[str, Any] | None = None) -> None:
        """Write all that a run needs to go on bit for bit from where it stands. notes: JSON."""
        notes = {} if notes is None else notes
        instance("notes", notes, Mapping)
        Checkpoint(
            graph=self.graph,
            losses=self.losses,
            optimizer=optimizer_to_json(self.optimizer),
            batch=self.learning.batch,
            seed=self.learning.seed,
            steps=self.steps,
            stateful=self.stateful,
            thresholds=self.thresholds,
            backend=self.backend_name,
            machine=self.machine.name,
            progress=self.health.progress,
            saturated=self.saturated,
            weights=self._stepper.weights(),
            moments=self._stepper.moments(),
            host=self._stepper.host_state(),
            notes=dict(notes),
        ).save(as_path("checkpoint", path))

    @classmethod
    def load(
        cls,
        source: str | os.PathLike | Checkpoint,
        *,
        machine: Machine | str | None = None,
        backend: str | None = None,
        optimizer: OnChip | MakesOptimizer | None = None,
        check: bool | None = None,
        trace: str | os.PathLike | None = None,
        trace_batch: int = 0,
    ) -> "Trainer":
        """Stand where a saved trainer stood, on the same backend and machine unless others are
        given. source: a file, or a checkpoint that was read. optimizer: needed only if a file
        cannot say it, as a class of the user's own."""
        saved = source if isinstance(source, Checkpoint) else load_checkpoint(source)
        backend = (saved.backend or "golden") if backend is None else backend
        if machine is None:
            known = saved.machine if is_machine(saved.machine) else None
            if known is None and backend != "golden":
                raise UserError(
                    f"the checkpoint is of machine {saved.machine!r}, no preset: machine must be "
                    "given"
                )
            machine = known or "default"
        trainer = cls(
            saved.graph,
            machine,
            backend,
            batch=saved.batch,
            loss=saved.losses,
            optimizer=optimizer_from_json(saved.optimizer, optimizer),
            seed=saved.seed,
            stateful=saved.stateful,
            thresholds=saved.thresholds,
            check=check,
            trace=trace,
            trace_batch=trace_batch,
        )
        progress = trainer.health.progress = deepcopy(saved.progress)
        trainer._stepper.stand(
            progress.updates, saved.weights, saved.moments, saved.host, saved.saturated
        )
        if saved.steps is not None:
            trainer._stepper.open(saved.steps)
        return trainer

    def _each(self, spikes: Any, part: str, doing: str) -> Iterable[dict[str, Bits]]:
        """Logits of samples, each from its beginning, batch by batch."""
        self._stepper.check_open()
        with Interruptible() as stop:
            for each in self._stepper.parts(self._reader.samples(spikes)):
                if each.first:
                    self.health.inputs(each.whole.inputs, part)
                logits = self._stepper.run(each.batch, False)
                self.health.saturation(self._stepper.saturated)
                yield logits
                if stop.requested:
                    raise Interrupted(f"stopped while {doing}")

    def _check_ready(self, data: Any) -> None:
        self._stepper.check_open()
        if self.stateful and is_pair(data):
            raise UserError(
                "data is a pair of arrays, whose batches are of other samples, must be an iterable "
                "of batches that go on from each other, as the trainer is stateful"
            )
