"""What computes: the interface that golden and the cores share.

Every tensor that crosses it is a NumPy array of bits, so comparison is `==`:
FP16 (half precision) as uint16, spikes and codes as uint8.
"""

from collections.abc import Mapping
from typing import Protocol

from backspike.ir.bits import Bits
from backspike.ir.graph import Graph

Arrays = Mapping[str, Bits]
"""By the names of populations or connections."""


class Backend(Protocol):
    """Runs batches of a graph. Shapes: B samples, T steps, K sources (bias included), N neurons.

    A batch is `forward`, then `update`. `update_forward` is `update` of the current batch and
    `forward` of the next, which hardware overlaps; its bits equal the two calls in turn. A batch
    may be smaller than `room`.

    A batch may also come in parts: `forward` and `update` of each, of which only the last updates
    weights, for all of them. Its bits equal those of the batch in one.

    Logits and errors of read-outs are (B, T, N). Those of read-outs that do not spike are (B, N),
    of the last step, where the backend was made for losses of that step alone; for loss mse it then
    works their errors out of labels, int64 (B,).
    """

    name: str

    @property
    def graph(self) -> Graph:
        """The network."""
        ...

    @property
    def room(self) -> int:
        """Samples of a `forward` at the most."""
        ...

    @property
    def gone(self) -> frozenset[str]:
        """Tensors of an update that it does not keep."""
        ...

    def load_weights(self, weights: Arrays) -> None:
        """Set all weights, uint16 (K, N) by connection. Forgets any batch."""
        ...

    def set_weights(self, weights: Arrays) -> None:
        """As `load_weights`, but nothing is forgotten: what a host that updates brings."""
        ...

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Of some populations with neurons, from the next `forward` on. Forgets nothing: a batch
        that has run is updated as it was run."""
        ...

    def set_rate(self, rate: float) -> None:
        """η, from the next update on."""
        ...

    def weights(self) -> dict[str, Bits]:
        """All weights, uint16 (K, N) by connection."""
        ...

    def weight_gradients(self) -> dict[str, Bits]:
        """Of the last update, if the host updates: d, uint16 (K, N), of connections to update."""
        ...

    def moments(self) -> dict[str, Bits]:
        """uint16 (K, N) of each connection that is updated with momentum."""
        ...

    def set_moments(self, moments: Arrays) -> None:
        """As `moments` gives them: what a run that goes on brings."""
        ...

    def forward(
        self, inputs: Arrays, labels: Bits | None = None, *, go_on: bool = False
    ) -> dict[str, Bits]:
        """Logits, uint16, by read-out, of spikes uint8 (B, T, N) by input.

        labels: where the backend works errors out of them. go_on: the samples are those of the last
        batch, at the steps that follow.
        """
        ...

    def update(
        self, errors: Arrays | None, step: int, *, first: bool = True, last: bool = True
    ) -> None:
        """Backward, weight gradient and update for the batch of the last `forward`.

        errors: uint16 by read-out, but of those that the backend works out. step: number of the
        update, from 0, which stochastic rounding draws from. first, last: of the batch's parts, if
        it has several; UserError if the backend cannot add them, or not so many.
        """
        ...

    def update_forward(
        self,
        errors: Arrays | None,
        step: int,
        inputs: Arrays,
        labels: Bits | None = None,
        *,
        go_on: bool = False,
        first: bool = True,
        last: bool = True,
    ) -> dict[str, Bits]:
        """`update`, then `forward`."""
        ...

    def forward_tensors(self) -> dict[str, Bits]:
        """Of the last forward: `logits.P` of read-outs, `spikes.P` and `codes.P` of neurons."""
        ...

    def update_tensors(self) -> dict[str, Bits]:
        """Of the last update: `gradients.P` uint16 (B, T, N) of populations that learn, `weights.C`
        (K, N) of connections; `moments.C` with momentum; if the host updates, `d.C` instead. Of a
        batch with further parts, gradients alone."""
        ...

    def saturated(self) -> bool:
        """Whether any rounding saturated since `load_weights`."""
        ...

    def close(self) -> None:
        """Release the backend."""
        ...
