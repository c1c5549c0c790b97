"""Lockstep: equal backends agree, and of others the first bit that differs is named."""

from typing import Any

import numpy as np
import pytest

from backspike.compile.compiler import compile_graph
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.half import from_bits, to_bits
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import Mismatch, UserError
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
SQUARED = Learning(batch=2, rate=2.0**-4, loss="mse", alpha=0.3)
LABELS = np.array([1, 0])
"""Of every batch."""
STEPS = 3
WEIGHTS = 5 * 5 + 5 * 5 + 5 * 3 + 5 * 2
"""Of all connections."""


class Flipped(GoldenBackend):
    """Golden in a core's place, with one bit wrong in the tensors that it shows of one batch.

    tensor: KIND.NAME; `returned logits.NAME` are those that forward hands out, `loaded.NAME` the
    weights that are read back. got, want: the bits there, and what they were.
    """

    name = "flipped"

    def __init__(
        self, tensor: str = "", at: tuple[int, ...] = (), bit: int = 0, batch: int = 1, **how: Any
    ) -> None:
        super().__init__(NET, how.pop("learning", LEARNING), **how)
        self.tensor, self.at, self.bit, self.when = tensor, at, bit, batch
        self.batch, self.step = -1, -1

    def weights(self):
        return self._flip(super().weights(), "loaded.", -1)

    def forward(self, inputs, labels=None, *, go_on=False):
        self.batch += 1
        logits = super().forward(inputs, labels, go_on=go_on)
        return self._flip(logits, "returned logits.", self.batch)

    def update(self, errors, step, **part):
        self.step = step
        super().update(errors, step, **part)

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
        self.got, self.want = bits[self.at], tensors[name][self.at]
        return {**tensors, name: bits}


class Shown(Flipped):
    """Changes what it shows of every batch."""

    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forward_tensors(self):
        return self.change(super().forward_tensors())

    def update_tensors(self):
        return self.change(super().update_tensors())


def run(core: Any, *, go_on: bool = False, labels: np.ndarray | None = None) -> Lockstep:
    """Three batches, the last update alone, as a trainer does. labels: those of every batch, if
    backends work errors out of them."""
    plan = getattr(core, "plan", core)
    own = {"y"} if plan.learning.loss == "mse" and not plan.every else set()
    rng = np.random.default_rng(3)
    lockstep = Lockstep(core, GoldenBackend(NET, plan.learning, every=plan.every))
    lockstep.load_weights({n: random_halves(rng, s, "usual") for n, s in NET.shapes.items()})

    def inputs():
        return {"x": rng.integers(0, 2, (2, STEPS, 4)).astype(np.uint8)}

    def errors(logits):
        given = {name: x for name, x in logits.items() if name not in own}
        return {name: random_halves(rng, x.shape, "usual") for name, x in given.items()}

    logits = lockstep.forward(inputs(), labels)
    logits = lockstep.update_forward(errors(logits), 0, inputs(), labels, go_on=go_on)
    lockstep.update(errors(logits), 1)
    logits = lockstep.forward(inputs(), labels, go_on=go_on)
    lockstep.update(errors(logits), 2)
    return lockstep


