"""GraphLockstep: equal backends agree, and of others the first bit that differs is named."""

from types import SimpleNamespace

import numpy as np
import pytest

from backspike.compile.compiler import compile_graph
from backspike.drive.graph_lockstep import GraphLockstep
from backspike.drive.rtl_core import RTLCore
from backspike.gen.machine import MACHINES
from backspike.golden.graph_backend import GraphBackend
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import Mismatch
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.train.fuzz_training import random_halves

NET = Graph(
    (
        Population("z", (2,), LIF(), role="readout"),
        Population("x", (4,), role="input"),
        Population("h", (5,), CubaLIF(leak=0.7, synapse=0.3)),
        Population("k", (5,), LIF(leak=0.5)),
        Population("y", (3,), role="readout"),
    ),
    (
        Connection(name="out", source="k", target="y", kind=Dense()),
        Connection(name="in", source="x", target="h", kind=Dense(bias=True)),
        Connection(name="skip", source="h", target="k", kind=Identity(1.5)),
        Connection(name="again", source="k", target="h", kind=Dense(), delay=1),
        Connection(name="side", source="h", target="z", kind=Dense()),
    ),
)
"""A circle of h and k, through an identity; two read-outs, of which one spikes."""
LEARNING = Learning(batch=2, rate=2.0**-4)
STEPS = 3


class Flipped(GraphBackend):
    """Golden in a core's place, with one bit wrong in the tensors that it shows of one batch.

    tensor: KIND.NAME; `returned logits.NAME` are those that forward hands out, `loaded.NAME` the
    weights that are read back.
    """

    name = "flipped"

    def __init__(self, tensor: str = "", at: tuple[int, ...] = (), bit: int = 0, batch: int = 1):
        super().__init__(NET, LEARNING)
        self.plan, self.gone = SimpleNamespace(graph=NET), frozenset()
        self.tensor, self.at, self.bit, self.when = tensor, at, bit, batch
        self.batch, self.step = -1, -1

    def weights(self):
        return self._flip(super().weights(), "loaded.", -1)

    def forward(self, inputs, *, go_on=False):
        self.batch += 1
        logits = super().forward(inputs, go_on=go_on)
        return self._flip(logits, "returned logits.", self.batch)

    def update(self, errors, step):
        self.step = step
        super().update(errors, step)

    def update_forward(self, errors, step, inputs, *, go_on=False):
        self.update(errors, step)
        return self.forward(inputs, go_on=go_on)

    def forward_tensors(self):
        return self._flip(super().forward_tensors(), "", self.batch)

    def update_tensors(self):
        return self._flip(super().update_tensors(), "", self.step)

    def _flip(self, tensors, prefix, batch):
        name = self.tensor.removeprefix(prefix)
        if batch != self.when or not self.tensor.startswith(prefix) or name not in tensors:
            return tensors
        bits = tensors[name].copy()
        bits[self.at] ^= 1 << self.bit
        return {**tensors, name: bits}


def run(core, *, go_on: bool = False) -> GraphLockstep:
    """Three batches, the last update alone, as a trainer does."""
    rng = np.random.default_rng(3)
    lockstep = GraphLockstep(core, GraphBackend(NET, LEARNING))
    lockstep.load_weights({n: random_halves(rng, s, "usual") for n, s in NET.shapes.items()})

    def inputs():
        return {"x": rng.integers(0, 2, (2, STEPS, 4)).astype(np.uint8)}

    def errors(logits):
        return {name: random_halves(rng, x.shape, "usual") for name, x in logits.items()}

    logits = lockstep.forward(inputs())
    logits = lockstep.update_forward(errors(logits), 0, inputs(), go_on=go_on)
    lockstep.update(errors(logits), 1)
    logits = lockstep.forward(inputs(), go_on=go_on)
    lockstep.update(errors(logits), 2)
    return lockstep


