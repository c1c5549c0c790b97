"""sim.bench.array_bench: arrays in, arrays out, of every width."""

import numpy as np
import pytest

from backspike.sim.bench.array_bench import ArrayBench, to_limbs
from tests.support.sample import WIDTHS, Sample


@pytest.mark.verilator
def test_the_array_bench_drives_ports_of_every_width():
    """Inputs of 1 to 130 bits come back inverted after a cycle, and state goes on between calls."""
    run = ArrayBench(Sample(), "sample_array_bench")
    rng = np.random.default_rng(1)
    numbers = {n: [int.from_bytes(rng.bytes(17)) % (1 << n) for _ in range(300)] for n in WIDTHS}

    def as_array(values, n):
        limbs = to_limbs(values, n)
        return limbs if n > 64 else limbs[:, 0]

    # Ones above an input's width, as in a negative int64, must not get in.
    dirty = {
        n: as_array(numbers[n], n) | np.uint64(0 if n in (64,) or n > 64 else ~0 << n & 2**64 - 1)
        for n in WIDTHS
    }
    out = run(**{f"i{n}": dirty[n] for n in WIDTHS})
    for n in WIDTHS:
        want = as_array([~x for x in numbers[n]], n)
        assert np.array_equal(out[f"o{n}"][1:], want[:-1]), f"{n} bits"
    assert out["count"].tolist() == [n % 256 for n in range(300)]
    assert run(i1=np.zeros(1))["count"] == [300 % 256]  # state goes on
    assert run(rst=np.array([1, 0]))["count"].tolist() == [301 % 256, 0]


@pytest.mark.verilator
def test_the_array_bench_refuses_what_does_not_fit():
    """Unknown ports, unequal lengths and wrong shapes are ValueErrors."""
    run = ArrayBench(Sample(), "sample_array_bench")
    with pytest.raises(ValueError, match=r"inputs are \['j'\], must be of "):
        run(j=np.zeros(3))
    with pytest.raises(ValueError, match=r"inputs have \[2, 3\] rows"):
        run(i1=np.zeros(3), i7=np.zeros(2))
    with pytest.raises(ValueError, match=r"i65 has shape \(3,\), must be \(3, 2\)"):
        run(i65=np.zeros(3))
