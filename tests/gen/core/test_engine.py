"""Each engine as a whole, its memories played by the bench: golden's tensors, bit for bit.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import random
from pathlib import Path
from typing import ClassVar

import cocotb
import numpy as np
import pytest

from backspike.drive.core_driver import task_word
from backspike.gen.core.engine import Engine
from backspike.gen.core.layout import (
    BATCH,
    DESCRIPTOR_WORDS,
    EXTENT,
    RECORD_WORDS,
    spike_bits,
)
from backspike.gen.core.weights import VECTOR_LATENCY
from backspike.gen.machine import DEPTH
from backspike.gen.memory.rows import READ_LATENCY
from backspike.ir.constants import ENGINES
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support import engine_case
from tests.support.coroutines import each_coroutine
from tests.support.engine_case import MACHINE, NETWORK, Case
from tests.support.kinds import KINDS
from tests.support.streams import Bench, Memory, Pulses, StallingMemory, Writes, packed
from tests.support.tiles import by_lanes

LANES = MACHINE.lanes
WORD = (1 << 16) - 1

# cocotb


class EngineBench(Bench):
    """An engine with its queue loaded and everything constant driven."""

    def __init__(self, dut, name: str, seed: int):
        super().__init__(dut, seed)
        self.name = name
        parameters = bench_parameters()
        self.case = case = Case(parameters["kind"], parameters["path"])
        self.buffer = self.rng.randrange(2)
        self.tasks, self.begin = case.plan.queues[name].tasks, 0
        if name == "fp":
            self.begin = len(self.tasks) // 2  # program `both`, whose tasks wait for tokens
        dut.batch.value = packed(BATCH).pack(case.batch)
        dut.extent.value = packed(EXTENT).pack(case.extent)
        dut.buffer.value, dut.carry.value = self.buffer, 0
        keys = case.tensors["keys"]
        words: dict[int, int] = {}
        found = case.plan.descriptors[name]
        for n, (layer, values) in enumerate(found.layers.items()):
            if name == "wg":
                values = values | {"key": int(keys[int(layer)])}
            for field in KINDS[name].fields.values():
                words[n * DESCRIPTOR_WORDS + field.word] = values[field.name]
        behind = MACHINE.layers * DESCRIPTOR_WORDS
        for n, values in enumerate(found.records):
            for field in KINDS[name].record_fields.values():
                words[behind + n * RECORD_WORDS + field.word] = values[field.name]
        self.waits = [task.waits for task in self.tasks[self.begin :]]
        self.memory("queue_tasks", {n: task_word(task) for n, task in enumerate(self.tasks)})
        self.memory("queue_descriptors", words)
        self.counts = dict.fromkeys(ENGINES, 0)  # tasks that the engines have completed
        self.completed = 0
        self.pulses = self.add(Pulses(self, "event", "drain_saturated"))
        self.add(self)

    def memory(self, name: str, rows: dict[int, int]) -> Memory | StallingMemory:
        """A read port; what is not in `rows` holds noise."""
        data = getattr(self.dut, f"{name}__data")

        def read(address: int) -> int:
            row = rows.get(address)
            return self.rng.getrandbits(len(data)) if row is None else row

        address = getattr(self.dut, f"{name}__addr")
        if name.startswith("front_"):
            return self.add(
                StallingMemory(self, address, getattr(self.dut, f"{name}__en"), data, read)
            )
        return self.add(Memory(self, address, data, read, READ_LATENCY))

    def writes(self, name: str) -> Writes:
        return self.add(Writes(self, name))

    def drive(self) -> None:
        """The other engines make progress at random; nobody is told before it is so."""
        for n, name in enumerate(ENGINES):
            if name == self.name:
                self.counts[name] = self.completed
            elif self.rng.random() < 0.02:
                self.counts[name] += 1
            getattr(self.dut, f"queue_counts__{n}").value = self.counts[name]

    def sample(self) -> None:
        completed = int(self.dut.queue_completed.value)
        if completed == self.completed + 1:
            for name, needed in self.waits[self.completed].items():
                got = self.counts[name]
                assert got >= needed, f"task {self.completed} did not wait: {got} of {needed}"
        else:
            assert completed in (self.completed, 0)
        self.completed = completed

    async def run(self) -> None:
        """Rehearses the queue, which must change nothing, and runs it."""
        await self.reset()
        self.dut.queue_begin.value, self.dut.queue_end.value = self.begin, len(self.tasks)
        for dry_run in (1, 0):
            self.dut.queue_start.value, self.dut.queue_dry_run.value = 1, dry_run
            await self.tick()
            self.dut.queue_start.value = 0
            await self.tick()
            await self.until(lambda: not int(self.dut.queue_running.value))
            assert self.completed == len(self.tasks) - self.begin
            if dry_run:
                assert not any(self.pulses.cycles[p] for p in ("event", "drain_saturated"))
        assert not int(self.dut.busy.value)

    def check_saturated(self) -> None:
        saturated = bool(self.pulses.cycles["drain_saturated"])
        assert saturated == self.case.tensors["saturated"][ENGINES.index(self.name)]

    def spikes(self) -> dict[int, int]:
        """Spikes of all layers' sources, as the memory addresses them."""
        tiles: dict[int, int] = {}
        for n, at in enumerate(self.case.plan.layers):
            tiles |= self.case.spike_tiles(self.case.sources(n), at.source_base)
        return self.in_buffer(tiles)

    def in_buffer(self, tiles: dict[int, int]) -> dict[int, int]:
        """The same in the batch's half of the spike memory."""
        return {self.buffer << spike_bits(MACHINE) | unit: tile for unit, tile in tiles.items()}

    def with_noise(self, tiles: dict[int, int], first: int, sources: int) -> dict[int, int]:
        """Noise where no source or no sample is: it must not count."""
        noisy, cut = {}, self.case.plan.cut
        full, partial = cut.extent(engine_case.BATCH)
        for unit, tile in tiles.items():
            at, block = divmod((unit & (1 << spike_bits(MACHINE)) - 1) - first, cut.blocks)
            number, span = divmod(block, cut.spans)
            steps = cut.last_steps if span == cut.spans - 1 else cut.steps
            entries = (1 << steps * cut.samples) - 1
            entries &= WORD if number < full else partial
            for lane in range(LANES):
                known = entries if at * LANES + lane < sources else 0
                tile |= (self.rng.getrandbits(DEPTH) & ~known & WORD) << lane * DEPTH
            noisy[unit] = tile
        return noisy