@pytest.mark.parametrize(("every", "go_on"), [(True, False), (True, True), (False, False)])
def test_equal_backends_are_counted(every, go_on):
    """Equal backends have no mismatch, and every tensor and value is counted."""
    lockstep = run(Flipped(every=every), go_on=go_on)
    entries = 2 * STEPS
    of_y = entries * 3 if every else 2 * 3
    # Spikes, codes; logits read and returned.
    forward = entries * 2 * (5 + 5 + 2) + 2 * (of_y + entries * 2)
    update = entries * (5 + 5 + 3 + 2) + WEIGHTS
    assert lockstep.counts.values == WEIGHTS + 3 * (forward + update)
    assert lockstep.counts.tensors == 4 + 3 * (3 + 3 + 2 + 2) + 3 * (4 + 4)
    assert lockstep.counts.mismatches == 0
    # Of a population: its spikes, codes, logits and gradients, and weights that lead there.
    assert lockstep.compared() == {
        "z": 3 * entries * (2 + 2 + 2 * 2 + 2) + 4 * 10,
        "x": 0,
        "h": 3 * entries * (5 + 5 + 5) + 4 * (25 + 25),
        "k": 3 * entries * (5 + 5 + 5),
        "y": 3 * (2 * of_y + entries * 3) + 4 * 15,
    }


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize(
    ("tensor", "at", "bit", "what", "place"),
    [
        ("spikes.h", (1, 2, 3), 0, "population h, tensor spikes", "sample 1, step 2, index 3"),
        ("spikes.z", (0, 1, 1), 0, "population z, tensor spikes", "sample 0, step 1, index 1"),
        ("codes.k", (0, 0, 4), 3, "population k, tensor codes", "sample 0, step 0, index 4"),
        ("logits.y", (1, 2, 2), 15, "population y, tensor logits", "sample 1, step 2, index 2"),
        ("logits.z", (0, 1, 0), 9, "population z, tensor logits", "sample 0, step 1, index 0"),
        ("returned logits.y", (1, 0, 1), 1,
         "population y, tensor returned logits", "sample 1, step 0, index 1"),
        ("returned logits.z", (1, 0, 1), 1,
         "population z, tensor returned logits", "sample 1, step 0, index 1"),
        ("gradients.h", (1, 1, 0), 0,
         "population h, tensor gradients", "sample 1, step 1, index 0"),
        ("gradients.y", (0, 0, 1), 9,
         "population y, tensor gradients", "sample 0, step 0, index 1"),
        ("gradients.z", (0, 2, 1), 5,
         "population z, tensor gradients", "sample 0, step 2, index 1"),
        ("weights.in", (4, 3), 0, "connection in, tensor weights", "source 4, index 3"),
        ("weights.again", (2, 4), 14, "connection again, tensor weights", "source 2, index 4"),
        ("weights.out", (0, 2), 7, "connection out, tensor weights", "source 0, index 2"),
    ],
)  # fmt: skip
def test_a_flipped_bit_is_named(tensor, at, bit, what, place, batch):
    """One flipped bit of each kind of tensor, in a batch that is run by itself or beside an
    update, is a Mismatch with its population or connection, its place and both values."""
    flipped = Flipped(tensor, at, bit, batch)
    with pytest.raises(Mismatch) as raised:
        run(flipped)
    got, want = flipped.got, flipped.want
    if got.dtype == np.uint8:
        shown = f"got 0x{got:x} ({got}), want 0x{want:x} ({want}) "
    else:
        numbers = [float(bits.view(np.float16)) for bits in (got, want)]
        shown = f"got 0x{got:04x} ({numbers[0]:.9g}), want 0x{want:04x} ({numbers[1]:.9g}) "
    assert str(raised.value).startswith(f"{what}, batch {batch}, {place}: {shown}(1 of ")


@pytest.mark.parametrize("tensor", ["logits.y", "returned logits.y"])
def test_a_flipped_bit_of_the_last_steps_logits_is_named(tensor):
    """They have no axis of steps."""
    kind = tensor.partition(".")[0]
    place = f"^population y, tensor {kind}, batch 1, sample 1, index 2: got .*1 of 6 values"
    with pytest.raises(Mismatch, match=place):
        run(Flipped(tensor, (1, 2), 15, every=False))


def test_a_flipped_bit_of_the_weights_as_loaded_is_named():
    """Before any batch."""
    place = r"^connection side, tensor weights, as loaded, source 4, index 1: got .*1 of 10 values"
    with pytest.raises(Mismatch, match=place):
        run(Flipped("loaded.side", (4, 1), 3, -1))


def test_the_cause_is_named_before_its_effects():
    """A weight wrong from batch 0 on shows in weights first, though spikes differ later."""

    class Leaky(Flipped):
        def update(self, errors, step, **part):
            super().update(errors, step, **part)
            weights = self.weights()
            self.set_weights(weights | {"in": to_bits(from_bits(weights["in"]) * 2)})

        def update_tensors(self):
            return super().update_tensors() | {"weights.in": self.weights()["in"]}

    with pytest.raises(Mismatch, match=r"^connection in, tensor weights, batch 0"):
        run(Leaky())


def test_the_first_of_many_differences_is_named():
    """In the order of computation: a circle's populations by their order in a step; backward the
    other way round; connections where they enter."""
    for kinds, first in (
        (("spikes", "codes", "logits", "gradients", "weights"), "population h, tensor codes"),
        (("spikes.k", "spikes.h", "codes.k", "logits"), "population h, tensor spikes"),
        (("spikes.k", "codes.k", "logits"), "population k, tensor codes"),
        (("logits", "gradients"), "population y, tensor logits"),
        (("gradients.h", "gradients.k"), "population k, tensor gradients"),
        (("gradients.k", "gradients.y", "weights"), "population y, tensor gradients"),
        (("weights",), "connection in, tensor weights"),
        (("weights.side", "weights.out", "weights.again"), "connection again, tensor weights"),
    ):
        spoilt = Shown(
            lambda tensors, kinds=kinds: {
                name: x ^ 1 if name.startswith(kinds) else x for name, x in tensors.items()
            }
        )
        with pytest.raises(Mismatch, match=f"^{first}"):
            run(spoilt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t | {"spikes.h": t["spikes.h"][:1]},
            r"population h, tensor spikes, batch 0: got uint8 \(1, 3, 5\), want uint8 \(2, 3, 5\)",
        ),
        (
            lambda t: t | {"logits.y": t["logits.y"].astype(np.int64)},
            r"population y, tensor logits, batch 0: got int64 \(2, 3, 3\), want uint16 \(2, 3, 3\)",
        ),
        (
            lambda t: {name: x for name, x in t.items() if name != "codes.k"},
            r"batch 0: flipped has the tensors \['codes.h', 'codes.z', .*, golden has .*'codes.k'",
        ),
        (
            lambda t: t | {"codes.y": t["logits.y"]},
            r"batch 0: flipped has the tensors .*'codes.y'.*, golden has ",
        ),
    ],
)
def test_wrong_shapes_types_and_names(change, message):
    """Tensors of another shape, type or name, of one too few or too many, are Mismatches."""

    class Forward(Shown):
        def update_tensors(self):
            return Flipped.update_tensors(self)

    core = Forward(change)
    with pytest.raises(Mismatch, match=f"^{message}"):
        run(core)


