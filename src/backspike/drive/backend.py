"""What computes: the interface that the golden backend and the RTL backend share.

Every tensor that crosses it is a NumPy array of bits, so comparison is `==`:
FP16 (half precision) as uint16, spikes and codes as uint8.
"""

from typing import Protocol

from backspike.ir.bits import Bits


class Backend(Protocol):
    """Runs batches. Shapes: B samples, T steps, K sources (bias included), N neurons of a layer.

    A batch is `forward`, then `update`. `update_forward` is `update` of the current batch and
    `forward` of the next, which hardware overlaps; its bits equal the two calls in turn.
    A batch may be smaller than `Learning.batch` (the last one of an epoch).
    """

    name: str

    def load_weights(self, weights: list[Bits]) -> None:
        """Set every layer's weights, uint16 (K, N)."""
        ...

    def weights(self) -> list[Bits]:
        """Every layer's weights, uint16 (K, N)."""
        ...

    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        """Run the network. spikes uint8 (B, T, inputs), labels int64 (B,).

        Returns logits, uint16 (B, N).
        """
        ...

    def update(self, error: Bits | None, step: int) -> None:
        """Backward, weight gradient and update for the batch of the last `forward`.

        error: FP16 as uint16 (B, N) for loss `ce`; None for `mse`, which is computed on chip.
        step: number of the update, from 0, which stochastic rounding draws from.
        """
        ...

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        """`update(error, step)`, then `forward(spikes, labels)`."""
        ...

    def forward_tensors(self) -> dict[str, Bits]:
        """Of the last forward: `spikes.L`, `codes.L` uint8 (B, T, N) for hidden layers L = 0, 1,
        …, and `logits` uint16 (B, N)."""
        ...

    def update_tensors(self) -> dict[str, Bits]:
        """Of the last update: `gradients.L` uint16 (B, T, N) for every layer L (the read-out
        included), and `weights.L` uint16 (K, N)."""
        ...

    def saturated(self) -> bool:
        """Whether any rounding saturated since `load_weights`."""
        ...

    def close(self) -> None:
        """Release the backend."""
        ...
