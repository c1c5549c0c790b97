"""gen.core.accumulate: a lane's exact sums, in simulation against golden."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from backspike.gen.core.shared.lane import STEP, Lane
from backspike.gen.machine import DEPTH
from backspike.gen.numerics.half_product import Factor
from backspike.golden import exact, half
from backspike.sim.bench.array_bench import ArrayBench
from tests.support import rational
from tests.support.streams import packed

pytestmark = pytest.mark.verilator

LINES = 80
"""Elements a block: with every second event left out, 640 terms a block."""
BLOCKS = 1700
"""More than a million terms."""
GUARD = {False: 11, True: 10}
"""Sums of 2^GUARD terms must fit."""


@pytest.fixture(scope="module", params=[False, True], ids=["halves", "products"])
def lane(request):
    return Setting(request.param)


class Setting:
    """A lane in simulation, and what an engine would do to it."""

    def __init__(self, product):
        self.product = product
        self.fraction = 48 if product else 24
        self.guard = GUARD[product]
        lane = Lane(product=product, width=(81 if product else 41) + self.guard)
        self.width, self.latency = lane.width, lane.latency
        self.run = ArrayBench(lane, f"lane_{'products' if product else 'halves'}")

    def sums(self, events, elements, values, rng=None):
        """Finished sums as Python integers in units of 2^-fraction, (block, DEPTH).

        events: bool (block, line, DEPTH); each adds an element (uint16 patterns, (block, line)),
        times a value ((block, line, DEPTH)) for products, to its entry. rng: pause at random.
        Every entry must have an event in every block.
        """
        block, line, entry = np.nonzero(events)
        count = len(block)
        number = block * events.shape[1] + line
        load = np.r_[-1, number[:-1]] != number
        seen = np.cumsum(events, axis=1)[block, line, entry] == 1
        steps = np.ones(count, int) if rng is None else rng.integers(1, 3, count)
        come = (np.cumsum(steps) - 1)[:count]  # cycles in which events come
        add = come + 3
        total = int(come[-1]) + 10

        def at(cycles, values, noise=1):
            out = np.zeros(total, np.uint64)
            if rng is not None:  # when it does not count it is anything
                out[:] = rng.integers(0, noise, total)
            out[cycles] = values
            return out

        inputs = {
            "load": at(come, load),
            "element": at(come, elements[block, line], 1 << 16),
        }
        # A line that has to wait may load anything before its vector is there.
        inputs["load"][come[(steps == 2) & load] - 1] = 1
        if self.product:
            inputs["factor"] = at(come + 1, factors(values[block, line, entry]), 1 << 20)
        else:
            inputs["shift"] = at(come + 1, load)
        layout = packed(STEP)
        step = [
            layout.pack(write=1, replace=int(first), entry=int(i), block=0)
            for first, i in zip(seen, entry, strict=True)
        ]
        idle = [layout.pack(write=0, replace=n & 1, entry=n >> 1, block=0) for n in range(32)]
        inputs["step"] = np.resize(np.array(idle, np.uint64), total)
        inputs["step"][add] = step
        raw = self.run(**inputs)["total"]

        last = np.full((len(events), DEPTH), -1)
        last[block, entry] = np.arange(count)  # the last of equal indices stays
        assert (last >= 0).all()
        return [[self.integer(raw[cycle + self.latency]) for cycle in add[row]] for row in last]

    def integer(self, limbs):
        number = sum(int(limb) << 64 * n for n, limb in enumerate(np.atleast_1d(limbs)))
        return number - (number >> self.width - 1 << self.width)


def factors(halves):
    """As an engine takes them: the exponent's lower part is done, the upper is yet to do."""
    halves = halves.astype(np.uint64)
    exponent = halves >> np.uint64(10) & np.uint64(31)
    mantissa = (halves & np.uint64(1023)) + (exponent > 0) * np.uint64(1024)
    places = np.maximum(exponent, np.uint64(1))
    layout = packed(Factor)
    parts = mantissa << (places & np.uint64(7)), places >> np.uint64(3), halves >> np.uint64(15)
    ones = (layout.pack(**{name: 1}) for name in ("significand", "shift", "sign"))
    return sum(part * np.uint64(one) for part, one in zip(parts, ones, strict=True))


def random_halves(rng, shape):
    seed = torch.Generator().manual_seed(int(rng.integers(1 << 30)))
    return half.to_bits(half.random_halves(shape, seed))


@pytest.mark.parametrize("stalls", [False, True])
def test_a_million_terms(lane, stalls):
    """Sums of more than a million terms equal golden's exact sums, with and without stalls."""
    rng = np.random.default_rng(1)
    blocks = BLOCKS // (10 if stalls else 1)
    events = rng.random((blocks, LINES, DEPTH)) < 0.5
    events[:, -1] |= ~events.any(1)
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
    terms = 1 << lane.guard
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