def test_equal_backends_are_counted():
    """Equal backends have no mismatch, and every tensor and value is counted."""
    counts = run(Flipped()).counts
    weights = 5 * 5 + 5 * 5 + 5 * 3 + 5 * 2
    entries = 2 * STEPS
    forward = entries * (2 * (5 + 5 + 2) + 2 * (3 + 2))  # spikes, codes; logits read and returned
    update = entries * (5 + 5 + 3 + 2) + weights
    assert counts.values == weights + 3 * (forward + update)
    assert counts.tensors == 4 + 3 * (3 + 3 + 2 + 2) + 3 * (4 + 4)
    assert counts.mismatches == 0


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize(
    ("tensor", "at", "bit", "place"),
    [
        ("spikes.h", (1, 2, 3), 0, "layer h, tensor spikes, batch {}, sample 1, step 2, index 3"),
        ("spikes.z", (0, 1, 1), 0, "layer z, tensor spikes, batch {}, sample 0, step 1, index 1"),
        ("codes.k", (0, 0, 4), 3, "layer k, tensor codes, batch {}, sample 0, step 0, index 4"),
        ("logits.y", (1, 2, 2), 15, "layer y, tensor logits, batch {}, sample 1, step 2, index 2"),
        ("logits.z", (0, 1, 0), 9, "layer z, tensor logits, batch {}, sample 0, step 1, index 0"),
        ("returned logits.y", (1, 0, 1), 1,
         "layer y, tensor returned logits, batch {}, sample 1, step 0, index 1"),
        ("returned logits.z", (1, 0, 1), 1,
         "layer z, tensor returned logits, batch {}, sample 1, step 0, index 1"),
        ("gradients.h", (1, 1, 0), 0, "layer h, tensor gradients, batch {}, sample 1, step 1, ind"),
        ("gradients.y", (0, 0, 1), 9, "layer y, tensor gradients, batch {}, sample 0, step 0, ind"),
        ("gradients.z", (0, 2, 1), 5, "layer z, tensor gradients, batch {}, sample 0, step 2, ind"),
        ("weights.in", (4, 3), 0, "layer in, tensor weights, batch {}, source 4, index 3"),
        ("weights.again", (2, 4), 14, "layer again, tensor weights, batch {}, source 2, index 4"),
        ("weights.out", (0, 2), 7, "layer out, tensor weights, batch {}, source 0, index 2"),
    ],
)  # fmt: skip
def test_a_flipped_bit_is_named(tensor, at, bit, place, batch):
    """One flipped bit of each kind of tensor, in a batch that is run by itself or beside an
    update, is a Mismatch with its population or connection."""
    with pytest.raises(Mismatch) as raised:
        run(Flipped(tensor, at, bit, batch))
    assert str(raised.value).startswith(place.format(batch))
    assert "(1 of " in str(raised.value)


def test_a_flipped_bit_of_the_weights_as_loaded_is_named():
    """Before any batch."""
    with pytest.raises(
        Mismatch, match=r"^layer side, tensor weights, as loaded, source 4, index 1"
    ):
        run(Flipped("loaded.side", (4, 1), 3, -1))


def test_the_first_of_many_differences_is_named():
    """In the order of computation: a circle's populations by their order in a step; backward the
    other way round; connections where they enter."""

    class Wrong(Flipped):
        def __init__(self, *kinds: str):
            super().__init__()
            self.kinds = kinds

        def forward_tensors(self):
            return self.spoilt(super().forward_tensors())

        def update_tensors(self):
            return self.spoilt(super().update_tensors())

        def spoilt(self, tensors):
            return {n: x ^ 1 if n.startswith(self.kinds) else x for n, x in tensors.items()}

    for kinds, first in (
        (("spikes", "codes", "logits", "gradients", "weights"), "layer h, tensor codes"),
        (("spikes.k", "codes.k", "logits"), "layer k, tensor codes"),
        (("gradients.h", "gradients.k"), "layer k, tensor gradients"),
        (("gradients.k", "gradients.y", "weights"), "layer y, tensor gradients"),
        (("weights",), "layer in, tensor weights"),
        (("weights.side", "weights.out", "weights.again"), "layer again, tensor weights"),
    ):
        with pytest.raises(Mismatch, match=f"^{first}"):
            run(Wrong(*kinds))


@pytest.mark.verilator
@pytest.mark.parametrize("go_on", [False, True])
def test_the_core_agrees(go_on):
    """A circle, with updates beside the next batch and in turns."""
    plan = compile_graph(NET, STEPS, LEARNING, MACHINES["tiny"], every=True, stateful=go_on)
    core = RTLCore(plan)
    counts = run(core, go_on=go_on).counts
    assert counts.values > 500
    core.close()


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("connection", "before", "bit", "where"),
    [
        # The bias of one neuron of h, 0, becomes 2: it fires.
        ("in", 0x0000, 14, "layer h, tensor codes, batch 0, sample 0, step 0, index 1: got"),
        # Spikes of k, which has them all, count against one logit of y.
        ("out", 0x3C00, 15, "layer y, tensor logits, batch 0, sample 0, step 0, index 1: got"),
    ],
    ids=["bias", "weight"],
)
def test_a_bit_that_flips_in_the_cores_memory_is_found(connection, before, bit, where):
    """A bit of a weight, behind the back of the comparison, is named where it first shows."""
    core = RTLCore(compile_graph(NET, STEPS, LEARNING, MACHINES["tiny"], every=True))
    lockstep = GraphLockstep(core, GraphBackend(NET, LEARNING))
    weights = {n: np.full(s, before, np.uint16) for n, s in NET.shapes.items()}
    lockstep.load_weights(weights)
    wrong = weights[connection].copy()
    wrong[-1, 1] ^= 1 << bit
    core.driver.write_weights({connection: wrong})
    with pytest.raises(Mismatch, match=f"^{where}"):
        lockstep.forward({"x": np.ones((2, STEPS, 4), np.uint8)})
    assert lockstep.counts.mismatches > 0
    core.close()
