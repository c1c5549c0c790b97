"""What the core refuses to run: every fault, provoked through the host port.

A refused run changes nothing in any memory, and once the cause is mended the core trains as ever.
"""

import dataclasses

import numpy as np
import pytest

from backspike.drive.core_driver import CoreFaultError
from backspike.gen.core.faults import Fault
from backspike.ir.constants import ENGINES
from tests.support.core_faults import (
    LIMIT,
    batch,
    descriptor,
    mended,
    record,
    refused,
    run,
    task,
    write_batch,
)
from tests.support.core_runs import LEARNING, NETWORK, memories, random_weights, tiny_backend
from tests.support.kinds import KINDS
from tests.support.layered import random_batch

pytestmark = pytest.mark.verilator

OVERHEAD = 150
"""Cycles of the host port from doorbell to the end of a run being seen, at the most."""


@pytest.fixture
def backend():
    """Trained up to where each program could run."""
    backend = tiny_backend()
    rng = np.random.default_rng(1)
    backend.load_weights(random_weights(rng))
    backend.forward(*random_batch(rng, NETWORK, LEARNING.batch))
    write_batch(backend, rng, LEARNING.batch)
    yield backend
    backend.close()


@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 0, "last_steps": 0},
        {"samples": 0},
        {"sets": 0},
        {"spans": 0},
        {"last_steps": 0},
        {"last_steps": 3},
        {"steps": 5, "last_steps": 5, "samples": 4},
        {"steps": 17, "samples": 1},
        {"steps": 31, "last_steps": 31, "samples": 31},
        {"sets": 128, "spans": 64},
        {"sets": 8191, "spans": 8191},
    ],
)
def test_batch(backend, shape):
    """A batch that is empty, larger than a block, or of more blocks than can be counted is refused
    and changes nothing; so is one whose last span is empty or longer than the others."""
    batch(backend, **shape)
    refused(backend, Fault.BATCH)
    mended(backend)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("begin", "end"), [(1, 0), (0, 257), (256, 257), (2047, 2047)])
def test_queue(backend, engine, begin, end):
    """A queue outside the task memory is refused and names its engine."""
    queues = {name: dict(queue._asdict()) for name, queue in backend.plan.programs["both"].items()}
    queues[engine] = {"begin": begin, "end": end}
    before = memories(backend)
    for name, queue in queues.items():
        register = backend.simulator.registers.register(f"queue_{name}")
        backend.simulator.write(f"queue_{name}", register.pack(**queue))
    backend.simulator.write("start", 1)
    backend.simulator.wait("status", 1, 0, limit=100_000)
    status = backend.driver.status()
    assert status["fault"] == Fault.QUEUE.value
    assert ENGINES[status["fault_engine"]] == engine
    assert memories(backend) == before
    mended(backend)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", [4, 15])
def test_layer(backend, engine, layer):
    """A task of a layer that has no descriptor is refused at its position."""
    last = backend.plan.programs["both"][engine].end - 1
    task(backend, engine, last, layer=layer, tile=0)
    refused(backend, Fault.LAYER, engine, last)
    mended(backend)


@pytest.mark.parametrize("engine", ENGINES)
def test_tile(backend, engine):
    """A task beyond its layer's tiles is refused; the last tile is not."""
    first = backend.plan.programs["both"][engine].begin
    layer = backend.plan.queues[engine].tasks[first].layer
    tiles = backend.plan.layers[layer].tiles
    for tile in (tiles, 255):
        task(backend, engine, first, layer=layer, tile=tile)
        refused(backend, Fault.TILE, engine, first)
    # The layer's own last tile is sound.
    task(backend, engine, first, layer=layer, tile=tiles - 1)
    run(backend)
    mended(backend)