def test_what_a_core_does_not_keep_is_left_out():
    """What is gone is not asked for; what is not gone is."""

    class Forgets(Shown):
        def __init__(self, gone: frozenset[str]) -> None:
            super().__init__(lambda t: {n: x for n, x in t.items() if n != "gradients.k"})
            self.gone = gone

    lockstep = run(Forgets(frozenset({"gradients.k"})))
    assert lockstep.gone == {"gradients.k"}
    whole = run(Flipped())
    assert whole.counts.values - lockstep.counts.values == 3 * 2 * STEPS * 5
    with pytest.raises(Mismatch, match=r"^batch 0: flipped has the tensors .*golden has"):
        run(Forgets(frozenset()))


def test_errors_are_made_of_labels_on_both_sides():
    """For loss mse of the last step labels reach both; if they differ, it shows in gradients."""
    lockstep = run(Flipped(learning=SQUARED, every=False), labels=LABELS)
    assert lockstep.counts.mismatches == 0
    logits = lockstep.forward_tensors()["logits.y"].view(np.float16).astype(float)
    errors = (SQUARED.alpha * logits - np.eye(3)[LABELS]).astype(np.float16)
    assert (lockstep.update_tensors()["gradients.y"][:, -1].view(np.float16) == errors).all()

    class Other(Flipped):
        def forward(self, inputs, labels=None, *, go_on=False):
            labels = LABELS[::-1].copy() if self.batch == 0 else labels
            return super().forward(inputs, labels, go_on=go_on)

    # Wrong in two of three classes, and so in each step.
    place = r"^population y, tensor gradients, batch 1, sample 0, step 0, index 0: .*\(12 of 18 "
    with pytest.raises(Mismatch, match=place):
        run(Other(learning=SQUARED, every=False), labels=LABELS)
    with pytest.raises(UserError, match="labels are none, must be given"):
        run(Flipped(learning=SQUARED, every=False))


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("learning", "every", "go_on"),
    [
        (LEARNING, True, False),
        (LEARNING, True, True),
        (LEARNING, False, False),
        (SQUARED, False, False),
    ],
    ids=["every", "every-on", "last", "last-mse"],
)
def test_the_core_agrees(learning, every, go_on):
    """A circle, with updates beside the next batch and in turns, errors given or made of labels."""
    plan = compile_graph(NET, STEPS, learning, MACHINES["tiny"], every=every, stateful=go_on)
    core = RTLBackend(plan)
    counts = run(core, go_on=go_on, labels=None if learning is LEARNING else LABELS).counts
    assert counts.values > 500
    core.close()


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("connection", "before", "bit", "where"),
    [
        # The bias of one neuron of h, 0, becomes 2: it fires.
        ("in", 0x0000, 14, "population h, tensor codes, batch 0, sample 0, step 0, index 1: got"),
        # Spikes of k, which has them all, count against one logit of y.
        ("out", 0x3C00, 15, "population y, tensor logits, batch 0, sample 0, step 0, index 1: got"),
    ],
    ids=["bias", "weight"],
)
def test_a_bit_that_flips_in_the_cores_memory_is_found(connection, before, bit, where):
    """A bit of a weight, behind the back of the comparison, is named where it first shows."""
    core = RTLBackend(compile_graph(NET, STEPS, LEARNING, MACHINES["tiny"], every=True))
    lockstep = Lockstep(core, GoldenBackend(NET, LEARNING))
    weights = {n: np.full(s, before, np.uint16) for n, s in NET.shapes.items()}
    lockstep.load_weights(weights)
    wrong = weights[connection].copy()
    wrong[-1, 1] ^= 1 << bit
    core.driver.write_weights({connection: wrong})
    with pytest.raises(Mismatch, match=f"^{where}"):
        lockstep.forward({"x": np.ones((2, STEPS, 4), np.uint8)})
    assert lockstep.counts.mismatches > 0
    core.close()
