"""What the batches of an epoch add up to: loss and accuracy."""

from collections.abc import Mapping

from backspike.golden.loss import accuracy
from backspike.ir.bits import Bits
from backspike.train.batches import Batch
from backspike.train.losses import Criterion


class Tally:
    """Sums over batches of each read-out that has a loss. samples: how many so far."""

    def __init__(self, criterion: Criterion) -> None:
        self._criterion = criterion
        self.samples = 0
        self._losses = dict.fromkeys(criterion.losses, 0.0)
        self._right = dict.fromkeys(criterion.losses, 0)

    def add(self, logits: Mapping[str, Bits], batch: Batch) -> None:
        """A batch's logits (B, T, N)."""
        samples = batch.samples
        self.samples += samples
        for name, loss in self._criterion.values(logits, batch.labels).items():
            self._losses[name] += loss * samples
            share = accuracy(logits[name][:, -1], batch.labels[name])
            self._right[name] += round(share * samples)

    def entry(self) -> dict:
        """loss: their sum; accuracy: their mean; readouts: both by name, if there are several."""
        each = {
            name: {"loss": loss / self.samples, "accuracy": self._right[name] / self.samples}
            for name, loss in self._losses.items()
        }
        whole = {
            "loss": sum(x["loss"] for x in each.values()),
            "accuracy": sum(x["accuracy"] for x in each.values()) / len(each),
        }
        return whole if len(each) == 1 else whole | {"readouts": each}
