"""gen.spectral.align against golden's `align`, with stalls.

The coroutines below `# cocotb` run inside the simulation, the test outside.
"""

import cocotb
import pytest
import torch

from backspike.gen.spectral.align import ALIGN, Align
from backspike.gen.spectral.layout import EXPONENT, point_layout
from backspike.golden.spectral import Samples, align
from backspike.ir.spectral_constants import MANTISSA, WIDTH
from backspike.sim.bench.cocotb_bench import run_bench
from tests.support.streams import Bench

POINTS = 8
HIGH = (1 << (MANTISSA - 1)) - 1
EXTREMES = [HIGH, -HIGH - 1, 0, -1, 1, HIGH - 1]

# cocotb


def lines(rng, count: int) -> Samples:
    """Lines of noise and extremes; exponents near each other, or of any distance."""

    def part() -> list[int]:
        return [
            rng.choice(EXTREMES) if rng.random() < 0.3 else rng.randint(-HIGH - 1, HIGH)
            for _ in range(POINTS)
        ]

    def exponents() -> list[int]:
        spread = rng.choice([1, 5, WIDTH + 3, 1 << EXPONENT])
        return [rng.randrange(spread) for _ in range(POINTS)]

    re, im, exponent = (
        torch.tensor([make() for _ in range(count)]) for make in (part, part, exponents)
    )
    return Samples(re, im, exponent)


def payloads(given: Samples) -> tuple[list[dict], list[dict]]:
    """What goes in, and what must come out."""
    words, line = align(given)
    sent, want = [], []
    for n, exponent in enumerate(line.squeeze(-1).tolist()):
        for k in range(POINTS):
            sample = {name: int(getattr(given, name)[n, k]) for name in ("re", "im", "exponent")}
            sent.append({"sample": sample, "line": exponent, "first": k == 0})
            want.append({"re": int(words.re[n, k]), "im": int(words.im[n, k]), "first": k == 0})
    return sent, want


async def check(dut, seed: int, given, stalls: tuple[float, float]):
    bench = Bench(dut, seed)
    source = bench.source("i", ALIGN, stalls[0])
    sink = bench.sink("o", point_layout(WIDTH), stalls[1])
    await bench.reset()
    sent, want = payloads(given(bench.rng))
    source.queue.extend(sent)
    await bench.until(lambda: len(sink.got) == len(want))
    for n, (got, right) in enumerate(zip(sink.got, want, strict=True)):
        assert got == right, f"word {n}, of {sent[n]}: got {got}, want {right}"
    return source, sink


@cocotb.test()
@cocotb.parametrize(stalls=[(0.5, 0.0), (0.0, 0.5), (0.4, 0.4)])
async def stalls(dut, stalls):
    """Random lines come out as golden's `align` makes them, with stalls on either side."""
    await check(dut, 1, lambda rng: lines(rng, 25), stalls)


@cocotb.test()
async def every_distance(dut):
    """Each extreme at each distance from the line's exponent, one a cycle."""
    greatest = (1 << EXPONENT) - 1

    def given(_) -> Samples:
        pairs = torch.tensor([(x, d) for x in EXTREMES for d in range(1, greatest + 1)])
        x, distance = pairs.unflatten(0, (-1, POINTS - 1)).unbind(-1)  # (lines, POINTS - 1)
        ahead = torch.nn.functional.pad  # each line begins with a sample of the line's exponent
        return Samples(ahead(x, (1, 0)), ahead(-1 - x, (1, 0)), greatest - ahead(distance, (1, 0)))

    source, sink = await check(dut, 2, given, (0.0, 0.0))
    assert [b - a for a, b in zip(source.sent, sink.cycles, strict=True)] == (
        [Align.latency] * len(source.sent)
    )
    assert source.sent == list(range(source.sent[0], source.sent[0] + len(source.sent)))


# Outside


@pytest.mark.verilator
def test_align():
    """Every coroutine of this module holds on the simulated component."""
    run_bench(Align(), "align", __name__)
