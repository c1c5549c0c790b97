"""gen.core.weights: rows and columns of a skewed memory, against a plain matrix."""

import numpy as np
import pytest

from backspike.gen.core.weights import COLUMN_LATENCY, ROW_LATENCY, WeightMemory
from backspike.gen.machine import Machine
from backspike.sim.bench.array_bench import ArrayBench

LANES, SOURCES, TILES, FIRST = 8, 19, 3, 5
MACHINE = Machine(name="bench", lanes=LANES, fp_share=2, bp_share=2, wg_share=2, weight_rows=64,
                  units=16, spike_units=16, readout_units=16, layers=2, tasks=16)  # fmt: skip
COUNT = 3000

pytestmark = pytest.mark.verilator


def packed(vectors: np.ndarray) -> np.ndarray:
    """uint16 (n, P) to ports, uint64 (n, P / 4)."""
    return np.ascontiguousarray(vectors.astype(np.uint16)).view(np.uint64)


@pytest.fixture(scope="module")
def memory():
    return ArrayBench(WeightMemory(MACHINE), "weight_memory")


def rows_of(weights: np.ndarray) -> np.ndarray:
    """(K, N) as row tiles (K * TILES, P), in lane order."""
    return weights.reshape(SOURCES * TILES, LANES)


def fill(memory: ArrayBench, weights: np.ndarray) -> None:
    rows = rows_of(weights)
    at = np.arange(len(rows))
    memory(row__write=np.full(len(rows), (1 << LANES) - 1), row__address=FIRST + at,
           row__data=packed(banked(rows, at // TILES)))  # fmt: skip


def banked(rows: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Rows by lanes as rows by banks: lane j of source k in bank (k + j) mod P."""
    return np.stack([np.roll(row, k % LANES) for row, k in zip(rows, sources, strict=True)])


def random_weights(rng) -> np.ndarray:
    return rng.integers(0, 1 << 16, (SOURCES, TILES * LANES)).astype(np.uint16)


def test_rows_and_columns(memory):
    """Both at once, every cycle, in any order."""
    rng = np.random.default_rng(1)
    weights = random_weights(rng)
    fill(memory, weights)
    source, tile = rng.integers(0, SOURCES, COUNT), rng.integers(0, TILES, COUNT)
    neuron = rng.integers(0, TILES * LANES, COUNT)
    first = rng.integers(0, SOURCES // LANES, COUNT) * LANES
    out = memory(
        row__address=FIRST + source * TILES + tile,
        row__turn=source % LANES,
        column__address=FIRST + first * TILES + neuron // LANES,
        column__stride=np.full(COUNT, TILES),
        column__turn=neuron % LANES,
    )
    rows = weights.reshape(SOURCES, TILES, LANES)[source, tile]
    columns = weights[first[:, None] + np.arange(LANES), neuron[:, None]]
    for name, latency, want in (("row", ROW_LATENCY, rows), ("column", COLUMN_LATENCY, columns)):
        got = out[f"{name}__vector"][latency:]
        np.testing.assert_array_equal(got, packed(want)[:-latency], err_msg=name)


def test_update_in_place(memory):
    """Rows are read, and written in other cycles, as the weight-gradient engine does."""
    rng = np.random.default_rng(2)
    weights = random_weights(rng)
    fill(memory, weights)
    rows = rows_of(weights).copy()
    cycles = 2000
    write = np.arange(cycles) % 2 == 1
    at = rng.integers(0, len(rows), cycles)
    data = rng.integers(0, 1 << 16, (cycles, LANES)).astype(np.uint16)
    source = at // TILES
    out = memory(row__write=write * ((1 << LANES) - 1), row__address=FIRST + at,
                 row__turn=source % LANES, row__data=packed(banked(data, source)))  # fmt: skip
    for cycle in range(cycles - ROW_LATENCY):
        if write[cycle]:
            rows[at[cycle]] = data[cycle]
        else:
            got = out["row__vector"][cycle + ROW_LATENCY]
            np.testing.assert_array_equal(got, packed(rows[at[cycle]][None])[0], f"cycle {cycle}")


def test_banks_one_by_one(memory):
    """The host writes pairs of banks, unturned; the others keep what they hold."""
    rng = np.random.default_rng(3)
    weights = random_weights(rng)
    fill(memory, weights)
    rows = rows_of(weights)
    banks = banked(rows, np.arange(len(rows)) // TILES)
    count = 200
    at, pair = rng.integers(0, len(banks), count), rng.integers(0, LANES // 2, count)
    data = rng.integers(0, 1 << 16, (count, LANES)).astype(np.uint16)
    memory(row__write=3 << 2 * pair, row__address=FIRST + at, row__turn=np.zeros(count, int),
           row__data=packed(data))  # fmt: skip
    for a, p, row in zip(at, pair, data, strict=True):
        banks[a, 2 * p : 2 * p + 2] = row[2 * p : 2 * p + 2]
    # Unturned rows are the banks as they lie.
    everything = np.arange(len(banks) + ROW_LATENCY) % len(banks)
    out = memory(row__address=FIRST + everything)["row__vector"][ROW_LATENCY:]
    np.testing.assert_array_equal(out, packed(banks))
