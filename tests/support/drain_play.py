"""Blocks of finished sums for a drain: written down outside the simulation, played inside.

A case is a list of runs in JSON; see `Run`. Golden, which needs PyTorch, stays outside.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY
from backspike.sim.bench.cocotb_bench import bench_parameters
from tests.support.batches import Batch, Place
from tests.support.streams import Bench, Memory, Pulses, Writes

LANES = 4


def machine(reuse: int) -> Machine:
    """A small one of that reuse of drain units."""
    return Machine(name="bench", lanes=LANES, fp_reuse=reuse, bp_reuse=reuse, wg_reuse=reuse,
                   weight_rows=1024, units=64, spike_units=64, readout_units=16, layers=2,
                   tasks=16)  # fmt: skip


@dataclass
class Block:
    """One start of the drain: its header, and the sums of each entry, all lanes packed.

    most: cycles that it takes at the most; 0: not checked.
    """

    header: int
    sums: list[int] = field(default_factory=lambda: [0] * DEPTH)
    touched: int = 0
    most: int = 0


@dataclass
class Run:
    """Blocks of one layer and batch. Memories and writes: {port: {address: bits}}.

    table: rows of the engine's table, if it has one. loss: headers come without a start. carry:
    neurons go on with what the run before has left. take, keep: partial sums.
    """

    config: int
    batch: int
    extent: int
    buffer: int
    blocks: list[Block] = field(default_factory=list)
    memories: dict[str, dict[int, int]] = field(default_factory=dict)
    writes: dict[str, dict[int, int]] = field(default_factory=dict)
    done: int = 0
    saturated: bool = False
    table: list[int] = field(default_factory=list)
    loss: bool = False
    carry: int = 0
    take: int = 0
    keep: int = 0


def drain_order(
    batch: Batch, tiles: int, *, reverse: bool = False, turns: bool = False
) -> list[tuple[int, Place]]:
    """(tile, block) in the order of the drain: tile by tile, or with turns all tiles of one span,
    then of the next one."""
    if not turns:
        return [(tile, at) for tile in range(tiles) for at in batch.order(reverse)]
    return [
        (tile, at)
        for span in range(batch.spans)
        for tile in range(tiles)
        for at in batch.order(reverse, span)
    ]


def most_cycles(steps: int, slots: int, recurrence: int) -> int:
    """Cycles that a block takes at the most, with so many slots a step: one more than its steps do,
    unless its last step ends before the next could begin."""
    return steps * max(slots, recurrence) + (slots >= recurrence)


def row_of(values, width: int) -> int:
    """Elements of all lanes side by side; negative ones in two's complement."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << n * width for n, value in enumerate(values))


def tile_of(bits: np.ndarray) -> int:
    """bool (steps, samples, lanes) as a tile: lane n's entries at n * DEPTH."""
    flat = bits.reshape(-1, bits.shape[-1])
    return sum(int(bit) << n * DEPTH + d for (d, n), bit in np.ndenumerate(flat))


def rows_of(numbers: np.ndarray, width: int) -> list[int]:
    """(steps, samples, lanes) as the rows of a block's entries, 0 where there is none."""
    rows = [row_of(lanes, width) for lanes in numbers.reshape(-1, LANES)]
    return rows + [0] * (DEPTH - len(rows))


def save(runs: list[Run], path: Path) -> None:
    path.write_text(json.dumps([asdict(run) for run in runs]))


def load() -> list[Run]:
    """Inside the simulation: the runs of parameter `path`."""

    def by_address(ports: dict) -> dict[str, dict[int, int]]:
        return {port: {int(a): bits for a, bits in rows.items()} for port, rows in ports.items()}

    runs = []
    for fields in json.loads(Path(bench_parameters()["path"]).read_text()):
        run = Run(**fields)
        run.blocks = [Block(**block) for block in fields["blocks"]]
        run.memories, run.writes = by_address(run.memories), by_address(run.writes)
        runs.append(run)
    return runs


