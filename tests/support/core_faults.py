"""Wrong things written to a core, and runs that must be refused for them."""

import numpy as np
import pytest

from backspike.drive.core_driver import BYTES, CoreFaultError
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import DESCRIPTOR_WORDS, RECORD_WORDS, TASK
from backspike.ir.constants import ENGINES
from tests.support.core_runs import NETWORK, check_run, memories
from tests.support.kinds import KINDS
from tests.support.layered import RTLChain, random_batch

LIMIT = 500_000
"""Cycles after which the core is taken to hang."""


def write_batch(backend: RTLChain, rng: np.random.Generator, samples: int) -> None:
    """The next batch's inputs and labels, beside the one that was run forward."""
    spikes, labels = random_batch(rng, NETWORK, samples)
    backend.driver.write_inputs({"input": spikes}, labels, 1)


def run(backend: RTLChain, program: str = "both") -> int:
    """Run a program; returns the cycles that it took beside those counted."""
    before = backend.simulator.cycles
    backend.driver.run(program, forward=1, backward=0, limit=LIMIT)
    return backend.simulator.cycles - before - backend.driver.counters()["total"]


def descriptor(backend: RTLChain, engine: str, layer: int, field: str, value: int) -> None:
    """A field of a layer, or if it has none of that name, of the record of its first connection."""
    if field not in KINDS[engine].fields:
        layers = list(backend.plan.descriptors[engine].layers.values())
        record(backend, engine, layers[layer]["record"], **{field: value})
        return
    base = backend.simulator.registers.window(f"layers_{engine}").base
    word = layer * DESCRIPTOR_WORDS + KINDS[engine].fields[field].word
    backend.simulator.write(base + word * BYTES, value)


def record(backend: RTLChain, engine: str, number: int, **fields: int) -> None:
    base = backend.simulator.registers.window(f"layers_{engine}").base
    first = backend.plan.machine.layers * DESCRIPTOR_WORDS + number * RECORD_WORDS
    for field, value in fields.items():
        word = first + KINDS[engine].record_fields[field].word
        backend.simulator.write(base + word * BYTES, value)


def task(backend: RTLChain, engine: str, position: int, **fields: int) -> None:
    base = backend.simulator.registers.window(f"tasks_{engine}").base
    word = TASK.const({f"wait_{name}": 0 for name in ENGINES} | fields).as_bits()
    for n in range(2):
        at = base + (2 * position + n) * BYTES
        backend.simulator.write(at, word >> 32 * n & 0xFFFF_FFFF)


def batch(backend: RTLChain, **fields: int) -> None:
    """Write these fields of registers `batch` and `time`, and leave the others."""
    port = backend.simulator
    for name in ("batch", "time"):
        register = port.registers.register(name)
        kept = register.unpack(port.read(name))
        given = {field: value for field, value in fields.items() if field in kept}
        if given:
            port.write(name, register.pack(**kept | given))


def refused(backend: RTLChain, fault: Fault, engine: str | None = None, at: int | None = None):
    """A run of all engines is refused for that reason, and nothing has changed by it."""
    before = memories(backend)
    with pytest.raises(CoreFaultError) as raised:
        run(backend)
    assert raised.value.fault == fault
    assert engine is None or raised.value.engine == engine
    assert at is None or raised.value.task == at
    assert memories(backend) == before
    assert not backend.driver.status()["running"]


def mended(backend: RTLChain) -> None:
    """With the plan loaded again, training is right."""
    backend.driver.load_plan()
    check_run(backend)
    assert backend.driver.status()["fault"] == 0
