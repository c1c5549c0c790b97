"""gen.memory.host: the host's window at rest, the engines' ports otherwise."""

import numpy as np
import pytest

from backspike.gen.memory.host import HostMemory
from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.memory.window import choosing, words_of
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.host_traffic import IDLE, check_answers, ports, random_accesses

DEPTH = 16
MEMORIES = {
    "halves": {"width": 64, "readers": 2, "halves": True},
    "words": {"width": 32},
    "tables": {"width": 32, "host_only": True},
    "read-only": {"width": 64, "readers": 2, "writable": False},
    "shown": {"width": 40, "writable": False, "shown": (5, 8)},
}


def is_half(bits: int) -> bool:
    return bits & 0x7C00 != 0x7C00 and bits != 0x8000


def shown(row: int, parameters: dict) -> int:
    """The row as the window shows it."""
    narrow, wide = parameters.get("shown", (parameters["width"], parameters["width"]))
    lanes = parameters["width"] // narrow
    return sum((row >> n * narrow & (1 << narrow) - 1) << n * wide for n in range(lanes))


def engines(parameters: dict, en, addr, data) -> dict[str, np.ndarray]:
    """The engines' write port, if there is one."""
    if parameters.get("host_only"):
        return {}
    return {"write__en": en, "write__addr": addr, "write__data": data}


@pytest.mark.verilator
@pytest.mark.parametrize("kind", MEMORIES)
def test_host_and_engines_take_turns(kind):
    """Host and engines read what either wrote, as plain rows have it; non-halves are refused."""
    parameters = MEMORIES[kind]
    rng = np.random.default_rng(1)
    width = parameters["width"]
    narrow, wide = parameters.get("shown", (width, width))
    words = words_of(width // narrow * wide)
    readers, writable = parameters.get("readers", 1), parameters.get("writable", True)
    # Where host and engines write, a register lies between.
    late = int(writable and not parameters.get("host_only", False))
    memory = ArrayBench(
        HostMemory(depth=DEPTH, **parameters), f"host_memory_{kind.replace('-', '_')}"
    )
    rows = [0] * DEPTH

    for _ in range(4):
        # The engines' turn: writes and reads on all ports, never of one row in one cycle.
        cycles = 300
        en = rng.random(cycles) < 0.5
        to = rng.integers(0, DEPTH, cycles)
        data = rng.integers(0, 1 << min(width, 63), cycles).astype(np.uint64)
        if parameters.get("halves"):
            data &= np.uint64(0x7BFF_7BFF_7BFF_7BFF)
        if parameters.get("host_only"):
            en[:] = False
        start = 3 + READ_LATENCY  # the host's reads must be over
        en[:start] = False
        en[-READ_LATENCY - late :] = False
        written, writes = np.roll(to, late), np.roll(en, late)
        at = {
            f"read{n}": (written + rng.integers(1, DEPTH, cycles)) % DEPTH for n in range(readers)
        }
        out = memory(
            rest=np.zeros(cycles, np.uint64),
            **engines(parameters, en, to, data),
            **{f"{port}__addr": addresses for port, addresses in at.items()},
        )
        for cycle in range(cycles - READ_LATENCY):
            for port, addresses in at.items():
                got, want = out[f"{port}__data"][cycle + READ_LATENCY], rows[addresses[cycle]]
                assert got == want, f"{port}, cycle {cycle}: {got:#x}, not {want:#x}"
            if writes[cycle]:
                rows[written[cycle]] = int(data[cycle - late])

        # The host's turn: the engines' ports do nothing.
        def word() -> int:
            half = rng.integers(0, 1 << 16, 2)
            return int(half[0]) | int(half[1]) << 16

        latency = READ_LATENCY + choosing(words)
        accesses = random_accesses(rng, 300, DEPTH * words, latency, word, 0.8)
        if not writable:  # the register file lets no write through
            accesses = [a for a in accesses if not a.write]
        inputs = ports(accesses, (DEPTH * words - 1).bit_length())
        cycles = accesses[-1].answered + IDLE

        def expect(a):
            row, place = divmod(a.address, words)
            if not a.write:
                return shown(rows[row], parameters) >> 32 * place & 0xFFFF_FFFF, 0
            refused = parameters.get("halves", False) and not (
                is_half(a.data & 0xFFFF) and is_half(a.data >> 16)
            )
            if not refused:
                rows[row] &= ~(0xFFFF_FFFF << 32 * place)
                rows[row] |= a.data << 32 * place
            return None, refused

        out = memory(
            rest=np.ones(cycles, np.uint64),
            **engines(
                parameters,
                np.zeros(cycles, np.uint64),
                rng.integers(0, DEPTH, cycles),
                rng.integers(0, 1 << min(width, 63), cycles),
            ),
            **inputs,
        )
        check_answers(out, accesses, expect)