class Player:
    """Starts blocks as soon as the drain is not busy, or later, and shows their sums. Of a block
    that waits, header and touched entries are there before, for a cycle at least."""

    def __init__(self, bench: Bench, slow: float):
        self.bench, self.slow, self.dut = bench, slow, bench.dut
        self.todo: list[Block] = []
        self.block = Block(0)
        self._shown: Block | None = None  # which waits since the cycle before
        self._sums = 0
        self.loss = False
        self.begun: list[int] = []  # cycles of the starts
        self.busy: list[int] = []  # cycles
        self._touched = hasattr(self.dut, "touched")

    def drive(self) -> None:
        self.dut.start.value = 0
        self.dut.sums.value = self._sums
        waits = self.todo[0] if self.todo else None
        ready = waits is not None and (self.loss or waits is self._shown)
        self._begin = ready and self.bench.rng.random() >= self.slow
        self._shown = waits
        self.dut.i_headers__payload.value = waits.header if waits is not None else 0
        self.dut.i_headers__valid.value = self.loss and self._begin
        if self._touched:
            self.dut.touched.value = waits.touched if waits is not None else 0

    def respond(self) -> None:
        if self._begin and not self.loss:
            if int(self.dut.busy.value):
                self._begin = False
            else:
                self.dut.start.value = self.dut.i_headers__valid.value = 1

    def sample(self) -> None:
        self._sums = self.block.sums[int(self.dut.entry.value)]  # SUM_LATENCY is 1
        if int(self.dut.busy.value):
            self.busy.append(self.bench.cycle)
        if self._begin and int(self.dut.i_headers__ready.value):
            self.begun.append(self.bench.cycle)
            self.block = self.todo.pop(0)


async def play(
    dut, seed: int, slow: float, ports: tuple[str, ...], writes: tuple[str, ...], extra=None
) -> None:
    """Plays all runs and compares every row that is written, and that no other is, nor one twice.

    ports: read ports; writes: write ports; extra(bench, memories): adds what else there is, and
    returns {port: rows that were written}.
    """
    bench = Bench(dut, seed)
    player = bench.add(Player(bench, slow))
    bench.responders.append(player)
    memories: dict[str, dict[int, int]] = {}
    for name in ports:
        address, data = (getattr(dut, f"{name}__{part}") for part in ("addr", "data"))
        memories[name] = {}

        def read(at: int, rows=memories[name], data=data) -> int:
            row = rows.get(at)
            return bench.rng.getrandbits(len(data)) if row is None else row

        bench.add(Memory(bench, address, data, read, READ_LATENCY))
    watched = [bench.add(Writes(bench, name)) for name in writes]
    logs = {name: log.rows for name, log in zip(writes, watched, strict=True)}
    pulses = bench.add(Pulses(bench, "done", "saturated"))
    logs |= extra(bench, memories) if extra else {}
    await bench.reset()
    for n, run in enumerate(load()):
        dut.config.value = run.config
        for name in ("batch", "extent", "buffer", "carry", "take", "keep"):
            if hasattr(dut, name):
                getattr(dut, name).value = getattr(run, name)
        for row in run.table:
            dut.table.value = row
            await bench.tick()
        if run.table:
            dut.table.value = 0
        for name, rows in memories.items():
            rows.clear()
            rows |= run.memories.get(name, {})
        for rows in logs.values():
            rows.clear()
        for log in watched:
            log.log.clear()
        for cycles in pulses.cycles.values():
            cycles.clear()
        player.begun.clear()
        player.busy.clear()
        player.loss = run.loss
        player.todo = list(run.blocks)
        await bench.until(lambda run=run: len(pulses.cycles["done"]) >= run.done)
        await bench.tick(40)
        for name, want in run.writes.items():
            got = logs[name]
            assert sorted(got) == sorted(want), f"run {n}, {name}: other rows are written"
            for address, bits in want.items():
                assert got[address] == bits, (
                    f"run {n}, {name} at {address}: {got[address]:#x}, not {bits:#x}"
                )
        for name, log in zip(writes, watched, strict=True):
            assert len(log.log) == len(log.rows), f"run {n}, {name}: a row is written twice"
        assert len(pulses.cycles["done"]) == run.done
        assert bool(pulses.cycles["saturated"]) == run.saturated, f"run {n}"
        ends = [*player.begun[1:], bench.cycle]
        for block, begin, end in zip(run.blocks, player.begun, ends, strict=True):
            length = 1 + sum(begin < cycle < end for cycle in player.busy)
            assert not block.most or length <= block.most, f"run {n}: a block takes {length} cycles"
