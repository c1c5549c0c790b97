"""What a run must say of itself: that it saturated, diverged, or has nothing to learn from."""

import math

import numpy as np

from backspike.ir.bits import Bits
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.train.checkpoint import Progress
from backspike.train.density import Density

DIVERGED = 2.0
"""A run has diverged if the mean loss of its last epoch is so many times that of its first batch,
or of outputs that are all equal, whichever is larger."""


class Health:
    """Watches the batches of a run. progress: where the first batches are kept, for checkpoints.

    Batches are counted from 0 since the first weights, those of resumed runs included.
    """

    def __init__(self, network: Network, learning: Learning, density: Density) -> None:
        self.progress = Progress()
        self._learning = learning
        self._density = density
        equal = math.log(network.sizes[-1]) if learning.loss == "ce" else 0.5
        self._equal_outputs = equal
        self._batches = 0
        self._input_spikes = False

    def inputs(self, spikes: Bits) -> None:
        """Of every batch that is run, for training or not."""
        self._batches += 1
        self._input_spikes = self._input_spikes or bool(np.any(spikes))

    def saturation(self, saturated: bool) -> None:
        """After every run of the backend: whether anything has saturated."""
        if saturated and self.progress.saturated is None:
            self.progress.saturated = self.progress.updates

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
        said, progress, density = {}, self.progress, self._density
        if self._batches and not self._input_spikes:
            said["input"] = (
                f"no input has spiked in any of {self._batches} batches, so nothing can be learnt "
                "from the data"
            )
        elif density.is_zero("spikes"):
            said["spikes"] = f"no hidden neuron has spiked in {_looked_at(density.batches)}"
        if self._learning.loss == "mse" and self._learning.alpha == 0:
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

    def _limit(self) -> float:
        return DIVERGED * max(self._equal_outputs, self.progress.first_loss or 0.0)


def _looked_at(batches: int) -> str:
    return f"{batches} batch{'' if batches == 1 else 'es'} looked at"
