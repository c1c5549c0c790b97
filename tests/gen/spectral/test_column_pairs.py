"""gen.spectral.column_pairs: every number where it belongs, whatever the order of the rows.

The coroutines below `# cocotb` run inside the simulation, the test outside.
"""

from functools import partial

import cocotb
import pytest
import torch

from backspike.gen.spectral.column_pairs import ColumnPairs, pair_layout
from backspike.gen.spectral.layout import spectrum_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.scale import spectrum_layout
from backspike.golden.fft import Words
from backspike.sim.bench.cocotb_bench import run_bench
from tests.support.flows import same
from tests.support.spectral_pairs import as_read, column_order
from tests.support.streams import Bench, packed

MACHINE = SpectralMachine(name="bench", size=16)
SIZES = [(8, 8), (8, 16), (16, 8), (16, 16)]

# cocotb


class Reader:
    """Takes what comes from o, and the cycles."""

    def __init__(self, bench: Bench):
        self.bench, self.layout = bench, packed(pair_layout(MACHINE))
        self.got: list[dict] = []
        self.cycles: list[int] = []

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        if int(self.bench.dut.o__valid.value):
            self.got.append(self.layout.unpack(int(self.bench.dut.o__payload.value)))
            self.cycles.append(self.bench.cycle)


def begin(dut, size, seed: int, stall: float):
    """(bench, source with a spectrum's columns in its queue, reader, what it must get)."""
    height, width = size
    bench = Bench(dut, seed)
    dut.log_height.value, dut.log_width.value = height.bit_length() - 1, width.bit_length() - 1
    source = bench.source("i", spectrum_layout(MACHINE), stall)
    limit = 1 << spectrum_width(MACHINE) - 1
    numbers = torch.Generator().manual_seed(seed)
    z = Words(*torch.randint(-limit, limit, (2, height, width), generator=numbers))
    for column in column_order(width):
        rows = [0, *bench.rng.sample(range(1, height), height - 1)]
        source.queue.extend(
            {"re": int(z.re[row, column]), "im": int(z.im[row, column]), "row": row} for row in rows
        )
    return bench, source, bench.add(Reader(bench)), as_read(z)


def is_whole(reader: Reader, want: list[dict]) -> bool:
    return len(reader.got) == len(want)


@cocotb.test()
@cocotb.parametrize(size=SIZES, stall=[0.0, 0.5])
async def pairs(dut, size, stall):
    """Another spectrum after each reset; after the last column nothing is taken."""
    for seed in range(2):
        bench, source, reader, want = begin(dut, size, seed, stall)
        await bench.reset()
        await bench.until(partial(is_whole, reader, want))
        same("numbers", reader.got, want)
        source.queue.append({"re": 1, "im": 1, "row": 0})
        await bench.tick(3 * size[0])
        assert len(source.queue) == 1
        assert len(reader.got) == len(want)


@cocotb.test()
@cocotb.parametrize(size=SIZES)
async def throughput(dut, size):
    """No word waits."""
    height = size[0]
    bench, source, reader, want = begin(dut, size, 4, 0.0)
    await bench.reset()
    await bench.until(partial(is_whole, reader, want))
    waits = source.sent[-1] - source.sent[0] + 1 - len(source.sent)
    assert waits == 0
    assert reader.cycles[0] - source.sent[height - 1] == ColumnPairs.latency
    assert reader.cycles[-1] - source.sent[-1] == 3 * height - 1 + ColumnPairs.latency


# Outside


@pytest.mark.verilator
def test_column_pairs():
    """Every coroutine of this module holds on the simulated component."""
    run_bench(ColumnPairs(MACHINE), "column_pairs_bench", __name__)
