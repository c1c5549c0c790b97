"""gen.spectral.sums_window: every word of every sum, in time."""

import numpy as np
import pytest

from backspike.gen.host.bus import WORD
from backspike.gen.spectral.sums_window import SUM_WORDS, SUMS, SumsWindow
from backspike.sim.bench.array_bench import ArrayBench, to_limbs
from tests.support.host_traffic import check_answers, ports, random_accesses

LATENCY = 1
WIDTH = SUM_WORDS * WORD
WORDS = SUM_WORDS * len(SUMS)


@pytest.mark.verilator
def test_words_of_sums():
    """The window's words are the sums' 32-bit pieces, each answered in time."""
    rng = np.random.default_rng(1)
    window = ArrayBench(SumsWindow(), "sums_window")
    for busy in (1.0, 0.4):
        sums = [int(n) << WIDTH - 64 | 0xABC for n in rng.integers(-(1 << 63), 1 << 63, len(SUMS))]
        accesses = random_accesses(rng, 300, WORDS, LATENCY, lambda: 0, busy)
        accesses = [a for a in accesses if not a.write]  # the register file lets none through
        assert {a.address for a in accesses} == set(range(WORDS))
        inputs = ports(accesses, (WORDS - 1).bit_length())
        cycles = len(inputs["host__request__valid"])
        given = {
            name: np.repeat(to_limbs([number], WIDTH), cycles, axis=0)
            for name, number in zip(SUMS, sums, strict=True)
        }

        def expect(access, sums=sums):
            number, word = divmod(access.address, SUM_WORDS)
            return sums[number] >> WORD * word & 0xFFFF_FFFF, 0

        check_answers(window(**inputs, **given), accesses, expect)
