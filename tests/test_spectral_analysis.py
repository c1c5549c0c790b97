"""gen.spectral.analysis: the sums of whole pairs against golden.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest
import torch
from spectral_pairs import KINDS, as_sent, columns, pair
from streams import Bench

from backspike.gen.spectral.analysis import ENERGIES, TOTALS, Analysis
from backspike.gen.spectral.layout import column_layout
from backspike.gen.spectral.machine import SpectralMachine
from backspike.golden import spectral
from backspike.sim.cocotb_bench import run_bench

MACHINE = SpectralMachine(name="bench", size=32)
SIZES = [(8, 8), (8, 32), (32, 8), (16, 16), (16, 32), (32, 32)]

# cocotb


def words(images) -> list[dict]:
    """The payloads of a pair's columns."""
    sent = columns(images)
    height, width = images.re.shape
    rows = torch.arange(height)[:, None].expand(height, width)
    parts = (
        sent.words.re.mT,
        sent.words.im.mT,
        sent.exponents.mT.expand(height, width),
        rows,
    )
    numbers = [as_sent(part).tolist() for part in parts]
    return [
        {"re": re, "im": im, "exponent": exponent, "row": row}
        for re, im, exponent, row in zip(*numbers, strict=True)
    ]


class Unit:
    """The analysis, and a pair after another."""

    def __init__(self, dut, seed: int):
        torch.set_num_threads(1)
        self.dut = dut
        self.bench = Bench(dut, seed)
        self.source = self.bench.source("i", column_layout(MACHINE))
        self.dut.clear.value = 0

    async def clear(self) -> None:
        self.dut.clear.value = 1
        await self.bench.tick()
        self.dut.clear.value = 0

    async def run(self, images, stall: float) -> tuple[list[int], int]:
        """The cycles in which words were taken, and cycles from the last to the end."""
        height, width = images.re.shape
        self.dut.log_height.value = height.bit_length() - 1
        self.dut.log_width.value = width.bit_length() - 1
        await self.clear()
        assert not int(self.dut.busy.value)
        self.source.queue.extend(words(images))
        self.source._stall = stall
        self.source.sent.clear()
        await self.bench.until(lambda: self.source.sent)
        await self.bench.tick()
        assert int(self.dut.busy.value)
        await self.bench.until(lambda: not int(self.dut.busy.value))
        assert not self.source.queue
        return list(self.source.sent), self.bench.cycle - 1 - self.source.sent[-1]

    def check(self, images, name: str) -> None:
        want = spectral.sums(images)
        for port in ENERGIES + TOTALS:
            got = getattr(self.dut, port).value.to_signed()
            assert got == getattr(want, port), f"{name}: {port} is {got}, not {want}"


@cocotb.test()
@cocotb.parametrize(size=SIZES)
async def sums(dut, size):
    """All kinds of pairs, with and without stalls."""
    unit = Unit(dut, 1)
    await unit.bench.reset()
    for n, kind in enumerate(KINDS):
        images = pair(kind, *size, seed=n)
        await unit.run(images, stall=(0.0, 0.3, 0.8)[n % 3])
        unit.check(images, f"{kind} {size}")


@cocotb.test()
@cocotb.parametrize(size=SIZES)
async def in_time(dut, size):
    """A word a cycle; the sums are there three columns and `latency` later."""
    unit = Unit(dut, 2)
    await unit.bench.reset()
    sent, lag = await unit.run(pair("noise", *size), stall=0.0)
    print(size, sent[-1] - sent[0] + 1 - len(sent), lag, 3 * size[0] + Analysis.latency)
    assert lag <= 3 * size[0] + Analysis.latency <= 3 * size[0] + 40
    assert sent[-1] - sent[0] + 1 - len(sent) <= 2


@cocotb.test()
async def cleared_on_the_way(dut):
    """`clear` in any cycle of a run leaves nothing behind; so does a reset."""
    unit = Unit(dut, 3)
    await unit.bench.reset()
    for n in range(12):
        broken = pair("noise", 8, 16, seed=n)
        unit.dut.log_height.value, unit.dut.log_width.value = 3, 4
        await unit.clear()
        unit.source.queue.extend(words(broken))
        unit.source._stall = 0.0
        await unit.bench.tick(unit.bench.rng.randrange(170))
        unit.source.queue.clear()
        unit.source._offered = False
        if n % 2:
            await unit.bench.reset()
        images = pair("smooth", 16, 8, seed=n)
        await unit.run(images, stall=0.1)
        unit.check(images, f"run {n}")


# Outside


@pytest.mark.verilator
def test_analysis():
    run_bench(Analysis(MACHINE), "analysis_bench", "test_spectral_analysis")
