"""Training: epochs of batches through a backend, and what came of them."""

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.machines import find_machine
from backspike.drive.registry import make_backend
from backspike.gen.machine import Machine
from backspike.golden.initial import initial_weights
from backspike.golden.loss import accuracy, cross_entropy, cross_entropy_error, squared
from backspike.ir.bits import Bits
from backspike.ir.checks import instance, switch, whole
from backspike.ir.constants import ceil_div
from backspike.ir.errors import LinkError, UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.system.files import as_path, is_stream
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.system.progress import progress_bar
from backspike.train.checkpoint import Checkpoint, Progress
from backspike.train.coding import rate_code
from backspike.train.data import Dataset, Split
from backspike.train.density import Density
from backspike.train.health import TEST, TRAINING, Health
from backspike.train.result import Result, added, cycles_of, difference
from backspike.train.words import plural

DENSITY_EVERY = 16
"""Batches between two whose tensors are counted for the densities."""
SAVE_SECONDS = 30.0
"""Between two checkpoints at the most, within an epoch: what a lost board can cost."""


def epoch_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """The order of the samples in an epoch (from 0): a permutation, int64 (samples,)."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(samples)


class Trainer:
    """Trains `network` on a backend: `golden` (PyTorch), `rtl` (the machine, simulated) or
    `serial:PORT[:BAUD]` (the machine on a board).

    learning.seed fixes the first weights, the order of the data and stochastic rounding, so a run
    gives the same bits whenever and wherever it runs. check: compare every tensor of every batch
    with golden (default: on for all but golden). trace, trace_batch: see `make_backend`.
    Use it in a `with` statement, or close it. `health` says what is wrong with a run.
    """

    def __init__(
        self,
        network: Network,
        machine: Machine | str = "default",
        backend: str = "golden",
        *,
        learning: Learning | None = None,
        check: bool | None = None,
        trace: str | os.PathLike | None = None,
        trace_batch: int = 0,
    ) -> None:
        self._closed = False
        self.network = network
        self.machine = find_machine(machine) if isinstance(machine, str) else machine
        self.learning = Learning() if learning is None else learning
        instance("network", network, Network)
        instance("machine", self.machine, Machine)
        instance("learning", self.learning, Learning)
        if check is not None:
            switch("check", check)
        self.backend = make_backend(
            backend,
            network,
            self.learning,
            self.machine,
            check=backend != "golden" if check is None else check,
            trace=None if trace is None else as_path("trace", trace),
            trace_batch=trace_batch,
        )
        self.backend_name = backend
        self.density = Density()
        self.health = Health(network, self.learning, self.density)
        self.counters: dict | None = None
        self.backend.load_weights(initial_weights(network, self.learning.seed))

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.health.progress

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Release the backend. Nothing can be run afterwards."""
        if not self._closed:
            self._closed = True
            self.backend.close()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Stand where `checkpoint` stands; it must be of the same network and learning."""
        self._check_open()
        instance("checkpoint", checkpoint, Checkpoint)
        for name, ours, theirs in (
            ("network", self.network, checkpoint.network),
            ("learning", self.learning, checkpoint.learning),
        ):
            if ours != theirs:
                raise UserError(f"{name} is {ours}, must be the checkpoint's {theirs}")
        self.health.progress = checkpoint.progress
        self.backend.load_weights(checkpoint.weights)

    def train(
        self,
        data: Dataset,
        epochs: int,
        *,
        save: str | os.PathLike | None = None,
        bar: bool = False,
        on_epoch: Callable[[dict], None] = lambda epoch: None,
    ) -> Result:
        """Train until `epochs` epochs have been trained since the first weights.

        save: checkpoint, written between two batches at the start, whenever the last one is
        SAVE_SECONDS old, and when Ctrl-C stops the run (Interrupted); and after every epoch. A
        pipe or a device gets the last one alone. bar: progress on stderr. on_epoch: called with
        each new entry of the history.
        Raises Mismatch where backend and golden differ, LinkError if a board is lost.
        """
        self._check_open()
        instance("data", data, Dataset)
        whole("epochs", epochs)
        save = None if save is None else as_path("save", save)
        data.check_fits(self.network)
        batches = ceil_div(len(data.train), self.learning.batch)
        self.progress.check(batches, len(data.train), self.learning.batch)
        if self.progress.updates > epochs * batches:
            raise UserError(
                f"epochs is {epochs}, must be more than {self.progress.updates / batches:g}, which "
                "the run has trained already"
            )
        saved, kept = -math.inf, 0

        def keep(last: bool) -> None:
            nonlocal saved, kept
            if save is None or (not last and is_stream(save)):
                return
            self._save(save, data, epochs)
            saved, kept = time.monotonic(), self.progress.updates

        def goes_on(whence: str) -> str:
            return f"; {save} goes on from {whence}" if saved > -math.inf else ""

        with Interruptible() as stop:

            def pause() -> None:
                """Where a run may stop."""
                if stop.requested or time.monotonic() - saved >= SAVE_SECONDS:
                    keep(last=stop.requested)
                if stop.requested:
                    raise Interrupted(f"stopped after {self._batches()}" + goes_on("here"))

            try:
                while (done := len(self.progress.history)) < epochs:
                    if self.progress.updates < (done + 1) * batches:
                        self._epoch(data.train, done, batches, pause, bar)
                    on_epoch(self._end_epoch(data.test, pause))
                    keep(last=done + 1 == epochs)
                trained = self._accuracy(data.train, TRAINING, pause)
            except LinkError as error:
                after = f"{error}, after {self._batches()}"
                raise LinkError(after + goes_on(f"batch {kept}" if kept else "the start")) from None
        return self._result({"train": trained, "test": self.progress.history[-1]["test"]})

    def evaluate(self, samples: Split, part: str = "evaluated") -> float:
        """The share of samples, 0..1, whose largest logit is their label's.

        part: what `health` calls the samples.
        """
        self._check_open()
        instance("samples", samples, Split)
        with Interruptible() as stop:

            def pause() -> None:
                if stop.requested:
                    raise Interrupted("stopped while evaluating")

            return self._accuracy(samples, part, pause)

    def predict(self, x: np.ndarray, part: str = "predicted") -> np.ndarray:
        """Logits, float64 (samples, outputs), of x: (samples, inputs) within 0..1.

        part: what `health` calls the samples. A sample's class is the first of its largest logits.
        """
        self._check_open()
        instance("x", x, np.ndarray)
        if x.ndim != 2 or x.shape[1] != self.network.inputs or not len(x):
            raise UserError(
                f"x has the shape {x.shape}, must have (samples, {self.network.inputs})"
            )
        unknown = Split(x, np.zeros(len(x), np.int64))  # logits do not depend on labels
        with Interruptible() as stop:

            def pause() -> None:
                if stop.requested:
                    raise Interrupted("stopped while predicting")

            found = [logits for logits, _ in self._run(unknown, part, pause)]
        return np.concatenate(found).view(np.float16).astype(np.float64)

    def checked(self) -> dict[str, int]:
        """Tensors and values compared with golden so far, and mismatches; all 0 without check."""
        counts = self.backend.counts if isinstance(self.backend, Lockstep) else Counts()
        return vars(counts).copy()

    def watch(self, pixels: np.ndarray) -> dict[str, Bits]:
        """All spikes of one sample: `input` (T, inputs), and `spikes.L` (T, N) of hidden layers."""
        self._check_open()
        spikes = rate_code(pixels[None], self.network.steps)
        self.backend.forward(spikes, np.zeros(1, np.int64))
        tensors = self.backend.forward_tensors()
        hidden = {n: bits[0] for n, bits in tensors.items() if n.startswith("spikes.")}
        return {"input": spikes[0]} | hidden

    def _epoch(
        self, samples: Split, epoch: int, batches: int, pause: Callable[[], None], bar: bool
    ) -> None:
        """Run what is left of an epoch. Hardware updates and runs the next batch at one time."""
        order = epoch_order(self.learning.seed, epoch, len(samples))
        done = self.progress.updates - epoch * batches
        counted = self._read_counters()
        with progress_bar(
            desc=f"epoch {epoch + 1}",
            total=batches,
            initial=done,
            unit="batch",
            shown=bar,
            leave=False,
        ) as shown:
            spikes, labels = self._batch(samples, order, done)
            logits = self.backend.forward(spikes, labels)
            self.health.saturation(self.backend.saturated())
            for batch in range(done, batches):
                pause()
                count = self.progress.updates % DENSITY_EVERY == 0
                if count:
                    self.density.forward(spikes, self.backend.forward_tensors())
                ours = logits, labels
                step = self.progress.updates
                error = cross_entropy_error(*ours) if self.learning.loss == "ce" else None
                if batch + 1 < batches:
                    spikes, labels = self._batch(samples, order, batch + 1)
                    logits = self.backend.update_forward(error, step, spikes, labels)
                else:
                    self.backend.update(error, step)
                self.health.saturation(self.backend.saturated())
                if count:
                    hidden = len(self.network.layers) - 1
                    self.density.update(self.backend.update_tensors(), hidden)
                self._count(*ours)
                shown.set_postfix(loss=f"{self.progress.loss / self.progress.samples:.3f}")
                shown.update()
        if counted is not None:
            after = self._read_counters() or counted
            self.counters = added(self.counters, difference(after, counted))

    def _batch(
        self, samples: Split, order: np.ndarray, batch: int, part: str = TRAINING
    ) -> tuple[Bits, np.ndarray]:
        rows = order[batch * self.learning.batch : (batch + 1) * self.learning.batch]
        spikes = rate_code(samples.x[rows], self.network.steps)
        self.health.inputs(spikes, part)
        return spikes, samples.y[rows]

    def _count(self, logits: Bits, labels: np.ndarray) -> None:
        if self.learning.loss == "ce":
            loss = cross_entropy(logits, labels)
        else:
            loss = squared(logits, labels, self.learning.alpha)
        self.health.loss(loss)
        self.progress.updates += 1
        self.progress.samples += len(labels)
        self.progress.loss += loss * len(labels)
        self.progress.correct += round(accuracy(logits, labels) * len(labels))

    def _end_epoch(self, test: Split, pause: Callable[[], None]) -> dict:
        progress = self.progress
        entry = {
            "epoch": len(progress.history) + 1,
            "loss": progress.loss / progress.samples,
            "train": progress.correct / progress.samples,
            "test": self._accuracy(test, TEST, pause),
        }
        progress.history.append(entry)
        progress.loss, progress.correct, progress.samples = 0.0, 0, 0
        return entry

    def _accuracy(self, samples: Split, part: str, pause: Callable[[], None]) -> float:
        right = (
            round(accuracy(logits, labels) * len(labels))
            for logits, labels in self._run(samples, part, pause)
        )
        return sum(right) / len(samples)

    def _run(
        self, samples: Split, part: str, pause: Callable[[], None]
    ) -> Iterator[tuple[Bits, np.ndarray]]:
        """Logits and labels of each batch, in the samples' order, without learning."""
        order = np.arange(len(samples))
        for batch in range(ceil_div(len(samples), self.learning.batch)):
            pause()
            spikes, labels = self._batch(samples, order, batch, part)
            logits = self.backend.forward(spikes, labels)
            self.health.saturation(self.backend.saturated())
            yield logits, labels

    def _save(self, path: Path, data: Dataset, epochs: int) -> None:
        Checkpoint(
            network=self.network,
            learning=self.learning,
            weights=self.backend.weights(),
            progress=self.progress,
            backend=self.backend_name,
            machine=self.machine.name,
            epochs=epochs,
            data=data.source,
            limit=data.limit,
            digest=data.digest(),
        ).save(path)

    def _batches(self) -> str:
        return plural(self.progress.updates, "batch", "es")

    def _check_open(self) -> None:
        if self._closed:
            raise UserError("the trainer is closed, must be open: use it in its `with` statement")

    def _read_counters(self) -> dict | None:
        return _primary(self.backend, "counters")

    def _result(self, shares: dict[str, float]) -> Result:
        network, learning = self.network, self.learning
        rules = {layer.rule: None for layer in network.layers[:-1] or network.layers}
        return Result(
            backend=self.backend.name,
            machine=self.machine.name,
            layers=list(network.sizes),
            steps=network.steps,
            batch=learning.batch,
            epochs=len(self.progress.history),
            rule="+".join(rules),
            loss=learning.loss,
            seed=learning.seed,
            accuracy=shares,
            check=self.checked(),
            cycles=cycles_of(self.counters) if self.counters else None,
            density=self.density.shares(),
            simulation=_primary(self.backend, "simulation"),
            history=self.progress.history,
            counters=self.counters,
            **self.health.found(),
        )


def _primary(backend, what: str) -> dict | None:
    """counters() or simulation() of the backend under Lockstep; None if it is no hardware."""
    backend = backend.primary if isinstance(backend, Lockstep) else backend
    return getattr(backend, what)() if hasattr(backend, what) else None
