"""Benches of the engines' drains, to run inside a simulation; test_neuron and others make cases.

(A module of its own, since it must not need PyTorch.)
"""

import cocotb

from backspike.gen.core.weights import VECTOR_LATENCY
from backspike.gen.memory.rows import READ_LATENCY
from tests.support.drain_play import LANES, play
from tests.support.streams import Memory, Pulses, Writes
from tests.support.tiles import by_lanes


@cocotb.test()
@cocotb.parametrize(slow=[0.0, 0.7])
async def neurons(dut, slow):
    """The forward drain leaves the case's rows in its memories, at full and at slow pace."""
    await play(dut, 1, slow, (), ("spikes", "active", "codes", "logits"))


@cocotb.test()
@cocotb.parametrize(slow=[0.0, 0.7])
async def gradients(dut, slow):
    """The backward drain leaves the case's rows in its memories, at full and at slow pace."""
    await play(dut, 1, slow, ("codes", "logits", "labels"), ("gradients", "masks"))


class Rows(Memory):
    """The weights' row port: reads and writes share an address, and what is written comes
    before, bank by bank."""

    def __init__(self, bench, weights: dict[int, int]):
        dut = bench.dut
        super().__init__(
            bench, dut.row_address, dut.row_vector, lambda at: weights.get(at, 0), VECTOR_LATENCY
        )
        self.dut, self.weights = dut, weights
        self.written: dict[int, int] = {}
        self.updated = self.writes = 0
        self._banks = [0] * LANES

    def sample(self) -> None:
        super().sample()
        if int(self.dut.row_valid.value):
            address = int(self.dut.row_address.value)
            if int(self.dut.row_write.value):
                assert address not in self.written, f"row {address} is written twice"
                row = sum(half << 16 * b for b, half in enumerate(self._banks))
                self.written[address] = by_lanes(row, address % LANES, LANES)
                self.writes += 1
            else:
                self.updated += 1
        load, data = int(self.dut.row_load.value), int(self.dut.row_data.value)
        for b in range(LANES):
            if load >> b & 1:
                self._banks[b] = data >> 16 * b & 0xFFFF


@cocotb.test()
@cocotb.parametrize(slow=[0.0, 0.7])
async def updates(dut, slow):
    """Every row is read once and written once, or kept as a part, and `rows` tells it."""
    watched = []

    def extra(bench, memories):
        rows = bench.add(Rows(bench, memories.setdefault("weights", {})))
        watched.extend([rows, bench.add(Pulses(bench, "rows"))])
        logs = {"weights": rows.written}
        for name in ("moments", "parts"):
            if not hasattr(dut, f"{name}_read__addr"):
                continue
            kept = memories.setdefault(name, {})
            port = (getattr(dut, f"{name}_read__{part}") for part in ("addr", "data"))
            bench.add(Memory(bench, *port, lambda at, kept=kept: kept.get(at, 0), READ_LATENCY))
            written = bench.add(Writes(bench, f"{name}_write"))
            logs[name] = written.rows
            if name == "parts":
                watched.append(written)
        return logs

    await play(dut, 1, slow, (), (), extra)
    rows, pulses, *kept = watched
    assert rows.updated == rows.writes > 100
    kept = sum(len(written.log) for written in kept)
    assert len(pulses.cycles["rows"]) == rows.updated + kept
