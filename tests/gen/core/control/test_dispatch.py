"""gen.core.control.dispatch: queues tried and run, tokens, descriptors, and what is refused.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

from dataclasses import dataclass

import cocotb
import pytest

from backspike.gen.core.control.dispatch import Dispatcher
from backspike.gen.core.engines import KINDS
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import (
    BATCH,
    DESCRIPTOR_WORDS,
    TABLE,
    TASK,
)
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, Memory, Pulses, packed
from tests.support.wrapped import Inside, Wrapped

MACHINE = Machine(name="bench", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=256,
                  units=32, spike_units=64, readout_units=16, layers=4, tasks=64)  # fmt: skip
WEIGHT_BLOCKS = MACHINE.weight_rows // MACHINE.lanes
MAX = (1 << 10) - 1

# cocotb


@dataclass(frozen=True)
class Cut:
    """Sets and spans of a batch."""

    sets: int
    spans: int

    @property
    def blocks(self) -> int:
        return self.sets * self.spans

    def port(self) -> int:
        """BATCH."""
        return packed(BATCH).pack(steps=2, last_steps=1, samples=2, sets=self.sets,
                                  spans=self.spans, blocks=self.blocks)  # fmt: skip


ONE, TWO = Cut(1, 1), Cut(1, 2)


def fault_of(engine: str, config: dict[str, int], cut: Cut, tile: int) -> Fault:
    """What is wrong with a task of a layer that there is."""
    blocks, logits = cut.blocks, config["tiles"] * cut.sets

    def beyond(first: int, count: int, limit: int) -> bool:
        return first + count > limit

    tiles = config["tiles"] * blocks
    if engine == "bp":
        if beyond(config["output_base"], tiles, MACHINE.units):
            return Fault.UNITS
        if config["loss"]:
            if logits > MACHINE.readout_units:
                return Fault.UNITS
        else:
            after = config["next_tiles"]
            if not after or beyond(config["next_base"], after * blocks, MACHINE.units):
                return Fault.UNITS
            weights = after * config["next_source_tiles"]
            if config["tiles"] > config["next_source_tiles"] or beyond(
                config["next_weights"], weights, WEIGHT_BLOCKS
            ):
                return Fault.WEIGHTS
    else:
        sources = config["source_tiles"] * blocks
        if not sources or beyond(config["source_base"], sources, MACHINE.spike_units):
            return Fault.UNITS
        if beyond(config["weights"], config["tiles"] * config["source_tiles"], WEIGHT_BLOCKS):
            return Fault.WEIGHTS
        unit = "output_base" if engine == "fp" else "gradient_base"
        if engine == "fp" and config["readout"]:
            if logits > MACHINE.readout_units:
                return Fault.UNITS
        elif beyond(config[unit], tiles, MACHINE.units):
            return Fault.UNITS
    return Fault.TILE if tile >= config["tiles"] else Fault.NONE


class QueueBench(Bench):
    """A dispatcher with its memories; the bench plays the engine and the other queues."""

    def __init__(self, dut, seed: int):
        super().__init__(dut, seed)
        self.engine = bench_parameters()["engine"]
        self.tasks: dict[int, int] = {}
        self.words: dict[int, int] = {}
        self.layers: list[dict[str, int]] = []
        for name, rows in (("tasks", self.tasks), ("descriptors", self.words)):
            port = (getattr(dut, f"{name}__{part}") for part in ("addr", "data"))
            self.add(
                Memory(self, *port, lambda at, rows=rows: rows.get(at, self.rng.getrandbits(32)),
                       READ_LATENCY)
            )  # fmt: skip
        self.pulses = self.add(Pulses(self, "loaded", "waiting"))
        self.config = packed(KINDS[self.engine].config)
        self.table = KINDS[self.engine].table
        self.fault = Fault.NONE
        self.fault_at = 0
        self.add(self)

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        fault = Fault(int(self.dut.fault.value))
        if fault != Fault.NONE:
            assert self.fault == Fault.NONE, "two faults"
            self.fault, self.fault_at = fault, int(self.dut.position.value)

    def load(self, blocks: int, tight: bool) -> None:
        """Random descriptors; tight: about the machine's limits, else well within."""
        rng = self.rng
        limits = {"source_base": MACHINE.spike_units, "weights": WEIGHT_BLOCKS,
                  "next_weights": WEIGHT_BLOCKS}  # fmt: skip
        self.layers = []
        for n in range(MACHINE.layers):
            config = {}
            for field in KINDS[self.engine].fields.values():
                config[field.name] = rng.getrandbits(field.width)
            config |= {"tiles": rng.randint(1, 3), "size": rng.randint(1, 6)}
            for count in ("source_tiles", "next_tiles"):
                config[count] = rng.randint(0 if tight and rng.random() < 0.1 else 1, 3)
            config["sources"] = rng.randint(1, 6)
            wrong = tight and rng.random() < 0.1
            config["next_source_tiles"] = config["tiles"] + (-1 if wrong else rng.randrange(2))
            needs = {"source_base": config["source_tiles"] * blocks,
                     "weights": config["tiles"] * config["source_tiles"],
                     "next_weights": config["next_tiles"] * config["next_source_tiles"],
                     "next_base": config["next_tiles"] * blocks}  # fmt: skip
            for name in ("source_base", "weights", "next_weights", "output_base", "next_base",
                         "gradient_base"):  # fmt: skip
                most = limits.get(name, MACHINE.units) - needs.get(name, config["tiles"] * blocks)
                few = rng.choice([0, 0, 0, 1]) if tight else -rng.randrange(10)
                config[name] = max(0, most + few)
            known = {f.name: config[f.name] for f in KINDS[self.engine].fields.values()}
            self.layers.append(known)
            for field in KINDS[self.engine].fields.values():
                self.words[n * DESCRIPTOR_WORDS + field.word] = known[field.name]

    def queue(self, count: int, waits: int, wrong: float) -> list[dict[str, int]]:
        """Random tasks at addresses 0 and up."""
        rng, shape = self.rng, packed(TASK)
        tasks = []
        layer = 0
        for n in range(count):
            if rng.random() < 0.4:
                layer = rng.randrange(MACHINE.layers)
            bad = rng.random() < wrong
            task = {
                "layer": rng.randrange(MACHINE.layers, 16) if bad and rng.random() < 0.5 else layer,
                "tile": rng.randrange(self.layers[layer]["tiles"] + 2 * bad),
                "wait_first": rng.randint(0, min(MAX, n * waits)),
                "wait_second": rng.randint(0, min(MAX, n * waits)),
            }
            tasks.append(task)
            self.tasks[n] = shape.pack(task)
        return tasks

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
    dut.waits_first.value = dut.waits_second.value = MAX
    found, logits = set(), set()
    for n in range(150):
        sets = bench.rng.randint(1, 8)
        cut = Cut(sets, bench.rng.randint(1, 8 // sets))
        bench.load(cut.blocks, tight=n % 2 == 0)
        tasks = bench.queue(bench.rng.randint(1, 12), 5, 0.1 * (n % 3))
        begin = bench.rng.randint(0, len(tasks))
        await bench.start(begin, len(tasks), True, cut)
        await bench.until(lambda: not int(dut.running.value))
        want, at = Fault.NONE, len(tasks)
        for position in range(begin, len(tasks)):
            task = tasks[position]
            want = Fault.LAYER
            if task["layer"] < MACHINE.layers:
                config = bench.layers[task["layer"]]
                want = fault_of(bench.engine, config, cut, task["tile"])
                if config.get("readout") or config.get("loss"):
                    few = config["tiles"] * cut.sets <= MACHINE.readout_units
                    more = config["tiles"] * cut.blocks > MACHINE.readout_units
                    logits.add((few, more, want == Fault.UNITS))
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
        assert logits >= {(True, True, False), (False, True, True)}, "by set, and not by block"
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
    task = {"layer": 0, "tile": 0, "wait_first": 3, "wait_second": 0}
    bench.tasks[2] = packed(TASK).pack(task)
    dut.waits_first.value = 2
    await bench.start(0, 4, True, ONE)
    await bench.tick(300)
    assert int(dut.running.value)
    assert int(dut.waiting.value)
    assert int(dut.position.value) == 2
    dut.abort.value = 1
    await bench.until(lambda: not int(dut.running.value), 50)
    dut.abort.value = 0
    assert bench.fault == Fault.NONE
    dut.waits_first.value = 3
    await bench.start(0, 4, True, ONE)
    await bench.until(lambda: not int(dut.running.value))
    assert int(dut.completed.value) == 4


class Engine:
    """Takes tiles and finishes them in order, when it likes."""

    def __init__(self, bench: QueueBench):
        self.bench, self.dut = bench, bench.dut
        self.table: dict[str, int] = {}
        self.taken: list[tuple[int, dict[str, int], tuple[int, int]]] = []  # tile, config, counts
        self.finished = 0
        self.counts = [0, 0]

    def drive(self) -> None:
        rng = self.bench.rng
        self._done = self.finished < len(self.taken) and rng.random() < 0.1
        self.dut.done.value = self._done
        self.dut.o__ready.value = rng.random() < 0.3
        self.counts = [min(MAX, count + (rng.random() < 0.05)) for count in self.counts]
        self.dut.waits_first.value, self.dut.waits_second.value = self.counts

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
        if int(dut.o__valid.value) and int(dut.o__ready.value):
            config = self.bench.config.unpack(int(dut.config.value)) | self.table
            taken = int(dut.o__payload.value), config, (self.counts[0], self.counts[1])
            self.taken.append(taken)


@cocotb.test()
async def runs(dut):
    """Tasks in order, each with its layer's descriptor, none before its tokens are there."""
    dut = Inside(dut)
    bench = QueueBench(dut, 4)
    await bench.reset()
    waited = 0
    for _ in range(8):
        bench.load(2, tight=False)
        tasks = bench.queue(20, 3, 0)
        engine = Engine(bench)
        dut.waits_first.value = dut.waits_second.value = 0
        await bench.start(0, len(tasks), False, TWO)
        bench.add(engine)
        before = len(bench.pulses.cycles["waiting"])
        await bench.until(lambda: not int(dut.running.value))
        bench.agents.remove(engine)
        dut.done.value = dut.o__ready.value = 0
        assert engine.finished == len(tasks) == len(engine.taken)
        for task, (tile, config, counts) in zip(tasks, engine.taken, strict=True):
            assert tile == task["tile"]
            assert config == bench.layers[task["layer"]]
            assert counts[0] >= task["wait_first"]
            assert counts[1] >= task["wait_second"]
        waited += len(bench.pulses.cycles["waiting"]) - before
        assert bench.fault == Fault.NONE
    assert waited, "no task had to wait"


# Outside


@each_coroutine(__name__)
@pytest.mark.parametrize("engine", ENGINES)
def test_dispatcher(engine, simulated):
    """The coroutine holds on each engine's simulated dispatcher."""

    def dispatcher():
        component = Wrapped(Dispatcher(MACHINE, KINDS[engine]))
        return component, f"dispatcher_{engine}_bench", {"engine": engine}

    simulated(dispatcher)
