"""gen.core.engines: exact sums are as wide as the largest that a run may ask for."""

from types import SimpleNamespace

import numpy as np
import pytest

from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.core.engines import KINDS
from backspike.gen.machine import DEPTH, MACHINES, Machine
from backspike.golden.backend import GoldenBackend
from backspike.ir.constants import ENGINES
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import Surrogate

LARGEST = 0x7BFF
TINY = MACHINES["tiny"]
ODD = Machine(name="odd", lanes=4, fp_reuse=1, bp_reuse=1, wg_reuse=1, weight_rows=64, units=8,
              spike_units=512, readout_units=4, layers=2, tasks=16)  # fmt: skip
DRAWS = 5_000


def terms(machine: Machine, engine: str, config: SimpleNamespace, blocks: int) -> int:
    """Terms of the largest sum that a task of this descriptor adds up."""
    if engine == "fp":
        return min(config.sources + config.bias, config.source_tiles * machine.lanes)
    if engine == "bp":
        return 0 if config.loss else config.next_tiles * machine.lanes
    return blocks * DEPTH


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("machine", [MACHINES["default"], ODD], ids=lambda m: m.name)
def test_no_more_terms_than_are_checked(machine, engine):
    """Whatever is drawn: what the dispatcher lets pass fits, and comes near."""
    rng = np.random.default_rng(1)
    fields = KINDS[engine].fields.values()
    most = passed = 0
    for _ in range(DRAWS):
        values = {}
        for field in fields:  # of all lengths
            bits = int(rng.integers(field.width + 1))
            values[field.name] = int(rng.integers(1 << bits))
        values["tiles"] = int(rng.choice([1, 1, 1, 2, 64]))  # else there is no task
        for name in ("output_base", "source_base", "next_base", "gradient_base", "weights"):
            if name in values and rng.random() < 0.8:
                values[name] = 0
        config = SimpleNamespace(**values)
        blocks = int(rng.choice([1, 1, 1 << int(rng.integers(10))]))
        batch = SimpleNamespace(blocks=blocks, sets=int(rng.choice([1, blocks])))
        extents = [e for e in KINDS[engine].extents(config, batch) if e.applies]
        if all(e.valid and e.base + e.count * e.times <= e.memory.size(machine) for e in extents):
            passed += 1
            most = max(most, terms(machine, engine, config, blocks))
    assert passed > 100
    assert most <= KINDS[engine].terms(machine)
    assert 2 * most > KINDS[engine].terms(machine), "a bit more than is needed"


def test_widths():
    """The sign, 40 or 80 bits of a term's magnitude, and those of the number of terms."""
    assert [KINDS[engine].sum_width(MACHINES["default"]) for engine in ENGINES] == [52, 91, 52]
    assert [KINDS[engine].sum_width(TINY) for engine in ENGINES] == [50, 89, 52]


ALWAYS = Surrogate("always", (0.0,), (1.0, 1.0))
WIDEST = {
    "fp": Network(inputs=511, layers=(Layer(size=2, bias=True),), steps=1),
    "bp": Network(
        inputs=1,
        layers=(Layer(size=2, surrogate=ALWAYS), Layer(size=252, surrogate=ALWAYS), Layer(size=2)),
        steps=1,
    ),
    "wg": Network(inputs=1, layers=(Layer(size=2),), steps=16),
}


@pytest.mark.verilator
@pytest.mark.parametrize("engine", ENGINES)
def test_largest_sums(engine):
    """As many of the largest terms as tiny has room for: the sum saturates, with its sign."""
    network = WIDEST[engine]
    learning = Learning(batch=64 if engine == "wg" else 1)
    lockstep = Lockstep(RTLBackend(network, learning, TINY), GoldenBackend(network, learning))
    try:
        for sign in (0, 0x8000):
            weights = [np.full(shape, LARGEST, np.uint16) for shape in network.shapes]
            weights[0] |= sign
            error = np.full((learning.batch, 2), LARGEST | sign, np.uint16)
            spikes = np.ones((learning.batch, network.steps, network.inputs), np.uint8)
            lockstep.load_weights(weights)
            logits = lockstep.forward(spikes, np.zeros(learning.batch, np.int64))
            assert engine != "fp" or (logits == LARGEST | sign).all()
            lockstep.update(error, 0)
    finally:
        lockstep.close()