UNITS = [
    ("fp", 0, "source_base", 256),
    ("fp", 0, "source_base", 8191),
    ("fp", 0, "source_tiles", 100),
    ("fp", 0, "source_tiles", 0),
    ("fp", 0, "output_base", 128),
    ("fp", 1, "output_base", 120),
    ("fp", 2, "output_base", 62),
    ("fp", 1, "connections", 0),
    ("fp", 1, "connections", 17),
    ("fp", 0, "connections", 31),
    ("bp", 0, "output_base", 126),
    ("bp", 0, "next_base", 126),
    ("bp", 0, "next_tiles", 0),
    ("bp", 1, "next_tiles", 60),
    ("bp", 2, "tiles", 43),
    ("bp", 2, "logits", 62),
    ("bp", 1, "connections", 0),
    ("bp", 0, "connections", 17),
    ("wg", 0, "source_base", 250),
    ("wg", 1, "source_tiles", 100),
    ("wg", 2, "gradient_base", 127),
]


@pytest.mark.parametrize(("engine", "layer", "field", "value"), UNITS)
def test_units(backend, engine, layer, field, value):
    """Descriptors whose tiles leave the memories are refused."""
    descriptor(backend, engine, layer, field, value)
    refused(backend, Fault.UNITS, engine)
    mended(backend)


@pytest.mark.parametrize("engine", ["fp", "bp"])
def test_logits(backend, engine):
    """Logits lie by tile and set: as many blocks in more sets take more of their memory."""
    descriptor(backend, engine, 2, "tiles", 22)
    run(backend)
    batch(backend, sets=3, spans=1)
    refused(backend, Fault.UNITS, engine)
    mended(backend)


def test_logits_of_every_step(backend):
    """They lie by block: those of a layer may be too many, of which those of the last step fit."""
    descriptor(backend, "fp", 2, "tiles", 22)
    run(backend)
    descriptor(backend, "fp", 2, "every", 1)
    refused(backend, Fault.UNITS, "fp")
    mended(backend)


def test_diagonal(backend):
    """Of a diagonal connection the sources are the layer's own tiles, and the weights one block."""
    record(backend, "fp", 0, diagonal=1, weights=1023, source_tiles=511)
    run(backend)
    record(backend, "fp", 0, weights=1024)
    refused(backend, Fault.WEIGHTS, "fp")
    tiles = backend.plan.layers[0].tiles * backend.plan.cut.blocks
    record(backend, "fp", 0, weights=0, source_base=256 - tiles)
    run(backend)
    record(backend, "fp", 0, source_base=257 - tiles)
    refused(backend, Fault.UNITS, "fp")
    mended(backend)


@pytest.mark.parametrize(
    ("engine", "most", "fields"),
    [
        ("fp", 256, {"source_base": 0, "weights": 0}),
        ("bp", 128, {"next_base": 0, "next_weights": 0, "next_source_tiles": 5}),
    ],
)
def test_terms(backend, engine, most, fields):
    """Connections that each fit bring more sources than a sum has room for; as many as there is
    room for are run."""
    counted = next(iter(KINDS[engine].record_fields))
    few = most // 4
    for n in range(4):
        record(backend, engine, n, **{counted: few + (n == 0), "diagonal": 0}, **fields)
    descriptor(backend, engine, 0, "record", 0)
    descriptor(backend, engine, 0, "connections", 4)
    refused(backend, Fault.TERMS, engine)
    record(backend, engine, 0, **{counted: few})
    run(backend)
    mended(backend)


@pytest.mark.parametrize("engine", ENGINES)
def test_place(backend, engine):
    """What neurons keep lies within the places, with one for each set if sets keep their own."""
    first = backend.plan.programs["both"][engine].begin
    layer = backend.plan.queues[engine].tasks[first].layer
    last = backend.plan.machine.states - 1
    for place in (last + 1, 1023):
        task(backend, engine, first, layer=layer, place=place)
        refused(backend, Fault.PLACE, engine, first)
    for keep in (0, 1):
        task(backend, engine, first, layer=layer, place=last, keep=keep)
        run(backend)
    batch(backend, sets=2, spans=1)
    refused(backend, Fault.PLACE, engine, first)
    mended(backend)


