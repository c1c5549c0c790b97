"""Comparison: tensors of two backends, in the order in which they are computed."""

import numpy as np
import pytest

from backspike.drive.comparison import KINDS, OF_WEIGHTS, Comparison
from backspike.ir.errors import Mismatch

ORDER = ["h", "k", "y", "xh", "hk"]
"""Populations and connections, in an order of their computation."""


def tensors() -> dict[str, np.ndarray]:
    """Of each kind some, none in its place, with values that tell where they are from."""
    shapes = {
        "weights.hk": (3, 4), "gradients.y": (2, 5, 2), "logits.y": (2, 5, 2), "codes.k": (2, 5, 4),
        "spikes.k": (2, 5, 4), "returned logits.y": (2, 5, 2), "gradients.h": (2, 5, 3),
        "moments.hk": (3, 4), "d.xh": (2, 3),
        "weights.xh": (2, 3), "spikes.h": (2, 5, 3), "codes.h": (2, 5, 3), "gradients.k": (2, 5, 4),
    }  # fmt: skip
    return {
        name: np.full(shape, 0x3C00 + n, np.uint16)
        if not name.startswith(("spikes", "codes"))
        else np.full(shape, n, np.uint8)
        for n, (name, shape) in enumerate(shapes.items())
    }


SEQUENCE = [
    "codes.h", "spikes.h", "codes.k", "spikes.k", "logits.y", "returned logits.y",
    "gradients.y", "gradients.k", "gradients.h", "d.xh", "moments.hk", "weights.xh", "weights.hk",
]  # fmt: skip
"""All of them, as they are computed."""


def comparison() -> Comparison:
    return Comparison("core", "golden", ORDER.index)


def owner(kind: str) -> str:
    """What a tensor of that kind is of."""
    return "connection" if kind in OF_WEIGHTS else "population"


def flipped(*names: str) -> dict[str, np.ndarray]:
    """All tensors, one bit of the last value of these flipped."""
    found = tensors()
    for name in names:
        found[name].flat[-1] ^= 1
    return found


def test_equal_tensors_are_counted():
    """Tensors and values, over all calls."""
    there = comparison()
    for _ in range(2):
        there.compare(tensors(), tensors())
    assert {name.partition(".")[0] for name in tensors()} == set(KINDS)
    assert there.counts.tensors == 2 * len(SEQUENCE)
    assert there.counts.values == 2 * sum(x.size for x in tensors().values())
    assert there.counts.mismatches == 0


@pytest.mark.parametrize("name", SEQUENCE)
def test_a_flipped_bit_is_named(name):
    """Whose it is, the kind of tensor, batch and place, and both values."""
    there = comparison()
    there.batch = 4
    with pytest.raises(Mismatch) as raised:
        there.compare(flipped(name), tensors())
    kind, _, whose = name.partition(".")
    want, got = tensors()[name].flat[-1], flipped(name)[name].flat[-1]
    shape = tensors()[name].shape
    axes = ("source", "index") if kind in OF_WEIGHTS else ("sample", "step", "index")
    place = ", ".join(f"{axis} {n - 1}" for axis, n in zip(axes, shape, strict=True))
    if kind in ("spikes", "codes"):
        values = f"got {hex(got)} ({got}), want {hex(want)} ({want})"
    else:
        halves = [float(x.view(np.float16)) for x in (got, want)]
        values = f"got {hex(got)} ({halves[0]:.9g}), want {hex(want)} ({halves[1]:.9g})"
    assert str(raised.value) == (
        f"{owner(kind)} {whose}, tensor {kind}, batch 4, {place}: {values} "
        f"(1 of {tensors()[name].size} values of this tensor differ)"
    )
    assert there.counts.mismatches == 1
    assert there.counts.tensors == SEQUENCE.index(name) + 1  # none behind it was looked at


@pytest.mark.parametrize("first", range(len(SEQUENCE)))
def test_the_first_difference_is_the_one_nearest_to_its_cause(first):
    """Forward upwards, logits, backward downwards, weights: whatever else is wrong behind."""
    kind, _, whose = SEQUENCE[first].partition(".")
    with pytest.raises(Mismatch, match=f"^{owner(kind)} {whose}, tensor {kind}, "):
        comparison().compare(flipped(*SEQUENCE[first:]), tensors())


def test_what_was_loaded_is_before_every_batch():
    """The message says so, without a batch."""
    with pytest.raises(
        Mismatch, match=r"^connection xh, tensor weights, as loaded, source 1, index 2: "
    ):
        comparison().compare(flipped("weights.xh"), tensors())


def test_other_names_shapes_and_types():
    """Each is a Mismatch with both sides."""
    there = comparison()
    less = {name: x for name, x in tensors().items() if name != "codes.h"}
    with pytest.raises(
        Mismatch, match=r"batch -1: core has the tensors \['codes.k', .*golden has "
    ):
        there.compare(less, tensors())
    with pytest.raises(Mismatch, match=r"got uint16 \(2, 4\), want uint16 \(2, 3\)"):
        there.compare(tensors() | {"weights.xh": np.zeros((2, 4), np.uint16)}, tensors())
    with pytest.raises(Mismatch, match=r"got int64 \(2, 5, 3\), want uint8 \(2, 5, 3\)"):
        there.compare(tensors() | {"codes.h": tensors()["codes.h"].astype(np.int64)}, tensors())
    assert there.counts.mismatches == 3


def test_tensors_of_samples():
    """Logits of the last step have two axes."""
    want = {"logits.y": np.full((2, 3), 0x3C00, np.uint16)}
    got = {"logits.y": want["logits.y"].copy()}
    got["logits.y"][1, 0] = 0xBC00
    with pytest.raises(Mismatch, match=r"^population y, tensor logits, as loaded, sample 1, ind"):
        comparison().compare(got, want)


def test_values_are_counted_by_what_they_are_of():
    """Of populations and connections, which may have the same name."""
    there = comparison()
    there.compare(tensors(), tensors())
    assert there.by_name["population", "h"] == 30 * 3
    assert there.by_name["connection", "xh"] == 6 * 2
    assert sum(there.by_name.values()) == there.counts.values
