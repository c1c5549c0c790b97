"""gen.core.engines: exact sums are as wide as the largest that a run may ask for."""

from types import SimpleNamespace

import numpy as np
import pytest

from backspike.gen.core.engines import KINDS
from backspike.gen.machine import DEPTH, MACHINES, Machine
from backspike.ir.constants import ENGINES
from backspike.ir.learning import Learning
from backspike.ir.surrogate import Surrogate
from tests.support.layered import GoldenChain, Layer, LockstepChain, Network, RTLChain

LARGEST = 0x7BFF
TINY = MACHINES["tiny"]
ODD = Machine(name="odd", lanes=4, fp_reuse=1, bp_reuse=1, wg_reuse=1, weight_rows=64, units=8,
              spike_units=512, readout_units=4, layers=2, tasks=16)  # fmt: skip
DRAWS = 5_000


def walked(engine: str, records: list[SimpleNamespace]) -> int:
    """Tiles that a sum adds up, of all connections."""
    name = "source_tiles" if engine == "fp" else "next_tiles"
    return sum(1 if record.diagonal else getattr(record, name) for record in records)


def drawn(rng: np.random.Generator, fields) -> dict[str, int]:
    """Values of all lengths; bases often 0."""
    values = {}
    for field in fields:
        bits = int(rng.integers(field.width + 1))
        values[field.name] = int(rng.integers(1 << bits))
        if field.name.endswith(("base", "weights")) and rng.random() < 0.8:
            values[field.name] = 0
    return values


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("machine", [MACHINES["default"], ODD], ids=lambda m: m.name)
def test_no_more_terms_than_are_checked(machine, engine):
    """Whatever is drawn: what the dispatcher lets pass fits, and comes near."""
    rng = np.random.default_rng(1)
    kind = KINDS[engine]
    most = passed = 0
    for _ in range(DRAWS):
        values = drawn(rng, kind.fields.values())
        values["tiles"] = int(rng.choice([1, 1, 1, 2, 64]))  # else there is no task
        few = int(rng.integers(1, 3))
        values |= {"connections": few, "loss": 0} if engine != "wg" else {}
        config = SimpleNamespace(**values)
        blocks = int(rng.choice([1, 1, 1 << int(rng.integers(10))]))
        batch = SimpleNamespace(blocks=blocks, sets=int(rng.choice([1, blocks])))
        records = [
            SimpleNamespace(**drawn(rng, kind.record_fields.values()))
            for _ in range(few if engine != "wg" else 0)
        ]
        extents = [*kind.extents(config, batch)]
        extents += [e for r in records for e in kind.record_extents(config, r, batch)]
        fits = all(
            e.valid and e.base + e.count * e.times <= e.memory.size(machine)
            for e in extents
            if e.applies
        )
        tiles = walked(engine, records) if records else 0
        if fits and tiles * machine.lanes <= kind.terms(machine):
            passed += 1
            most = max(most, tiles * machine.lanes if records else blocks * DEPTH)
    assert passed > 100
    assert engine != "wg" or most <= kind.terms(machine)
    assert 2 * most > kind.terms(machine), "a bit more than is needed"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("machine", [MACHINES["default"], ODD], ids=lambda m: m.name)
def test_as_many_terms_as_are_let_pass_have_room(machine, engine):
    """The largest sum has room, of either sign, and with a bit less it would not."""
    kind = KINDS[engine]
    largest = 65504 << 24 if not kind.product else 65504**2 << 48
    width = kind.sum_width(machine)
    assert kind.terms(machine) * largest < 1 << width - 1
    assert kind.terms(machine) * largest >= 1 << width - 2


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
    lockstep = LockstepChain(RTLChain(network, learning, TINY), GoldenChain(network, learning))
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
