"""gen.core.accumulate: a lane's exact sums, in simulation against golden."""

from fractions import Fraction

import numpy as np
import pytest
import rational
import torch

from backspike.gen.core.accumulate import GUARD_HALVES, GUARD_PRODUCTS, Lane
from backspike.gen.machine import DEPTH
from backspike.golden import exact, half
from backspike.sim.bulk import Bulk

pytestmark = pytest.mark.verilator

LINES = 80
"""Elements a block: with every second event left out, 640 terms a block."""
BLOCKS = 1700
"""More than a million terms."""


@pytest.fixture(scope="module", params=[False, True], ids=["halves", "products"])
def lane(request):
    return Setting(request.param)


class Setting:
    """A lane in simulation, and what an engine would do to it."""

    def __init__(self, product):
        self.product = product
        self.fraction = 48 if product else 24
        self.delay = 3 if product else 2
        lane = Lane(product=product)
        self.width = lane.width
        self.run = Bulk(lane, f"lane_{'products' if product else 'halves'}")

    def sums(self, events, elements, values, rng=None):
        """Finished sums as Python integers in units of 2^-fraction, (block, DEPTH).

        events: bool (block, line, DEPTH); each adds an element (uint16 patterns, (block, line)),
        times a value ((block, line, DEPTH)) for products, to its entry. rng: stall at random.
        Entries without an event must not be asked for: a lane does not clear them.
        """
        block, line, entry = np.nonzero(events)
        count = len(block)
        before = np.r_[-1, (block * events.shape[1] + line)[:-1]]
        load = before != block * events.shape[1] + line
        seen = np.cumsum(events, axis=1)[block, line, entry] == 1
        total = count + self.delay + 2 * DEPTH

        def late(x, cycles):
            out = np.zeros(total, np.uint64)
            out[cycles : cycles + count] = x
            return out

        def hold(x):  # the file in use while its terms are on the way, and after the end
            out = np.full(total, 1 - x[-1], np.uint64)
            out[self.delay : self.delay + count] = x
            out[: self.delay] = x[0]
            return out

        inputs = {
            "go": np.ones(total, np.uint64),
            "load": late(load, 0),
            "element": late(elements[block, line], 0),
            "shift": late(load, 1),
            "add": late(np.ones(count), self.delay),
            "replace": late(seen, self.delay),
            "entry": late(entry, self.delay),
            "file": hold(block % 2),
            "drain_file": 1 - hold(block % 2),
            "drain_entry": np.arange(total, dtype=np.uint64) % DEPTH,
        }
        if self.product:
            inputs["value"] = late(values[block, line, entry], 0)
        if rng is not None:
            inputs = stalled(rng, inputs)
        raw = self.run(**inputs)["drain_sum"]
        # A file is drained while the other accumulates: look at the first DEPTH of these cycles.
        switches = np.r_[np.flatnonzero(np.diff(inputs["file"].astype(int))) + 1]
        assert len(switches) == len(events)
        # (The upper part of a product's last term is a cycle late.)
        rows = switches[:, None] + int(self.product) + np.arange(DEPTH)
        order = np.argsort(inputs["drain_entry"][rows], axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        return [[self.integer(raw[cycle]) for cycle in block_rows] for block_rows in rows]

    def integer(self, limbs):
        number = sum(int(limb) << 64 * n for n, limb in enumerate(np.atleast_1d(limbs)))
        return number - (number >> self.width - 1 << self.width)


def stalled(rng, inputs):
    """The same with cycles in between in which `go` is low and everything else is anything."""
    total = len(inputs["go"])
    place = np.cumsum(rng.integers(1, 3, total)) - 1
    out = {}
    for name, array in inputs.items():
        top = {"entry": DEPTH, "drain_entry": DEPTH, "element": 1 << 16, "value": 1 << 16}
        noise = rng.integers(0, top.get(name, 2), place[-1] + 1).astype(np.uint64)
        noise[place] = array
        out[name] = noise
    out["go"] = np.zeros(place[-1] + 1, np.uint64)
    out["go"][place] = 1
    # These are not events: they hold their value.
    for name in ("file", "drain_file"):
        out[name] = inputs[name][np.searchsorted(place, np.arange(place[-1] + 1))]
    out["drain_entry"] = np.arange(place[-1] + 1, dtype=np.uint64) % DEPTH
    return out


def random_halves(rng, shape):
    seed = torch.Generator().manual_seed(int(rng.integers(1 << 30)))
    return half.to_bits(half.random_halves(shape, seed))


@pytest.mark.parametrize("stalls", [False, True])
def test_a_million_terms(lane, stalls):
    rng = np.random.default_rng(1)
    blocks = BLOCKS // (10 if stalls else 1)
    events = rng.random((blocks, LINES, DEPTH)) < 0.5
    events[:, -1] |= ~events.any(1)  # a lane does not clear what gets nothing
    elements = random_halves(rng, (blocks, LINES))
    values = random_halves(rng, events.shape)
    assert stalls or events.sum() > 1_000_000
    got = lane.sums(events, elements, values, rng if stalls else None)

    vectors = half.from_bits(elements)[:, :, None]  # (block, line, 1)
    spikes = torch.from_numpy(events).double().mT  # (block, entry, line)
    if lane.product:
        terms = exact.product_sum(spikes * half.from_bits(values).mT, vectors)
    else:
        terms = exact.gated_sum(spikes, vectors)
    unit = 2.0**lane.fraction
    parts = [(term[:, :, 0] * unit).tolist() for term in terms]
    for block in range(blocks):
        want = [sum(int(part[block][entry]) for part in parts) for entry in range(DEPTH)]
        assert got[block] == want, f"block {block}: got {got[block]}, want {want}"


@pytest.mark.parametrize("sign", [0, 0x8000])
def test_as_many_of_the_largest_as_there_are_guard_bits_for(lane, sign):
    """The sum is the largest that must fit: 2^guard times ±65504, or ±65504^2."""
    terms = 1 << (GUARD_PRODUCTS if lane.product else GUARD_HALVES)
    events = np.zeros((1, terms, DEPTH), bool)  # entry 3 gets all; a line an event
    events[0, :, 3] = True
    events[0, 0] = True
    elements = np.full((1, terms), 0x7BFF | sign)
    values = np.full(events.shape, 0x7BFF)
    got = lane.sums(events, elements, values)[0]
    largest = int(rational.value(0x7BFF)) ** (2 if lane.product else 1) * 2**lane.fraction
    signed = -largest if sign else largest
    assert got == [terms * signed if entry == 3 else signed for entry in range(DEPTH)]


def test_cancellation_keeps_the_smallest(lane):
    """65504 - 65504 + 2^-24 is 2^-24, in any order."""
    large, small = rational.value(0x7BFF), Fraction(1, 2**24)
    for order in ([0x7BFF, 0xFBFF, 1], [0x7BFF, 1, 0xFBFF], [1, 0x7BFF, 0xFBFF]):
        events = np.ones((2, 3, DEPTH), bool)
        elements = np.array([order, order[::-1]])
        values = np.full(events.shape, 0x7BFF if lane.product else 0)
        want = int(small * (large if lane.product else 1) * 2**lane.fraction)
        assert lane.sums(events, elements, values) == [[want] * DEPTH] * 2
