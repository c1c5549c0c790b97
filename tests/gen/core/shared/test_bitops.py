"""gen.core.shared.bitops: whether a number exceeds a limit, for all numbers."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.bitops import exceeds
from backspike.sim.bench.array_bench import ArrayBench, after

pytestmark = pytest.mark.verilator
WIDTH = 6
LIMITS = (1, 2, 5, 8, 31, 32, 33, 63, 64, 128)


class Limits(wiring.Component):
    """A number against each of the limits, a cycle later."""

    i: In(WIDTH)
    o: Out(len(LIMITS))

    def elaborate(self, platform):
        m = Module()
        for n, limit in enumerate(LIMITS):
            m.d.sync += self.o[n].eq(exceeds(self.i, limit))
        return m


def test_exceeds():
    """Also limits that no number of so many bits reaches."""
    numbers = np.arange(1 << WIDTH, dtype=np.uint64)
    found = after(1, ArrayBench(Limits(), "limits"), i=numbers)["o"]
    for n, limit in enumerate(LIMITS):
        np.testing.assert_array_equal(found >> np.uint64(n) & np.uint64(1), numbers > limit)
