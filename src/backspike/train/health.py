"""What a run must say of itself: that it saturated, diverged, or has nothing to learn from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from backspike.ir.bits import Bits
from backspike.train.density import Density
from backspike.train.losses import Criterion
from backspike.train.progress import Progress
from backspike.train.words import plural

DIVERGED = 2.0
"""A run has diverged if the mean loss of its last epoch is so many times that of its first batch,
or of outputs that are all equal, whichever is larger."""
FIRST = 8
"""Batches at the beginning in which each population's spikes are counted."""
SILENT, RESTLESS = 0.002, 0.9
"""Shares of spikes in them, below and above which a population hardly learns."""
TRAINING, TEST = "training", "test"
"""Whose samples a batch is of."""


class Health:
    """Watches the batches of a run. progress: where the first batches are kept, for checkpoints.

    Batches are counted from 0 since the first weights, those of resumed runs included.
    """

    def __init__(self, criterion: Criterion, density: Density) -> None:
        self.progress = Progress()
        self._criterion, self._density = criterion, density
        self._batches: dict[str, int] = {}
        self._lit: set[str] = set()

    def inputs(self, spikes: Mapping[str, Bits], part: str) -> None:
        """Of every batch that is run, to train or to evaluate, and which part it is of."""
        self._batches[part] = self._batches.get(part, 0) + 1
        if any(np.any(each) for each in spikes.values()):
            self._lit.add(part)

    def saturation(self, saturated: bool) -> None:
        """After every run of the backend: whether anything has saturated."""
        if saturated and self.progress.saturated is None:
            self.progress.saturated = self.progress.updates

    @property
    def watches(self) -> bool:
        """Whether the batch that is run is one of the first."""
        return self.progress.updates < FIRST

    def watch(self, tensors: Mapping[str, Bits]) -> None:
        """Forward tensors of each of the first batches, or of a part of one."""
        for name in self._density.hidden:
            bits, counted = tensors[f"spikes.{name}"], self.progress.first.setdefault(name, [0, 0])
            counted[0] += int(np.count_nonzero(bits))
            counted[1] += bits.size

    def loss(self, loss: float) -> None:
        """Of every batch that is trained, before it is counted as an update."""
        progress = self.progress
        if progress.updates == 0:
            progress.first_loss = loss
        if progress.diverged is None and loss > self._limit():
            progress.diverged = progress.updates

    def diverged(self) -> bool:
        """Whether the mean loss of the last epoch is beyond the limit."""
        history = self.progress.history
        return bool(history) and history[-1]["loss"] > self._limit()

    def warnings(self) -> dict[str, str]:
        """A sentence for everything that is wrong, by its kind."""
        said, progress, density = self._dark(), self.progress, self._density
        if density.is_zero("spikes") and TRAINING in self._lit:
            said["spikes"] = f"no hidden neuron has spiked in {_looked_at(density.batches)}"
        else:
            said |= self._unbalanced(dark=bool(said))
        if self._criterion.alpha == 0:
            said["alpha"] = "alpha is 0, so the loss does not depend on the outputs"
        if density.is_zero("outputs"):
            said["gradients"] = f"all gradients are zero in {_looked_at(density.batches)}"
        elif density.is_zero("gradients"):
            said["gradients"] = (
                f"all gradients of the hidden layers are zero in {_looked_at(density.batches)}, so "
                "these layers do not learn"
            )
        if progress.saturated is not None:
            said["saturated"] = f"a sum was cut off at ±65504, first in batch {progress.saturated}"
        if self.diverged():
            since = "" if progress.diverged is None else f", first in batch {progress.diverged}"
            said["diverged"] = (
                f"the training has diverged: the loss of the last epoch is "
                f"{progress.history[-1]['loss']:.4g}, more than {self._limit():.4g}{since}"
            )
        return said

    def found(self) -> dict[str, Any]:
        """What results say, under their names; see `Result`."""
        progress, diverged = self.progress, self.diverged()
        return {
            "saturated": progress.saturated is not None,
            "saturated_batch": progress.saturated,
            "diverged": diverged,
            "diverged_batch": progress.diverged if diverged else None,
            "warnings": list(self.warnings().values()),
        }

    def _dark(self) -> dict[str, str]:
        """Sentences for parts without any input spike."""
        if self._batches and not self._lit:
            batches = _any_of(sum(self._batches.values()))
            return {
                "input": f"no input has spiked in {batches}, so nothing can be learnt from the data"
            }
        return {
            f"{part} input": f"no input has spiked in {_any_of(batches)} of {part} samples, so "
            + ("nothing can be learnt from them" if part == TRAINING else "accuracy tells nothing")
            for part, batches in self._batches.items()
            if part not in self._lit
        }

    def _unbalanced(self, dark: bool) -> dict[str, str]:
        """Of populations that spiked hardly, or nearly always, in the first batches. dark: no input
        did, which is the reason then."""
        said = {}
        for name, (ones, values) in self.progress.first.items():
            rate = ones / values
            state, cure = ("", "")
            if rate < SILENT and not dark:
                state, cure = "silent", "a larger gain or a lower threshold wakes it"
            elif rate > RESTLESS:
                state, cure = "saturated", "a smaller gain or a higher threshold calms it"
            if state:
                said[f"{state} {name}"] = (
                    f"population {name} is {state}: in the first batches its neurons spiked in "
                    f"{rate:.2%} of the steps, so it hardly learns; {cure}"
                )
        return said

    def _limit(self) -> float:
        return DIVERGED * max(self._criterion.equal_outputs, self.progress.first_loss or 0.0)


def _looked_at(batches: int) -> str:
    return f"{plural(batches, 'batch', 'es')} looked at"


def _any_of(batches: int) -> str:
    return "the only batch" if batches == 1 else f"any of {plural(batches, 'batch', 'es')}"