@pytest.mark.parametrize("engine", ENGINES)
def test_loop(backend, engine):
    """A loop must begin before it ends, end before another begins, and end at all."""
    begin, end = backend.plan.programs["both"][engine]
    layer = backend.plan.queues[engine].tasks[begin].layer
    task(backend, engine, begin, layer=layer, again=1)
    refused(backend, Fault.LOOP, engine, begin)
    task(backend, engine, begin, layer=layer, loop=1)
    refused(backend, Fault.LOOP, engine, end)
    task(backend, engine, begin + 1, layer=layer, loop=1)
    refused(backend, Fault.LOOP, engine, begin + 1)
    task(backend, engine, begin + 1, layer=layer, again=1)
    run(backend)
    mended(backend)


WEIGHTS = [
    ("fp", 0, "weights", 1020),
    ("fp", 2, "weights", 65535),
    ("bp", 0, "next_weights", 1023),
    ("bp", 0, "next_source_tiles", 1),
    ("bp", 1, "next_source_tiles", 511),
    ("wg", 0, "weights", 1010),
]


@pytest.mark.parametrize(("engine", "layer", "field", "value"), WEIGHTS)
def test_weights(backend, engine, layer, field, value):
    """Descriptors whose weight rows leave the memory are refused."""
    descriptor(backend, engine, layer, field, value)
    refused(backend, Fault.WEIGHTS, engine)
    mended(backend)


def test_deadlock(backend):
    """fp waits for more of wg than there is; then fp and wg wait for each other."""
    programs, queues = backend.plan.programs["both"], backend.plan.queues
    first = programs["fp"].begin
    head = queues["fp"].tasks[first]
    task(backend, "fp", first, layer=head.layer, tile=head.tile,
         wait_wg=programs["wg"].end + 1)  # fmt: skip
    refused(backend, Fault.DEADLOCK, "fp", first)
    mended(backend)
    task(backend, "fp", first, layer=head.layer, tile=head.tile, wait_wg=1)
    head = queues["wg"].tasks[0]
    task(backend, "wg", 0, layer=head.layer, tile=head.tile, wait_fp=1)
    refused(backend, Fault.DEADLOCK)
    task(backend, "wg", 0, layer=head.layer, tile=head.tile, wait_bp=2**10 - 1)
    refused(backend, Fault.DEADLOCK)
    mended(backend)


def test_deadlock_in_a_loop(backend):
    """Tasks of a loop are completed when its last span is: within it nobody can wait for them."""
    programs, queues = backend.plan.programs["both"], backend.plan.queues
    first = programs["fp"].begin
    one = {"layer": queues["fp"].tasks[first].layer, "step": 1}
    task(backend, "fp", first, **one, loop=1)
    task(backend, "fp", first + 1, **one, tile=1, again=1, wait_fp=1)
    refused(backend, Fault.DEADLOCK, "fp", first + 1)
    # Nor can the loop wait for an engine that waits for it.
    task(backend, "fp", first + 1, **one, tile=1, again=1, wait_bp=1)
    head = queues["bp"].tasks[0]
    task(backend, "bp", 0, layer=head.layer, tile=head.tile, wait_fp=1)
    refused(backend, Fault.DEADLOCK)
    task(backend, "bp", 0, layer=head.layer, tile=head.tile)
    run(backend)
    mended(backend)


def test_a_run_is_tried_unless_nothing_has_changed(backend):
    """Seen by the cycles that a run takes beside its own."""
    tasks = sum(len(queue.tasks) for queue in backend.plan.queues.values())
    assert run(backend) > OVERHEAD + tasks
    assert run(backend) < OVERHEAD
    # Another batch's extent and buffer change nothing that is tried.
    write_batch(backend, np.random.default_rng(2), 4)
    assert run(backend) < OVERHEAD
    assert run(backend, "forward") > OVERHEAD
    assert run(backend) > OVERHEAD
    descriptor(backend, "wg", 0, "key", 7)
    assert run(backend) > OVERHEAD
    assert run(backend) < OVERHEAD


