"""Where a run stands."""

import math
from dataclasses import dataclass, field
from typing import Any

from backspike.ir.errors import UserError
from backspike.train.tally import Tally
from backspike.train.words import plural


@dataclass(kw_only=True)
class Progress:
    """Where a run stands. updates: weight updates done since its start.

    batches: of the epoch under way that have been trained, whose sums are in `tally`.
    history: for every epoch that ended its number `epoch` (from 1), and mean `loss` and `accuracy`
    (0..1) of its batches, each before its update; with several losses `readouts` has both by
    read-out; `test` the accuracy of test samples, if there were some. first_loss: of the first
    batch. saturated, diverged: the first batch in which a sum was cut off, or whose loss was too
    large (see `Health`), counted from 0 since the first weights. first: of each hidden population,
    how many spikes its first batches had, and how many there might have been.
    Raises UserError for values that no run leads to.
    """

    updates: int = 0
    batches: int = 0
    tally: Tally = field(default_factory=Tally)
    history: list[dict] = field(default_factory=list)
    first_loss: float | None = None
    saturated: int | None = None
    diverged: int | None = None
    first: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _update("updates", self.updates)
        _update("batches", self.batches)
        if self.first_loss is not None:
            _number("first_loss", self.first_loss)
        for name in ("saturated", "diverged"):
            if getattr(self, name) is not None:
                _update(name, getattr(self, name))
        if not isinstance(self.first, dict):
            raise UserError(f"first is {self.first!r}, must be a dict")
        for name, counted in self.first.items():
            _check_first(name, counted)
        if not isinstance(self.history, list):
            raise UserError(f"history is {self.history!r}, must be a list")
        for n, entry in enumerate(self.history):
            _check_entry(n, entry)
        self._check_tally()

    def check(self, batches: int, samples: int, batch: int) -> None:
        """UserError unless the place agrees with epochs of so many batches and samples."""
        seen = min(self.batches * batch, samples)
        if self.batches > batches or self.tally.samples != seen:
            raise UserError(
                f"{plural(self.tally.samples, 'sample')} of the epoch under way are trained, must "
                f"be {seen}: the data has {samples} samples, in {plural(batches, 'batch', 'es')}"
            )

    def _check_tally(self) -> None:
        tally = self.tally
        if type(tally.samples) is not int or tally.samples < self.batches:
            raise UserError(
                f"samples are {tally.samples!r}, must be a whole number from {self.batches} up"
            )
        for loss in tally.loss.values():
            _number("loss", loss)
        for right in tally.right.values():
            if type(right) is not int or not 0 <= right <= tally.samples:
                raise UserError(f"right samples are {right!r}, must be from 0 to {tally.samples}")


def _check_entry(n: int, entry: object) -> None:
    needed = {"epoch", "loss", "accuracy"}
    if not isinstance(entry, dict) or not needed <= entry.keys() <= needed | {"readouts", "test"}:
        raise UserError(f"history[{n}] is {entry!r}, must have epoch, loss and accuracy")
    if type(entry["epoch"]) is not int or entry["epoch"] != n + 1:
        raise UserError(f"epoch of history[{n}] is {entry['epoch']!r}, must be {n + 1}")
    _number(f"loss of history[{n}]", entry["loss"])
    for name in ("accuracy", "test"):
        if name in entry:
            _number(f"{name} of history[{n}]", entry[name], most=1)


def _check_first(name: object, counted: Any) -> None:
    whole = isinstance(counted, list) and [type(n) for n in counted] == [int, int]
    if not (whole and 0 <= counted[0] <= counted[1] > 0):
        raise UserError(f"first of {name} is {counted!r}, must be spikes and how many there may be")


def _update(name: str, value: object) -> None:
    """Stochastic rounding draws from the number of an update, which has 32 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**32:
        raise UserError(f"{name} is {value!r}, must be a whole number from 0 to 2^32")


def _number(name: str, value: object, most: float = math.inf) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and 0 <= number <= most):
        upper = "up" if most == math.inf else f"to {most:g}"
        raise UserError(f"{name} is {value!r}, must be a finite number from 0 {upper}")
