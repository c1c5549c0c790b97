"""Lockstep against backends that are wrong in one bit: each must be found and named."""

from itertools import pairwise

import numpy as np
import pytest

from backspike.drive.lockstep import Lockstep
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits, to_bits
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.ir.errors import Mismatch
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network

NETWORK = Network(inputs=5, layers=(Layer(size=6), Layer(size=7), Layer(size=3)), steps=4)
LEARNING = Learning(batch=2, rate=0.25)
GENERATOR = np.random.default_rng(3)
BATCHES = [
    (GENERATOR.integers(0, 2, (2, 4, 5)).astype(np.uint8), GENERATOR.integers(0, 3, 2))
    for _ in range(3)
]


class Flipped(GoldenBackend):
    """Flips one bit of one value of a tensor that it shows in batch 1."""

    name = "flipped"

    def __init__(self, tensor: str, at: tuple[int, ...], bit: int) -> None:
        super().__init__(NETWORK, LEARNING)
        self.tensor, self.at, self.bit = tensor, at, bit
        self.batch, self.step = -1, -1

    def forward(self, spikes, labels):
        self.batch += 1
        return super().forward(spikes, labels)

    def update(self, error, step):
        self.step = step
        super().update(error, step)

    def forward_tensors(self):
        return self.flip(super().forward_tensors(), self.batch)

    def update_tensors(self):
        return self.flip(super().update_tensors(), self.step)

    def flip(self, tensors, batch):
        if batch != 1 or self.tensor not in tensors:
            return tensors
        bits = tensors[self.tensor].copy()
        bits[self.at] ^= 1 << self.bit
        self.got = bits[self.at]
        self.want = tensors[self.tensor][self.at]
        return {**tensors, self.tensor: bits}


def run(primary: GoldenBackend) -> Lockstep:
    """Three batches, the last update alone, as a trainer does."""
    lockstep = Lockstep(primary, GoldenBackend(NETWORK, LEARNING))
    lockstep.load_weights(initial_weights(NETWORK, 1))
    logits = lockstep.forward(*BATCHES[0])
    for step, (now, after) in enumerate(pairwise(BATCHES)):
        logits = lockstep.update_forward(cross_entropy_error(logits, now[1]), step, *after)
    lockstep.update(cross_entropy_error(logits, BATCHES[-1][1]), 2)
    return lockstep


def test_equal_backends_are_counted():
    """Equal backends have no mismatch, and every tensor and value is counted."""
    counts = run(GoldenBackend(NETWORK, LEARNING)).counts
    weights = 5 * 6 + 6 * 7 + 7 * 3
    hidden = 2 * 4 * (6 + 7)
    forward = 2 * hidden + 2 * (2 * 3)  # spikes and codes, logits read and returned
    update = hidden + 2 * 4 * 3 + weights
    assert counts.values == weights + 3 * (forward + update)
    assert counts.tensors == 3 + 3 * (6 + 6)
    assert counts.mismatches == 0


@pytest.mark.parametrize(
    ("tensor", "at", "bit", "place"),
    [
        ("spikes.0", (1, 2, 3), 0, "layer 0, tensor spikes, batch 1, sample 1, step 2, index 3"),
        ("spikes.1", (0, 3, 6), 0, "layer 1, tensor spikes, batch 1, sample 0, step 3, index 6"),
        ("codes.1", (0, 0, 0), 3, "layer 1, tensor codes, batch 1, sample 0, step 0, index 0"),
        ("logits", (1, 2), 15, "layer read-out, tensor logits, batch 1, sample 1, index 2"),
        ("gradients.0", (1, 3, 5), 0, "layer 0, tensor gradients, batch 1, sample 1, step 3, "),
        ("gradients.2", (0, 0, 1), 9, "layer 2, tensor gradients, batch 1, sample 0, step 0, "),
        ("weights.0", (4, 5), 0, "layer 0, tensor weights, batch 1, source 4, index 5"),
        ("weights.2", (6, 0), 14, "layer 2, tensor weights, batch 1, source 6, index 0"),
    ],
)  # fmt: skip
def test_a_flipped_bit_is_named(tensor, at, bit, place):
    """One flipped bit is a Mismatch with layer, tensor, batch, place and both values."""
    flipped = Flipped(tensor, at, bit)
    with pytest.raises(Mismatch) as caught:
        run(flipped)
    message = str(caught.value)
    assert message.startswith(place)
    assert "(1 of " in message
    got, want = flipped.got, flipped.want
    if got.dtype == np.uint8:
        assert f": got 0x{got:x} ({got}), want 0x{want:x} ({want}) " in message
    else:
        values = [float(bits.view(np.float16)) for bits in (got, want)]
        shown = f": got 0x{got:04x} ({values[0]:.9g}), want 0x{want:04x} ({values[1]:.9g}) "
        assert shown in message