CHANGES = {
    "tasks": (Fault.TILE, lambda b: task(b, "wg", 0, layer=2, tile=200)),
    "descriptors": (Fault.WEIGHTS, lambda b: descriptor(b, "bp", 0, "next_weights", 1023)),
    "sets": (Fault.UNITS, lambda b: batch(b, sets=60)),
    "spans": (Fault.UNITS, lambda b: batch(b, spans=180)),
    "steps": (Fault.BATCH, lambda b: batch(b, last_steps=3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_a_good_run_is_tried(backend, change):
    """A wrong change after a sound run is found before the next run, each time."""
    run(backend)
    fault, make = CHANGES[change]
    make(backend)
    refused(backend, fault)
    refused(backend, fault)  # and stays refused
    mended(backend)


@pytest.mark.parametrize("fault", [Fault.TILE, Fault.BATCH])
def test_a_run_is_tried_after_a_fault(backend, fault):
    """After a fault the next run checks its queues again, and the one after does not."""
    run(backend)
    if fault == Fault.TILE:
        task(backend, "wg", 0, layer=2, tile=200)
    else:
        batch(backend, steps=5, samples=4)
    refused(backend, fault)
    backend.driver.load_plan()
    assert run(backend) > OVERHEAD
    assert run(backend) < OVERHEAD


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_is_written_makes_the_core_hang(backend, seed):
    """Random words in descriptors, tasks and registers: a run ends, or is refused."""
    rng = np.random.default_rng(seed)
    plan = backend.plan
    ends = set()
    for _ in range(60):
        backend.driver.load_plan()
        for _ in range(int(rng.integers(1, 4))):
            engine = ENGINES[rng.integers(3)]
            kind = rng.integers(8)
            if kind < 5:
                own = list(KINDS[engine].fields.values())[:14]
                field = rng.choice([*own, *KINDS[engine].record_fields.values()])
                value = int(rng.choice([0, 1, 2**field.width - 1, rng.integers(2**field.width),
                                        *rng.integers(0, 12, 3)]))  # fmt: skip
                layer = int(rng.integers(len(plan.layers) - (engine == "bp")))
                descriptor(backend, engine, layer, field.name, value % 2**field.width)
            elif kind < 7:
                at = int(rng.integers(len(plan.queues[engine].tasks)))
                old = plan.queues[engine].tasks[at]
                few = {name: int(rng.integers(6)) for name in ("layer", "tile", "wait_fp")}
                flags = {name: int(rng.integers(2))
                         for name in ("keep", "step", "loop", "again", "fence")}  # fmt: skip
                few |= {"place": int(rng.choice([0, 15, 16])), **flags}
                task(backend, engine, at, **{"layer": old.layer, "tile": old.tile, **few})
                if flags["loop"] and at + 1 < len(plan.queues[engine].tasks):
                    task(backend, engine, at + 1, layer=old.layer, again=1)
            else:
                steps = int(rng.integers(1, 17))
                batch(backend, steps=steps, samples=int(rng.integers(0, 18 // steps)),
                      last_steps=int(rng.integers(min(steps + 2, 32))),
                      sets=int(rng.integers(5)), spans=int(rng.integers(5)))  # fmt: skip
        try:
            backend.driver.run("both", forward=1, backward=0, limit=LIMIT)
            ends.add(Fault.NONE)
        except CoreFaultError as error:
            ends.add(error.fault)
    assert len(ends) >= 5
    mended(backend)


def test_a_run_of_nothing(backend):
    """An empty queue for every engine ends at once."""
    nothing = {name: type(queue)(3, 3) for name, queue in backend.plan.programs["both"].items()}
    programs = {**backend.plan.programs, "nothing": nothing}
    backend.driver.plan = dataclasses.replace(backend.plan, programs=programs)
    before = memories(backend)
    run(backend, "nothing")
    assert backend.driver.counters()["total"] < 10
    assert memories(backend) == before
