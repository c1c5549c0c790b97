"""What batches add up to: loss and accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backspike.golden.loss import accuracy
from backspike.ir.bits import Bits
from backspike.train.batches import Batch
from backspike.train.losses import Criterion


@dataclass
class Tally:
    """Sums over samples, by the names of read-outs with a loss. samples: how many.

    loss: of each sample's; right: samples whose largest logit (the first of equal ones) is the
    label's.
    """

    samples: int = 0
    loss: dict[str, float] = field(default_factory=dict)
    right: dict[str, int] = field(default_factory=dict)

    def add(self, criterion: Criterion, logits: Mapping[str, Bits], batch: Batch) -> float:
        """A batch's logits; returns its mean loss, summed over read-outs."""
        values = criterion.values(logits, batch.labels)
        self.samples += batch.samples
        for name, last in criterion.last(logits).items():
            share = accuracy(last, batch.labels[name])
            self.loss[name] = self.loss.get(name, 0.0) + values[name] * batch.samples
            self.right[name] = self.right.get(name, 0) + round(share * batch.samples)
        return sum(values.values())

    @property
    def mean_loss(self) -> float:
        """The sum over read-outs."""
        return sum(self.loss.values()) / self.samples

    @property
    def accuracy(self) -> float:
        """0..1, the mean over read-outs."""
        return sum(self.right.values()) / (self.samples * len(self.right))

    def entry(self) -> dict:
        """loss: their sum; accuracy: their mean; readouts: both by name, if there are several."""
        whole = {"loss": self.mean_loss, "accuracy": self.accuracy}
        if len(self.loss) == 1:
            return whole
        each = {
            name: {"loss": loss / self.samples, "accuracy": self.right[name] / self.samples}
            for name, loss in self.loss.items()
        }
        return whole | {"readouts": each}
