"""gen.host.bus: everything passes, in order, out of registers."""

import numpy as np
import pytest

from backspike.gen.host.bus import RESPONSE, BusRegister, request_layout
from backspike.sim.bench.array_bench import ArrayBench

ADDRESS = 6
CYCLES = 3000


@pytest.fixture(scope="module")
def relay():
    return ArrayBench(BusRegister(ADDRESS), "relay_bench")


def random_bits(rng, width: int) -> np.ndarray:
    return rng.integers(0, 1 << width, CYCLES).astype(np.uint64)


@pytest.mark.verilator
@pytest.mark.parametrize("free", [1.0, 0.6, 0.2])
def test_requests(relay, free):
    """A request is offered, as it is, from the cycle after it was taken until it is handed on."""
    rng = np.random.default_rng(1)
    valid, ready = rng.random((2, CYCLES)) < free
    valid[-8:], ready[-8:] = False, True  # the last one leaves
    sent = random_bits(rng, request_layout(ADDRESS).size)
    out = relay(i__request__valid=valid, i__request__payload=sent, o__request__ready=ready)
    held, taken, handed = None, 0, 0
    for n in range(CYCLES):
        assert bool(out["o__request__valid"][n]) == (held is not None), f"cycle {n}"
        assert bool(out["i__request__ready"][n]) == (held is None), f"cycle {n}"
        if held is not None:
            assert out["o__request__payload"][n] == held, f"cycle {n}"
            handed += bool(ready[n])
            held = None if ready[n] else held
        elif valid[n]:
            held, taken = sent[n], taken + 1
    assert taken == handed
    assert taken > CYCLES * free / 5
    if free == 1.0:
        assert taken >= CYCLES // 2 - 8


@pytest.mark.verilator
def test_responses(relay):
    """A cycle later, whether there is one or not."""
    rng = np.random.default_rng(2)
    valid, sent = random_bits(rng, 1), random_bits(rng, RESPONSE.size)
    out = relay(o__response__valid=valid, o__response__payload=sent)
    assert out["o__response__ready"].all()
    assert (out["i__response__valid"][1:] == valid[:-1]).all()
    assert (out["i__response__payload"][1:] == sent[:-1]).all()
