"""What a network says of samples: logits, classes, and how they agree with labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """logits: float64 (samples, outputs). labels: int64 (samples,), or None if they are unknown."""

    logits: np.ndarray
    labels: np.ndarray | None

    @property
    def predicted(self) -> np.ndarray:
        """int64 (samples,): of each the output with the largest logit, the first of equal ones."""
        return self.logits.argmax(1)

    @property
    def accuracy(self) -> float | None:
        """The share of samples, 0..1, whose class is their label's; None without labels."""
        return None if self.labels is None else float((self.predicted == self.labels).mean())

    @property
    def confusion(self) -> np.ndarray | None:
        """int64 (outputs, outputs): samples by label (rows) and predicted class (columns)."""
        if self.labels is None:
            return None
        counts = np.zeros((self.logits.shape[1],) * 2, np.int64)
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    def to_json(self) -> dict[str, Any]:
        """`accuracy`, `confusion`, and `samples` with `label`, `predicted` and `logits` of each."""
        labels = [None] * len(self.logits) if self.labels is None else self.labels.tolist()
        rows = zip(labels, self.predicted.tolist(), self.logits.tolist(), strict=True)
        confusion = self.confusion
        return {
            "accuracy": self.accuracy,
            "confusion": None if confusion is None else confusion.tolist(),
            "samples": [{"label": y, "predicted": p, "logits": o} for y, p, o in rows],
        }

    def table(self) -> str:
        """A line a sample; then, if labels are known, the confusion matrix and the accuracy."""
        about = self.to_json()
        lines = [f"{'sample':>6}{'label':>7}{'predicted':>11}  logits"]
        for n, sample in enumerate(about["samples"]):
            label = "-" if sample["label"] is None else sample["label"]
            logits = " ".join(f"{o:g}" for o in sample["logits"])
            lines.append(f"{n:>6}{label:>7}{sample['predicted']:>11}  {logits}")
        if self.labels is not None:
            width = max(5, len(str(len(self.labels))) + 1)
            heads = "".join(f"{j:>{width}}" for j in range(self.logits.shape[1]))
            lines += ["", f"label {heads}  predicted"]
            lines += [
                f"{label:>5} " + "".join(f"{count:>{width}}" for count in row)
                for label, row in enumerate(about["confusion"])
            ]
            lines += ["", f"accuracy {about['accuracy']:.1%} of {len(self.labels)}"]
        return "\n".join(lines) + "\n"
