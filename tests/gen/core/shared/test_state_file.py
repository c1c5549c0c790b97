"""gen.core.shared.state_file: what is written at a place is read there, and nowhere else."""

import itertools

import numpy as np
import pytest

from backspike.gen.core.shared.state_file import StateFile, state_layout
from backspike.gen.machine import DEPTH
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.streams import packed


@pytest.mark.verilator
@pytest.mark.parametrize(("reuse", "places"), [(1, 2), (2, 4), (4, 1), (8, 16)])
def test_states(reuse, places):
    """Every sample, phase and place has two states of its own; a read comes a cycle later, in any
    order, while others are written. A file of one place has it for all."""
    rng = np.random.default_rng(reuse)
    layout = packed(state_layout(reuse))
    keys = [*itertools.product(range(DEPTH), range(reuse), range(places), range(2))]

    def word(key: tuple[int, ...]) -> int:
        sample, phase, place, second = key
        # What lies beyond the places is left out.
        beyond = places * int(rng.integers(1024 // places))
        return layout.pack(sample=sample, phase=phase, place=place + beyond, second=second)

    first = [keys[n] for n in rng.permutation(len(keys))]
    written = first + [keys[n] for n in rng.integers(0, len(keys), 2000)]
    values = rng.integers(0, 1 << 16, len(written))
    writes = (np.arange(len(written)) < len(first)) | (rng.random(len(written)) < 0.6)
    states: dict[tuple[int, ...], int] = {}
    read, want = [], []
    for cycle, key in enumerate(written):
        other = keys[rng.integers(len(keys))]
        # None that is written in this cycle is read.
        read.append(other if other != key else written[cycle - 1])
        want.append(states.get(read[-1]) if read[-1] != key else None)
        if writes[cycle]:
            states[key] = int(values[cycle])
    assert len(states) == len(keys)
    out = ArrayBench(StateFile(reuse=reuse, places=places), f"state_file_{reuse}_{places}")(
        read=np.array([word(key) for key in read], np.uint64),
        write=writes.astype(np.uint64),
        written=np.array([word(key) for key in written], np.uint64),
        i=values.astype(np.uint64),
    )
    for cycle, state in enumerate(want[:-1]):
        if state is not None:
            assert int(out["o"][cycle + 1]) == state, f"cycle {cycle + 1}: {read[cycle]}"
