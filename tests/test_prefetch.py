"""gen.memory.prefetch: rows in order, none lost, one a cycle.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest
from streams import Bench, Memory

from backspike.gen.memory.prefetch import Prefetch
from backspike.sim.cocotb_bench import bench_parameters, run_bench

ADDRESS, ROW, TAG = 7, 16, 5
LATENCY = 3

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
    assert memory.reads == LATENCY + 2 + bench_parameters()["wait"]
    sink.stall = 0.0
    await bench.until(lambda: len(sink.got) == 40)
    assert sink.got == want


@cocotb.test()
async def throughput_and_latency(dut):
    bench, rows, _, source, sink = begin(dut, 3)
    await bench.reset()
    requests, want = request(bench, rows, 200)
    source.queue.extend(requests)
    await bench.until(lambda: len(sink.got) == 200)
    assert sink.got == want
    assert source.sent == list(range(source.sent[0], source.sent[0] + 200))
    assert [b - a for a, b in zip(source.sent, sink.cycles, strict=True)] == [LATENCY + 1] * 200


@cocotb.test()
async def throughput_with_a_wait(dut):
    """A consumer that takes every row `wait` cycles late does not slow the requests down."""
    bench, rows, _, source, sink = begin(dut, 4, stall=1.0)
    await bench.reset()
    requests, want = request(bench, rows, 100)
    source.queue.extend(requests)
    await bench.until(lambda: int(dut.o__valid.value))
    await bench.tick(max(0, bench_parameters()["wait"] - 1))
    sink.stall = 0.0
    await bench.until(lambda: len(sink.got) == 100)
    assert sink.got == want
    assert source.sent == list(range(source.sent[0], source.sent[0] + 100))


# Outside


@pytest.mark.verilator
@pytest.mark.parametrize("wait", [0, 2])
def test_prefetch(wait):
    component = Prefetch(
        address_width=ADDRESS, row_width=ROW, tag_width=TAG, latency=LATENCY, wait=wait
    )
    run_bench(component, f"prefetch_{wait}_bench", "test_prefetch", parameters={"wait": wait})
