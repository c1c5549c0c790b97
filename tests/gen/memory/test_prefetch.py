"""gen.memory.prefetch: rows in order, none lost, one a cycle; of both components.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import gc

import cocotb
import pytest

from backspike.gen.memory.prefetch import Prefetch, ReadPipe
from backspike.gen.memory.rows import READ_LATENCY
from tests.support.coroutines import each_coroutine
from tests.support.streams import Bench, Memory, StallingMemory

ADDRESS, ROW, TAG = 7, 16, 5
LATENCY = 3
DEPTH = 8
TOOK = LATENCY + 1 + READ_LATENCY
"""Cycles from request to row."""

# cocotb


def begin(dut, seed: int, stall: float = 0.0, refuse: float = 0.0, slow: float = 0.0):
    bench = Bench(dut, seed)
    rows = [bench.rng.getrandbits(ROW) for _ in range(1 << ADDRESS)]
    memory = Memory(bench, dut.address, dut.row, rows.__getitem__, LATENCY,
                    (dut.valid, dut.grant, refuse))  # fmt: skip
    source = bench.source("i", stall=slow)
    bench.add(memory)
    sink = bench.sink("o", stall=stall)
    return bench, rows, memory, source, sink


def request(bench: Bench, rows: list[int], count: int):
    """Payloads of requests, and of what must come for them."""
    requests = [bench.rng.getrandbits(ADDRESS + TAG) for _ in range(count)]
    mask = (1 << ADDRESS) - 1
    return requests, [rows[r & mask] | r >> ADDRESS << ROW for r in requests]


@cocotb.test()
@cocotb.parametrize(
    stalls=[(0.0, 0.0, 0.5), (0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.7, 0.3, 0.3), (0.3, 0.7, 0.0)]
)
async def stalls(dut, stalls):
    """With stalls of requests, memory and results every row comes once and in order."""
    bench, rows, memory, source, sink = begin(dut, 1, *stalls)
    await bench.reset()
    requests, want = request(bench, rows, 500)
    source.queue.extend(requests)
    await bench.until(lambda: len(sink.got) == len(want))
    await bench.tick(20)
    assert sink.got == want
    assert memory.reads == len(want)


@cocotb.test()
async def long_stall(dut):
    """A consumer that takes nothing stops the requests when the buffer is full; nothing is lost."""
    bench, rows, memory, source, sink = begin(dut, 2, stall=1.0)
    await bench.reset()
    requests, want = request(bench, rows, 40)
    source.queue.extend(requests)
    await bench.tick(100)
    assert memory.reads == DEPTH
    sink.stall = 0.0
    await bench.until(lambda: len(sink.got) == 40)
    assert sink.got == want


@cocotb.test()
async def throughput_and_latency(dut):
    """Without stalls a row comes every cycle, each after the same number of cycles."""
    bench, rows, _, source, sink = begin(dut, 3)
    await bench.reset()
    requests, want = request(bench, rows, 200)
    source.queue.extend(requests)
    await bench.until(lambda: len(sink.got) == 200)
    assert sink.got == want
    assert source.sent == list(range(source.sent[0], source.sent[0] + 200))
    assert [b - a for a, b in zip(source.sent, sink.cycles, strict=True)] == [TOOK] * 200


@cocotb.test()
async def throughput_with_a_wait(dut):
    """A consumer that takes every row later than it could does not slow the requests down, as long
    as there is room for what waits."""
    bench, rows, _, source, sink = begin(dut, 4, stall=1.0)
    await bench.reset()
    requests, want = request(bench, rows, 100)
    source.queue.extend(requests)
    await bench.until(lambda: int(dut.o__valid.value))
    await bench.tick(DEPTH - TOOK - 1)
    sink.stall = 0.0
    await bench.until(lambda: len(sink.got) == 100)
    assert sink.got == want
    assert source.sent == list(range(source.sent[0], source.sent[0] + 100))


def begin_pipe(dut, seed: int, stall: float = 0.0, slow: float = 0.0):
    bench = Bench(dut, seed)
    rows = [bench.rng.getrandbits(ROW) for _ in range(1 << ADDRESS)]
    bench.add(StallingMemory(bench, dut.address, dut.en, dut.row, rows.__getitem__))
    return bench, rows, bench.source("i", stall=slow), bench.sink("o", stall=stall)


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.5), (0.5, 0.0), (0.7, 0.3), (0.3, 0.7), (0.0, 0.0)])
async def pipe_stalls(dut, stalls):
    """The read pipe loses no row under stalls, and takes its latency without."""
    bench, rows, source, sink = begin_pipe(dut, 5, *stalls)
    await bench.reset()
    requests, want = request(bench, rows, 500)
    source.queue.extend(requests)
    await bench.until(lambda: len(sink.got) == len(want))
    await bench.tick(20)
    assert sink.got == want
    if stalls == (0.0, 0.0):
        assert source.sent == list(range(source.sent[0], source.sent[0] + 500))
        latency = {b - a for a, b in zip(source.sent, sink.cycles, strict=True)}
        assert latency == {READ_LATENCY}


@cocotb.test()
async def pipe_waits(dut):
    """While a row waits for the consumer nothing moves, and no request is taken."""
    bench, rows, source, sink = begin_pipe(dut, 6, stall=1.0)
    await bench.reset()
    requests, want = request(bench, rows, 3)
    source.queue.append(requests[0])
    await bench.until(lambda: int(dut.o__valid.value))
    source.queue.extend(requests[1:])
    for _ in range(5):
        await bench.tick()
        assert int(dut.en.value) == 0
    assert len(source.sent) == 1
    sink.stall = 0.0
    await bench.until(lambda: len(sink.got) == 3)
    assert sink.got == want


# Outside


@each_coroutine(
    __name__, "stalls", "long_stall", "throughput_and_latency", "throughput_with_a_wait"
)
def test_prefetch(simulated):
    """The coroutine holds on the simulated prefetch."""
    sizes = {"address_width": ADDRESS, "row_width": ROW, "tag_width": TAG}
    sizes |= {"latency": LATENCY, "depth": DEPTH}
    simulated(lambda: (Prefetch(**sizes), "prefetch_bench"))


@each_coroutine(__name__, "pipe_stalls", "pipe_waits")
def test_read_pipe(simulated):
    """The coroutine holds on the simulated read pipe."""
    sizes = {"address_width": ADDRESS, "row_width": ROW, "tag_width": TAG}
    simulated(lambda: (ReadPipe(**sizes), "read_pipe_bench"))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_prefetch_depth():
    """A depth that is no power of two over the latency's need is a ValueError."""
    for depth in (4, 6, 12):
        with pytest.raises(ValueError, match=f"depth is {depth}, must be a power of two over 6"):
            Prefetch(address_width=1, row_width=1, tag_width=0, latency=LATENCY, depth=depth)
    gc.collect()  # Amaranth warns of the unfinished objects now, where it is expected