def test_the_cause_is_named_before_its_effects():
    """A weight wrong from batch 0 on shows in weights first, though spikes differ later."""

    class Leaky(GoldenBackend):
        def update(self, error, step):
            super().update(error, step)
            first, *rest = self.weights()
            self.load_weights([to_bits(from_bits(first) * 2), *rest])

        def update_tensors(self):
            return {**super().update_tensors(), "weights.0": self.weights()[0]}

    with pytest.raises(Mismatch, match="layer 0, tensor weights, batch 0"):
        run(Leaky(NETWORK, LEARNING))


def test_the_first_of_many_differences_is_named():
    """Everything is wrong: forward begins with layer 0, backward with the read-out."""

    class Wrong(GoldenBackend):
        def __init__(self, *kinds):
            super().__init__(NETWORK, LEARNING)
            self.kinds = kinds

        def forward_tensors(self):
            return self.spoilt(super().forward_tensors())

        def update_tensors(self):
            return self.spoilt(super().update_tensors())

        def spoilt(self, tensors):
            return {
                n: bits ^ 1 if n.startswith(self.kinds) else bits for n, bits in tensors.items()
            }

    for kinds, first in (
        (("spikes", "logits", "gradients", "weights"), "layer 0, tensor spikes"),
        (("spikes.1", "codes.1", "codes.0", "logits"), "layer 0, tensor codes"),
        (("logits", "gradients"), "layer read-out, tensor logits"),
        (("gradients", "weights"), "layer 2, tensor gradients"),
        (("gradients.0", "gradients.1", "weights"), "layer 1, tensor gradients"),
        (("weights",), "layer 0, tensor weights"),
    ):
        with pytest.raises(Mismatch, match=first):
            run(Wrong(*kinds))


def test_wrong_returned_logits_and_loaded_weights():
    """Wrong logits as returned, and wrong weights as loaded, are Mismatches."""

    class Returns(GoldenBackend):
        def forward(self, spikes, labels):
            return super().forward(spikes, labels) ^ np.uint16(1)

    class Loads(GoldenBackend):
        def load_weights(self, weights):
            super().load_weights([*weights[:-1], weights[-1] ^ np.uint16(1)])

    with pytest.raises(Mismatch, match="tensor returned logits, batch 0, sample 0, index 0"):
        run(Returns(NETWORK, LEARNING))
    with pytest.raises(Mismatch, match=r"layer 2, tensor weights, as loaded, source 0.*\(21 of 21"):
        run(Loads(NETWORK, LEARNING))


def test_wrong_shapes_types_and_names():
    """Tensors of another shape, type or name are Mismatches."""

    class Shown(GoldenBackend):
        def __init__(self, change):
            super().__init__(NETWORK, LEARNING)
            self.change = change

        def forward_tensors(self):
            return self.change(super().forward_tensors())

    with pytest.raises(Mismatch, match=r"spikes, batch 0: got uint8 \(1, 4, 6\), want uint8 \(2,"):
        run(Shown(lambda t: {**t, "spikes.0": t["spikes.0"][:1]}))
    with pytest.raises(Mismatch, match=r"logits, batch 0: got int64 \(2, 3\), want uint16"):
        run(Shown(lambda t: {**t, "logits": t["logits"].astype(np.int64)}))
    with pytest.raises(Mismatch, match=r"has the tensors .*golden has"):
        run(Shown(lambda t: {n: b for n, b in t.items() if n != "codes.1"}))
