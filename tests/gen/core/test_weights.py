"""gen.core.weights: rows and columns of a skewed memory, against a plain matrix."""

import numpy as np
import pytest
from amaranth.utils import exact_log2

from backspike.gen.core.weights import VECTOR_LATENCY, WeightMemory
from backspike.gen.host.bus import request_layout
from backspike.gen.machine import Machine
from backspike.sim.bench.array_bench import ArrayBench
from tests.support import streams

LANES, SOURCES, TILES, FIRST = 8, 16, 3, 8
"""P; sources, in whole blocks; tiles of neurons; the first row, that of a block."""
MACHINE = Machine(name="bench", lanes=LANES, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=64,
                  units=16, spike_units=16, readout_units=16, layers=2, tasks=16)  # fmt: skip
COUNT = 3000
ALL = (1 << LANES) - 1

pytestmark = pytest.mark.verilator


def packed(vectors: np.ndarray) -> np.ndarray:
    """uint16 (n, P) to ports, uint64 (n, P / 4)."""
    return np.ascontiguousarray(vectors.astype(np.uint16)).view(np.uint64)


@pytest.fixture(scope="module")
def memory():
    return ArrayBench(WeightMemory(MACHINE), "weight_memory")


def rows_of(weights: np.ndarray) -> np.ndarray:
    """(K, N) as rows (TILES * K, P), tile by tile, in lane order."""
    return weights.reshape(SOURCES, TILES, LANES).transpose(1, 0, 2).reshape(-1, LANES)


def fill(memory: ArrayBench, weights: np.ndarray) -> None:
    rows = rows_of(weights)
    at = np.arange(len(rows))
    written = banked(rows, at)
    memory(row__write=late(np.ones(len(rows), int)), row__address=late(FIRST + at),
           row__load=early(np.full(len(rows), ALL)), row__data=early(packed(written)))  # fmt: skip


def late(values: np.ndarray) -> np.ndarray:
    """A cycle later, beside `early`: nothing comes first."""
    return np.pad(values, [(1, 0)] + [(0, 0)] * (values.ndim - 1))


def early(values: np.ndarray) -> np.ndarray:
    return np.pad(values, [(0, 1)] + [(0, 0)] * (values.ndim - 1))


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
        row__address=FIRST + tile * SOURCES + source,
        column__address=FIRST + neuron // LANES * SOURCES + first + neuron % LANES,
    )
    rows = weights.reshape(SOURCES, TILES, LANES)[source, tile]
    columns = weights[first[:, None] + np.arange(LANES), neuron[:, None]]
    for name, want in (("row", rows), ("column", columns)):
        got = out[f"{name}__vector"][VECTOR_LATENCY:]
        np.testing.assert_array_equal(got, packed(want)[:-VECTOR_LATENCY], err_msg=name)


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
    out = memory(row__write=write, row__address=FIRST + at,
                 row__load=np.append(write[1:], 0) * ALL,
                 row__data=np.roll(packed(banked(data, at)), -1, 0))  # fmt: skip
    for cycle in range(cycles - VECTOR_LATENCY):
        if write[cycle]:
            rows[at[cycle]] = data[cycle]
        else:
            got = out["row__vector"][cycle + VECTOR_LATENCY]
            np.testing.assert_array_equal(got, packed(rows[at[cycle]][None])[0], f"cycle {cycle}")


def test_registers_are_loaded_one_by_one(memory):
    """A row that is written is gathered bank by bank."""
    rng = np.random.default_rng(4)
    row = rng.integers(0, 1 << 16, (1, LANES)).astype(np.uint16)
    noise = rng.integers(0, 1 << 64, (LANES + 1, LANES // 4), np.uint64)
    kept = np.repeat(packed(row), LANES + 1, 0)
    for b in range(LANES):  # the others' data are noise
        word, mask = b // 4, np.uint64(0xFFFF << 16 * (b % 4))
        kept[b] = noise[b]
        kept[b, word] = (noise[b, word] & ~mask) | (packed(row)[0, word] & mask)
    address = np.full(LANES + 1, FIRST)
    memory(row__load=early(1 << np.arange(LANES)), row__data=kept, row__address=address,
           row__write=np.arange(LANES + 1) == LANES)  # fmt: skip
    out = memory(row__address=address)["row__vector"][-1:]
    np.testing.assert_array_equal(out, packed(row))


def test_banks_by_the_host(memory):
    """At rest the host reads and writes pairs of banks; the others keep what they hold."""
    rng = np.random.default_rng(3)
    weights = random_weights(rng) & 0x7BFF  # halves
    fill(memory, weights)
    rows = rows_of(weights)
    banks = banked(rows, np.arange(len(rows)))
    count = 200
    at, pair = rng.integers(0, len(banks), count), rng.integers(0, LANES // 2, count)
    data = rng.integers(0, 0x7C00, (count, 2)).astype(np.uint16)
    for a, p, halves in zip(at, pair, data, strict=True):
        banks[a, 2 * p : 2 * p + 2] = halves
    words = data.astype(np.uint64) @ np.array([1, 1 << 16], np.uint64)
    access(memory, 1, (FIRST + at) * (LANES // 2) + pair, words)
    everything = np.arange(len(banks) * (LANES // 2))
    found = access(memory, 0, FIRST * (LANES // 2) + everything, 0 * everything)
    np.testing.assert_array_equal(found.astype(np.uint32), banks.view(np.uint32).ravel())


PACE = VECTOR_LATENCY + 4
"""Cycles from one access of the host to the next, so that they do not overlap."""


def access(memory: ArrayBench, write: int, addresses: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The host's accesses, one after the other; what they answer."""
    layout = streams.packed(request_layout(exact_log2(MACHINE.weight_rows * LANES // 2)))
    requests = [layout.pack(write=write, address=int(a), data=int(w))
                for a, w in zip(addresses, words, strict=True)]  # fmt: skip
    valid = np.arange(len(requests) * PACE) % PACE == 0
    out = memory(
        rest=np.ones(len(valid)), host__request__valid=valid,
        host__request__payload=np.repeat(np.array(requests, np.uint64), PACE),
        host__response__ready=np.ones(len(valid)),
    )  # fmt: skip
    answered = out["host__response__valid"].astype(bool)
    assert answered.sum() == len(requests)
    return out["host__response__payload"][answered] & np.uint64(0xFFFFFFFF)