def same(name: str, got: dict[int, int], want: dict[int, int]) -> None:
    """Every wanted row is there; addresses that are not wanted may hold anything."""
    for address, row in want.items():
        assert address in got, f"{name}: nothing at {address}"
        assert got[address] == row, f"{name} at {address} is {got[address]:#x}, not {row:#x}"


@cocotb.test()
@cocotb.parametrize(seed=[1, 2])
async def fp(dut, seed):
    """The forward engine writes golden's spikes, codes and logits, in the expected events."""
    bench = EngineBench(dut, "fp", seed)
    case = bench.case
    inputs = case.plan.layers[0]
    spikes = bench.in_buffer(case.spike_tiles(case.sources(0), inputs.source_base))
    spikes = bench.with_noise(spikes, inputs.source_base, inputs.sources)
    written = bench.writes("drain_spikes")
    written.rows = spikes  # hidden spikes are read where they are written
    active, codes, logits = map(bench.writes, ("drain_active", "drain_codes", "drain_logits"))
    bench.memory("front_spikes", spikes)
    weights = case.weights("before")

    def row(address: int) -> int:
        return packed_row(weights[address])

    refuse = random.Random(seed).choice([0.0, 0.5])
    bench.add(Memory(bench, dut.front_row__address, dut.front_row__vector, row, VECTOR_LATENCY,
                     (dut.front_row__valid, dut.front_row__grant, refuse)))  # fmt: skip
    await bench.run()

    events = 0
    for n, at in enumerate(case.plan.layers):
        bias = engine_case.BATCH * NETWORK.steps if at.bias else 0
        events += (int(case.sources(n).sum()) + bias) * at.tiles
        if n < len(case.plan.layers) - 1:
            values, fired = case.tensors[f"codes.{n}"], case.tensors[f"spikes.{n}"]
            tiles = bench.in_buffer(case.spike_tiles(fired, at.output_base))
            same(f"spikes.{n}", written.rows, tiles)
            # Padding lanes of codes hold anything; they are compared where neurons are.
            want = case.rows(values | fired << 4, at.output_base, 5)
            for address, bits in want.items():
                tile = (address // DEPTH - at.output_base) // case.plan.cut.blocks
                mask = (1 << 5 * min(LANES, at.size - tile * LANES)) - 1
                assert codes.rows[address] & mask == bits & mask, f"codes.{n} at {address}"
    same("active", active.rows, case.needed())
    cut = case.plan.cut
    for address, bits in case.readout_rows(case.tensors["logits"]).items():
        unit, sample = divmod(address, DEPTH)
        tile, number = divmod(unit, cut.sets)
        lanes = min(LANES, case.plan.layers[-1].size - tile * LANES)
        if sample < cut.samples and number * cut.samples + sample < engine_case.BATCH:
            mask = (1 << 16 * lanes) - 1
            assert logits.rows[address] & mask == bits & mask, f"logits at {address}"
    assert len(bench.pulses.cycles["event"]) == events
    bench.check_saturated()


def packed_row(lanes: list[int]) -> int:
    return sum(bits << 16 * n for n, bits in enumerate(lanes))


@cocotb.test()
@cocotb.parametrize(seed=[1, 2])
async def bp(dut, seed):
    """The backward engine writes golden's gradients and masks, in the expected number of events."""
    bench = EngineBench(dut, "bp", seed)
    case = bench.case
    layers = case.plan.layers
    gradients, masks = bench.writes("drain_gradients"), bench.writes("drain_masks")
    bench.memory("front_gradients", gradients.rows)
    bench.memory("front_masks", masks.rows)
    bench.memory("front_active", case.needed())
    codes: dict[int, int] = {}
    for n, at in enumerate(layers[:-1]):
        values = case.tensors[f"codes.{n}"] | case.tensors[f"spikes.{n}"] << 4
        codes |= case.rows(values, at.output_base, 5)
    bench.memory("drain_codes", codes)
    squared = case.plan.learning.loss == "mse"
    readout = case.tensors["logits" if squared else "error"]
    bench.memory("drain_logits", case.readout_rows(readout))
    half = MACHINE.readout_units * DEPTH * bench.buffer
    bench.memory("drain_labels", {half + n: label for n, label in case.labels().items()})
    weights = case.weights("before")

    def column(address: int) -> int:
        first, neuron = address // LANES * LANES, address % LANES
        return packed_row([weights[first + n][neuron] for n in range(LANES)])

    dut.front_column__grant.value = 1
    bench.add(Memory(bench, dut.front_column__address, dut.front_column__vector, column,
                     VECTOR_LATENCY))  # fmt: skip
    await bench.run()

    events = 0
    for n, at in enumerate(layers):
        g = case.tensors[f"gradients.{n}"]
        same(f"gradients.{n}", gradients.rows, case.rows(g, at.gradient_base, 16))
        tiles = case.spike_tiles((g != 0).astype(np.uint8), at.gradient_base)
        same(f"masks.{n}", masks.rows, tiles)
    needed = case.needed()
    for n, at in enumerate(layers[:-1]):
        after = case.spike_tiles((case.tensors[f"gradients.{n + 1}"] != 0).astype(np.uint8), 0)
        for unit, tile in after.items():
            block = unit % case.plan.cut.blocks
            for own in range(at.tiles):
                mask = needed[at.output_base + own * case.plan.cut.blocks + block]
                events += sum((tile >> 16 * x & mask).bit_count() for x in range(LANES))
    assert len(bench.pulses.cycles["event"]) == events
    bench.check_saturated()


@cocotb.test()
@cocotb.parametrize(seed=[1, 2])
async def wg(dut, seed):
    """The update engine writes golden's weights, each touched row once, in the expected events."""
    bench = EngineBench(dut, "wg", seed)
    case = bench.case
    spikes = bench.spikes()
    inputs = case.plan.layers[0]
    first = case.spike_tiles(case.sources(0), inputs.source_base)
    spikes |= bench.with_noise(bench.in_buffer(first), inputs.source_base, inputs.sources)
    bench.memory("front_spikes", spikes)
    masks: dict[int, int] = {}
    gradients: dict[int, int] = {}
    for n, at in enumerate(case.plan.layers):
        g = case.tensors[f"gradients.{n}"]
        masks |= case.spike_tiles((g != 0).astype(np.uint8), at.gradient_base)
        gradients |= case.rows(g, at.gradient_base, 16)
    bench.memory("front_masks", masks)
    bench.memory("front_gradients", gradients)
    weights = {address: packed_row(lanes) for address, lanes in case.weights("before").items()}
    rows_updated = []

    class Rows(Memory):
        """The row port: a read and a write share an address, and what is written comes before,
        bank by bank."""

        banks: ClassVar[list[int]] = [0] * LANES

        def sample(self) -> None:
            super().sample()
            if int(dut.drain_row_valid.value):
                address = int(dut.drain_row_address.value)
                if int(dut.drain_row_write.value):
                    row = sum(half << 16 * b for b, half in enumerate(self.banks))
                    weights[address] = by_lanes(row, address % LANES, LANES)
                    rows_updated.append(address)
            load, row = int(dut.drain_row_load.value), int(dut.drain_row_data.value)
            for b in range(LANES):
                if load >> b & 1:
                    self.banks[b] = row >> 16 * b & 0xFFFF

    bench.add(Rows(bench, dut.drain_row_address, dut.drain_row_vector,
                   lambda address: weights.get(address, 0), VECTOR_LATENCY))  # fmt: skip
    await bench.run()

    after = {address: packed_row(lanes) for address, lanes in case.weights("weights").items()}
    same("weights", weights, after)
    events, touched = 0, set()
    for n, at in enumerate(case.plan.layers):
        g = case.tensors[f"gradients.{n}"]
        s = case.sources(n)
        if at.bias:
            s = np.concatenate([s, np.ones_like(s[..., :1])], -1)
        for tile in range(at.tiles):
            filled = (g[..., tile * LANES : (tile + 1) * LANES] != 0).any(-1)
            events += int((s * filled[..., None]).sum())
            for k in np.flatnonzero((s * filled[..., None]).any((0, 1))):
                block = at.weights + tile * at.source_tiles
                touched.add(block * LANES + int(k))
    assert len(bench.pulses.cycles["event"]) == events
    assert sorted(rows_updated) == sorted(touched), "each row once, and no other"
    bench.check_saturated()


# Outside


EACH_KIND = pytest.mark.parametrize("kind", ["plain", "extreme"])


def engine(name: str, kind: str, folder: Path):
    """An engine, and the case that its coroutine reads."""
    path = folder / "case.npz"
    engine_case.make(kind, 4, path)
    return Engine(MACHINE, KINDS[name]), f"engine_{name}_bench", {"kind": kind, "path": str(path)}


@each_coroutine(__name__, "fp")
@EACH_KIND
def test_forward(kind, simulated, tmp_path):
    """The coroutine holds on the simulated forward engine, for plain and extreme cases."""
    simulated(lambda: engine("fp", kind, tmp_path))


@each_coroutine(__name__, "bp")
@EACH_KIND
def test_backward(kind, simulated, tmp_path):
    """The coroutine holds on the simulated backward engine, for plain and extreme cases."""
    simulated(lambda: engine("bp", kind, tmp_path))


@each_coroutine(__name__, "wg")
@EACH_KIND
def test_update(kind, simulated, tmp_path):
    """The coroutine holds on the simulated update engine, for plain and extreme cases."""
    simulated(lambda: engine("wg", kind, tmp_path))
