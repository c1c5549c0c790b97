"""Epochs over data: where a run may stop, what is kept of it, and what it counts."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.errors import LinkError
from backspike.system.files import is_stream
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.system.progress import progress_bar
from backspike.train.batches import Batch, Part, Reader, is_indexed, samples_of
from backspike.train.density import Density
from backspike.train.health import TEST, TRAINING, Health
from backspike.train.progress import Progress
from backspike.train.result import added, difference
from backspike.train.stepper import Stepper
from backspike.train.tally import Tally
from backspike.train.words import plural

DENSITY_EVERY = 16
"""Batches between two whose tensors are counted for the densities."""
SAVE_SECONDS = 30.0
"""Between two checkpoints at the most, within an epoch: what a lost board can cost."""


class Fitting:
    """Training on some data. counters: all that hardware counted in its training batches.

    path: of the checkpoint that is kept, or None; keep: writes it. bar: progress on stderr.
    watch: see `Trainer.fit`.
    """

    def __init__(
        self,
        stepper: Stepper,
        reader: Reader,
        health: Health,
        density: Density,
        counters: dict | None,
        *,
        path: Path | None,
        keep: Callable[[Path], None],
        bar: bool,
        watch: Callable[[], object] | None = None,
    ) -> None:
        self._stepper, self._reader = stepper, reader
        self._health, self._density = health, density
        self._path, self._keep, self._bar, self._watch = path, keep, bar, watch
        self._saved, self._kept = -math.inf, 0
        self.counters = counters

    @property
    def _progress(self) -> Progress:
        return self._health.progress

    def epochs(self, data: Any, test: Any, epochs: int) -> Iterator[dict]:
        """Train so many epochs; each one's entry of the history, which can still be written to.

        Raises Interrupted after Ctrl-C, LinkError if a board is lost: the checkpoint, if one is
        asked for, has been saved and is named.
        """
        self._begin(data)
        with Interruptible() as stop:
            self._stop = stop
            try:
                for n in range(epochs):
                    self._epoch(data)
                    yield self._end_epoch(test)
                    self.save(last=n + 1 == epochs)
            except LinkError as error:
                begun = f"batch {self._kept}" if self._kept else "the start"
                after = f"{error}, after {self._batches()}"
                raise LinkError(after + self._goes_on(begun)) from None

    def _begin(self, data: Any) -> None:
        """An epoch under way goes on where its samples are known, else it begins again."""
        progress, batch = self._progress, self._reader.batch
        samples = samples_of(data)
        if samples is None or self._stepper.stateful:
            progress.batches, progress.tally = 0, Tally()
        else:
            progress.check(-(-samples // batch), samples, batch)

    def _epoch(self, data: Any) -> None:
        """Run what is left of an epoch. Hardware updates and runs the next batch at one time."""
        progress, stepper = self._progress, self._stepper
        order = stepper.learning.seed, len(progress.history)
        counted = stepper.counters()
        with progress_bar(
            desc=f"epoch {len(progress.history) + 1}", unit="batch", shown=self._bar, leave=False,
            total=self._total(data), initial=progress.batches,
        ) as shown:  # fmt: skip
            parts = stepper.parts(self._reader.epoch(data, order, progress.batches))
            part = next(parts, None)
            if part is None:
                return
            self._health.inputs(part.whole.inputs, TRAINING)
            logits = stepper.run(part.batch, False)
            if counted is None and (first := stepper.counters()) is not None:
                counted = difference(first, first)  # the backend was made for this batch
            self._health.saturation(stepper.saturated)
            before: list[dict[str, Bits]] = []  # logits of the batch's parts so far
            while part is not None:
                if part.first:
                    self._pause(data)
                    before.clear()
                before.append(logits)
                ended = part.last
                logits, part = self._step(part, before, parts)
                if ended:
                    shown.set_postfix(loss=f"{progress.tally.mean_loss:.3f}")
                    shown.update()
        if counted is not None:
            after = stepper.counters() or counted
            self.counters = added(self.counters, difference(after, counted))

    def _step(
        self, part: Part, before: list[dict[str, Bits]], parts: Iterator[Part]
    ) -> tuple[dict[str, Bits], Part | None]:
        """The update for a part, and the logits of the next one, if there is one. before: logits of
        its batch up to it."""
        stepper, progress = self._stepper, self._progress
        batch, logits = part.batch, before[-1]
        count = progress.updates % DENSITY_EVERY == 0
        backend = stepper.backend
        assert backend is not None
        if count or self._health.watches:
            tensors = backend.forward_tensors()
            if count:
                self._density.forward(batch.inputs, tensors)
            if self._health.watches:
                self._health.watch(tensors)
        errors = stepper.criterion.errors(logits, batch.labels)
        following, found = next(parts, None), logits
        if following is None:
            stepper.update(errors, part)
        else:
            if following.first:
                self._health.inputs(following.whole.inputs, TRAINING)
            found = stepper.update_run(errors, part, following.batch)
        self._health.saturation(stepper.saturated)
        if count:
            plan = getattr(backend, "plan", None)
            self._density.update(backend.update_tensors(), errors, plan, last=part.last)
        if part.last:
            logits = {name: np.concatenate([each[name] for each in before]) for name in logits}
            self._health.loss(progress.tally.add(stepper.criterion, logits, part.whole))
            watched = self._health.watches
            progress.updates, progress.batches = stepper.updates, progress.batches + 1
            if watched and not self._health.watches and self._watch is not None:
                self._watch()
        return found, following

    def _end_epoch(self, test: Any) -> dict:
        progress = self._progress
        entry = {"epoch": len(progress.history) + 1, **progress.tally.entry()}
        if test is not None:
            entry["test"] = self._score(test)
        progress.history.append(entry)
        progress.batches, progress.tally = 0, Tally()
        return entry

    def _score(self, test: Any) -> float:
        tally = Tally()
        for batch, logits in runs(self._stepper, self._reader, self._health, test, TEST):
            self._pause(test)
            tally.add(self._stepper.criterion, logits, batch)
        return tally.accuracy

    def _pause(self, data: Any) -> None:
        """Where a run may stop, and, if it can be gone on with from here, is saved."""
        resumable = is_indexed(data) and not self._stepper.stateful
        stop = self._stop.requested
        if resumable and (stop or time.monotonic() - self._saved >= SAVE_SECONDS):
            self.save(last=stop)
        if stop:
            raise Interrupted(f"stopped after {self._batches()}" + self._goes_on("here"))

    def save(self, last: bool) -> None:
        """A pipe or a device gets the last one alone."""
        if self._path is not None and (last or not is_stream(self._path)):
            self._keep(self._path)
            self._saved, self._kept = time.monotonic(), self._progress.updates

    def _total(self, data: Any) -> int | None:
        """Batches of an epoch, if they are known."""
        samples = samples_of(data)
        if samples is None:
            return len(data) if hasattr(data, "__len__") else None
        return -(-samples // self._reader.batch)

    def _goes_on(self, whence: str) -> str:
        return f"; {self._path} goes on from {whence}" if self._saved > -math.inf else ""

    def _batches(self) -> str:
        return plural(self._progress.updates, "batch", "es")


def runs(
    stepper: Stepper, reader: Reader, health: Health, data: Any, part: str
) -> Iterator[tuple[Batch, dict[str, Bits]]]:
    """Batches of data, or parts of them, in its order, and their logits, without learning.
    part: as of `Health`."""
    for n, each in enumerate(stepper.parts(reader.epoch(data))):
        if each.first:
            health.inputs(each.whole.inputs, part)
        logits = stepper.run(each.batch, stepper.stateful and n > 0)
        health.saturation(stepper.saturated)
        yield each.batch, logits
