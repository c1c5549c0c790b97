"""gen.spectral.pack against golden's `pack`, with stalls.

The coroutines below `# cocotb` run inside the simulation, the test outside.
"""

import cocotb
import pytest
import torch

from backspike.gen.spectral.layout import EXPONENT
from backspike.gen.spectral.pack import Pack
from backspike.golden.fft import Words
from backspike.golden.spectral import pack
from backspike.ir.spectral_constants import MANTISSA
from backspike.sim.bench.cocotb_bench import run_bench
from tests.support.streams import Bench

WIDTH, TAG = 28, 5
"""Of a unit of 128 points."""
HIGHEST_LINE = (1 << EXPONENT) - 1 - (WIDTH - MANTISSA)

# cocotb


def component() -> Pack:
    return Pack(width=WIDTH, tag_width=TAG)


def number(rng) -> int:
    """Of any size; or at an edge of what a mantissa holds with some exponent."""
    bits = rng.randrange(WIDTH)
    if rng.random() < 0.5:
        x = rng.getrandbits(bits) if bits else 0
    else:
        x = (1 << bits) - rng.choice([0, 1, 1 << max(0, bits - MANTISSA)])
    return (
        max(-x - 1, -(1 << (WIDTH - 1))) if rng.random() < 0.5 else min(x, (1 << (WIDTH - 1)) - 1)
    )


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)])
async def samples(dut, stalls):
    """Random and edge words are packed as by golden's `pack`; without stalls one a cycle."""
    bench = Bench(dut, 1)
    source = bench.source("i", component().i.payload.shape(), stalls[0])
    sink = bench.sink("o", component().o.payload.shape(), stalls[1])
    await bench.reset()
    rng = bench.rng
    sent = [
        {
            "word": {"re": number(rng), "im": number(rng)},
            "line": rng.randint(0, HIGHEST_LINE),
            "tag": rng.getrandbits(TAG),
        }
        for _ in range(300)
    ]
    source.queue.extend(sent)
    re, im = (torch.tensor([p["word"][part] for p in sent]) for part in ("re", "im"))
    want = pack(Words(re, im), torch.tensor([p["line"] for p in sent]))
    await bench.until(lambda: len(sink.got) == len(sent))
    for n, (got, given) in enumerate(zip(sink.got, sent, strict=True)):
        sample = {name: int(part[n]) for name, part in want._asdict().items()}
        assert got == {"sample": sample, "tag": given["tag"]}, f"word {n}: {given}, want {sample}"
    if stalls == (0.0, 0.0):
        assert source.sent == list(range(source.sent[0], source.sent[0] + len(sent)))
        assert [b - a for a, b in zip(source.sent, sink.cycles, strict=True)] == (
            [Pack.latency] * len(sent)
        )


# Outside


@pytest.mark.verilator
def test_pack():
    """Every coroutine of this module holds on the simulated component."""
    run_bench(component(), "pack", __name__)
