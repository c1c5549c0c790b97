"""gen.core.control.dispatch: queues tried and run, tokens, descriptors with the records of their
connections, and what is refused.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest

from backspike.gen.core.control.dispatch import Dispatcher
from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    CONNECTIONS,
    DESCRIPTOR_WORDS,
    RECORD_WORDS,
    TABLE,
    TASK,
)
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.coroutines import each_coroutine
from tests.support.kinds import KINDS
from tests.support.layers import MACHINE, Cut, Drawing, Layer, fault_of
from tests.support.streams import Bench, Memory, Pulses, packed
from tests.support.wrapped import Inside, Wrapped

LAYERS = 4
"""Layers that are described; there is room for more."""
MAX = (1 << 10) - 1
ONE, TWO = Cut(1, 1), Cut(1, 2)

# cocotb


class QueueBench(Bench):
    """A dispatcher with its memories; the bench plays the engine and the other queues."""

    def __init__(self, dut, seed: int):
        super().__init__(dut, seed)
        self.engine = bench_parameters()["engine"]
        self.tasks: dict[int, int] = {}
        self.words: dict[int, int] = {}
        self.layers: list[Layer] = []
        for name, rows in (("tasks", self.tasks), ("descriptors", self.words)):
            port = (getattr(dut, f"{name}__{part}") for part in ("addr", "data"))
            self.add(
                Memory(self, *port, lambda at, rows=rows: rows.get(at, self.rng.getrandbits(32)),
                       READ_LATENCY)
            )  # fmt: skip
        self.pulses = self.add(Pulses(self, "loaded", "waiting"))
        self.config = packed(KINDS[self.engine].config)
        self.table = KINDS[self.engine].table
        kind = KINDS[self.engine]
        self.record = packed(kind.record) if kind.record_fields else None
        self.fault = Fault.NONE
        self.fault_at = self.completed = 0
        self.add(self)

    def drive(self) -> None:
        own = getattr(self.dut, f"counts__{ENGINES.index(self.engine)}")
        own.value = self.completed

    def sample(self) -> None:
        self.completed = int(self.dut.completed.value)
        fault = Fault(int(self.dut.fault.value))
        if fault != Fault.NONE:
            assert self.fault == Fault.NONE, "two faults"
            self.fault, self.fault_at = fault, int(self.dut.position.value)

    def load(self, blocks: int, tight: bool) -> None:
        """Random descriptors, see `Drawing`."""
        kind = KINDS[self.engine]
        behind = MACHINE.layers * DESCRIPTOR_WORDS
        self.layers = Drawing(self.rng, self.engine, blocks, tight).layers(LAYERS)
        for n, (config, records) in enumerate(self.layers):
            for field in kind.fields.values():
                self.words[n * DESCRIPTOR_WORDS + field.word] = config[field.name]
            for at, record in enumerate(records, config.get("record", 0)):
                for field in kind.record_fields.values():
                    self.words[behind + at * RECORD_WORDS + field.word] = record[field.name]

    def queue(self, count: int, waits: int, wrong: float, begin: int = 0) -> list[dict[str, int]]:
        """Random tasks at addresses 0 and up, to run from `begin` on."""
        rng, shape = self.rng, packed(TASK)
        tasks = []
        layer = 0
        for n in range(count):
            if rng.random() < 0.4:
                layer = rng.randrange(LAYERS)
            bad = rng.random() < wrong
            task = {
                "layer": rng.randrange(MACHINE.layers, 16) if bad and rng.random() < 0.5 else layer,
                "tile": rng.randrange(self.layers[layer][0]["tiles"] + 2 * bad),
                **{f"wait_{name}": rng.randint(0, min(MAX, n * waits)) for name in ENGINES},
            }
            task[f"wait_{self.engine}"] = rng.randint(0, max(0, n - begin))
            tasks.append(task)
            self.tasks[n] = shape.pack(task)
        return tasks

    def tell(self, counts: dict[str, int] | int) -> None:
        """How much the other engines have completed; of this one the queue says it."""
        for n, name in enumerate(ENGINES):
            port = getattr(self.dut, f"counts__{n}")
            if name != self.engine:
                port.value = counts if isinstance(counts, int) else counts[name]

    async def start(self, begin: int, end: int, dry_run: bool, cut: Cut) -> None:
        self.fault = Fault.NONE
        self.dut.batch.value = cut.port()
        self.dut.begin.value, self.dut.end.value = begin, end
        self.dut.dry_run.value, self.dut.start.value = dry_run, 1
        await self.tick()
        self.dut.start.value = 0
        # The range and the batch are taken with `start`.
        self.dut.begin.value = self.rng.getrandbits(10)
        self.dut.end.value = self.rng.getrandbits(10)
        self.dut.dry_run.value = self.rng.randrange(2)
        await self.tick()


@cocotb.test()
async def dry_runs(dut):
    """Every task is checked, the first fault is told, and the engine is left alone."""
    dut = Inside(dut)
    bench = QueueBench(dut, 1)
    await bench.reset()
    bench.tell(MAX)
    found, logits = set(), set()
    for n in range(800):
        sets = bench.rng.randint(1, 8)
        cut = Cut(sets, bench.rng.randint(1, 8 // sets))
        if n % 5 == 0:
            cut = ONE
        bench.load(cut.blocks, tight=n % 2 == 0)
        count = bench.rng.randint(1, 12)
        begin = bench.rng.randint(0, count)
        tasks = bench.queue(count, 5, 0.1 * (n % 3), begin)
        await bench.start(begin, len(tasks), True, cut)
        await bench.until(lambda: not int(dut.running.value))
        want, at = Fault.NONE, len(tasks)
        for position in range(begin, len(tasks)):
            task = tasks[position]
            want = Fault.LAYER
            if task["layer"] < MACHINE.layers:
                config, _ = layer = bench.layers[task["layer"]]
                want = fault_of(bench.engine, layer, cut, task)
                if config.get("readout") or config.get("loss"):
                    first = config["logits" if bench.engine == "bp" else "output_base"]
                    few = first + config["tiles"] * cut.sets <= MACHINE.readout_units
                    more = first + config["tiles"] * cut.blocks > MACHINE.readout_units
                    every = config.get("every", 0)
                    logits.add((few, more, every, want == Fault.UNITS))
            if want != Fault.NONE:
                at = position
                break
        assert bench.fault == want, f"run {n}: {bench.fault}, not {want}"
        if want == Fault.NONE:
            assert int(dut.completed.value) == len(tasks) - begin
        else:
            assert bench.fault_at == at
        assert not int(dut.busy.value) or want != Fault.NONE
        assert not int(dut.o__valid.value)
        found.add(want)
    if bench.engine != "wg":
        by_set = {(True, True, 0, False), (False, True, 0, True)}
        assert logits >= by_set, "by set, and not by block"
        assert Fault.TERMS in found
    if bench.engine == "fp":
        assert logits >= {(True, True, 1, True), (True, False, 1, False)}, "every step's by block"
    assert found >= {Fault.NONE, Fault.LAYER, Fault.TILE, Fault.UNITS, Fault.WEIGHTS}


@cocotb.test()
async def ranges(dut):
    """A range that is backwards or beyond the memory is refused; an empty one is done at once."""
    dut = Inside(dut)
    bench = QueueBench(dut, 2)
    await bench.reset()
    bench.load(1, tight=False)
    for begin, end, want in (
        (1, 0, Fault.QUEUE),
        (0, MACHINE.tasks + 1, Fault.QUEUE),
        (MACHINE.tasks + 1, MACHINE.tasks + 1, Fault.QUEUE),
        (2047, 2047, Fault.QUEUE),
        (0, 0, Fault.NONE),
        (MACHINE.tasks, MACHINE.tasks, Fault.NONE),
    ):
        await bench.start(begin, end, True, ONE)
        await bench.until(lambda: not int(dut.running.value), 50)
        assert bench.fault == want, f"{begin} to {end}"


@cocotb.test()
async def aborted(dut):
    """A dry run that waits for ever is stuck, and ends when told to; the next one runs."""
    dut = Inside(dut)
    bench = QueueBench(dut, 3)
    await bench.reset()
    bench.load(1, tight=False)
    bench.queue(4, 0, 0)
    other = next(name for name in ENGINES if name != bench.engine)
    bench.tasks[2] = packed(TASK).pack({f"wait_{other}": 3})
    bench.tell(dict.fromkeys(ENGINES, 2))
    await bench.start(0, 4, True, ONE)
    await bench.tick(2000)
    assert int(dut.running.value)
    assert int(dut.waiting.value)
    assert int(dut.position.value) == 2
    dut.abort.value = 1
    await bench.until(lambda: not int(dut.running.value), 50)
    dut.abort.value = 0
    assert bench.fault == Fault.NONE
    bench.tell(3)
    await bench.start(0, 4, True, ONE)
    await bench.until(lambda: not int(dut.running.value))
    assert int(dut.completed.value) == 4


class Engine:
    """Takes tiles and finishes them in order, when it likes; asks for connections all the time."""

    def __init__(self, bench: QueueBench, tasks: list[dict[str, int]]):
        self.bench, self.dut, self.tasks = bench, bench.dut, tasks
        self.table: dict[str, int] = {}
        self.taken: list[tuple[int, dict[str, int], dict[str, int]]] = []  # tile, config, counts
        self.finished = self.records = 0
        self.counts = dict.fromkeys(ENGINES, 0)
        self._asked = 0

    def drive(self) -> None:
        rng = self.bench.rng
        self._done = self.finished < len(self.taken) and rng.random() < 0.1
        self.dut.done.value = self._done
        self.dut.o__ready.value = rng.random() < 0.3
        self.counts = {n: min(MAX, c + (rng.random() < 0.05)) for n, c in self.counts.items()}
        self.counts[self.bench.engine] = self.bench.completed
        self.bench.tell(self.counts)
        if self.bench.record:
            self._asked = rng.randrange(CONNECTIONS)
            self.dut.connection.value = self._asked

    def sample(self) -> None:
        dut = self.dut
        assert int(dut.completed.value) == self.finished
        assert int(dut.busy.value) == (self.finished < len(self.taken))
        if int(dut.loaded.value):
            assert self.finished == len(self.taken), "a layer was loaded under a task"
        self.finished += self._done
        if self.bench.table:
            row = packed(TABLE).unpack(int(dut.table.value))
            if row["write"]:
                assert self.finished == len(self.taken), "a table was loaded under a task"
                self.table[self.bench.table[row["index"]]] = row["half"]
        offered = int(dut.o__valid.value)
        if self.bench.record and (offered or self.finished < len(self.taken)):
            self.check_record(self.tasks[len(self.taken) - (not offered)])
        if offered and int(dut.o__ready.value):
            config = self.bench.config.unpack(int(dut.config.value))
            if not any(config[flag] for flag in KINDS[self.bench.engine].bare):
                config |= self.table  # else nobody looks at it
            tile = packed(WORK).unpack(int(dut.o__payload.value))["tile"]
            self.taken.append((tile, config, self.counts))

    def check_record(self, task: dict[str, int]) -> None:
        """The record of the connection that is asked for, of the layer in hand."""
        _, records = self.bench.layers[task["layer"]]
        if self.bench.record and self._asked < len(records):
            got = self.bench.record.unpack(int(self.dut.record.value))
            assert got == records[self._asked], f"connection {self._asked}"
            self.records += 1


@cocotb.test()
async def runs(dut):
    """Tasks in order, each with its layer's descriptor, none before its tokens are there."""
    dut = Inside(dut)
    bench = QueueBench(dut, 4)
    await bench.reset()
    waited = bare = full = 0
    for _ in range(8):
        bench.load(2, tight=False)
        tasks = bench.queue(20, 3, 0)
        engine = Engine(bench, tasks)
        bench.tell(0)
        await bench.start(0, len(tasks), False, TWO)
        bench.add(engine)
        before = len(bench.pulses.cycles["waiting"])
        await bench.until(lambda: not int(dut.running.value))
        bench.agents.remove(engine)
        dut.done.value = dut.o__ready.value = 0
        assert engine.finished == len(tasks) == len(engine.taken)
        for task, (tile, config, counts) in zip(tasks, engine.taken, strict=True):
            assert tile == task["tile"]
            want = bench.layers[task["layer"]][0]
            assert config == {name: want[name] for name in config}
            bare += len(config) < len(want)
            full += len(config) == len(want)
            assert all(counts[name] >= task[f"wait_{name}"] for name in ENGINES)
        assert engine.records > 10 or not bench.record
        waited += len(bench.pulses.cycles["waiting"]) - before
        assert bench.fault == Fault.NONE
    assert waited, "no task had to wait"
    assert full > 10
    assert bare > 10 or not bench.table


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("engine", ENGINES)
def test_dispatcher(engine, simulated):
    """The coroutine holds on each engine's simulated dispatcher."""

    def dispatcher():
        component = Wrapped(Dispatcher(MACHINE, KINDS[engine]))
        return component, f"dispatcher_{engine}_bench", {"engine": engine}

    simulated(dispatcher)
