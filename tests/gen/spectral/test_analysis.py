"""gen.spectral.analysis: the sums of whole pairs against golden.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb
import pytest
import torch

from backspike.gen.spectral.analysis import ENERGIES, TOTALS, Analysis
from backspike.gen.spectral.layout import column_layout
from backspike.gen.spectral.machine import SpectralMachine
from backspike.golden import spectral
from backspike.sim.bench.cocotb_bench import run_bench
from tests.support.spectral_pairs import KINDS, as_sent, columns, pair
from tests.support.streams import Bench

MACHINE = SpectralMachine(name="bench", size=32)
SIZES = [(8, 8), (8, 32), (32, 8), (16, 32), (32, 32)]

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

    def __init__(self, dut, seed: int, stall: float = 0.0):
        torch.set_num_threads(1)
        self.dut = dut
        self.bench = Bench(dut, seed)
        self.source = self.bench.source("i", column_layout(MACHINE), stall)
        self.dut.clear.value = 0

    async def begin(self, height: int, width: int) -> None:
        self.dut.log_height.value = height.bit_length() - 1
        self.dut.log_width.value = width.bit_length() - 1
        self.dut.clear.value = 1
        await self.bench.tick()
        self.dut.clear.value = 0
        self.source.sent.clear()

    async def run(self, images, name: str) -> int:
        """The sums are right; cycles from the last word to the end."""
        await self.begin(*images.re.shape)
        self.source.queue.extend(words(images))
        await self.bench.until(lambda: self.source.sent)
        await self.bench.until(lambda: not int(self.dut.busy.value), limit=1 << 16)
        assert not self.source.queue, "not busy, but words are left"
        lag = self.bench.cycle - self.source.sent[-1]
        want = spectral.sums(images)
        for port in ENERGIES + TOTALS:
            got = getattr(self.dut, port).value.to_signed()
            assert got == getattr(want, port), f"{name}: {port} is {got}, not {getattr(want, port)}"
        return lag


@cocotb.test()
@cocotb.parametrize(size=SIZES, stall=[0.0, 0.4])
async def sums(dut, size, stall):
    """All kinds of pairs. A word a cycle is taken; the end comes 3 H + `latency` cycles later."""
    unit = Unit(dut, 1, stall)
    await unit.bench.reset()
    for n, kind in enumerate(KINDS):
        lag = await unit.run(pair(kind, *size, seed=n), f"{kind} {size}")
        assert lag <= 3 * size[0] + Analysis.latency
        if not stall:
            sent = unit.source.sent
            assert sent == list(range(sent[0], sent[0] + len(sent)))
            assert lag == 3 * size[0] + Analysis.latency


@cocotb.test()
async def cleared_on_the_way(dut):
    """`clear` in any cycle of a run leaves nothing behind; so does a reset."""
    unit = Unit(dut, 3)
    await unit.bench.reset()
    for n in range(10):
        await unit.begin(8, 16)
        sent = words(pair("noise", 8, 16, seed=n))
        unit.source.queue.extend(sent[: unit.bench.rng.randrange(1, len(sent) + 1)])
        await unit.bench.until(lambda: not unit.source.queue)
        await unit.bench.tick(unit.bench.rng.randrange(30))
        assert int(unit.dut.busy.value)
        if n % 2:
            await unit.bench.reset()
            assert not int(unit.dut.busy.value)
        await unit.run(pair("smooth", 16, 8, seed=n), f"run {n}")


# Outside


@pytest.mark.verilator
def test_analysis():
    """Every coroutine of this module holds on the simulated analysis."""
    run_bench(Analysis(MACHINE), "analysis_bench", __name__)
