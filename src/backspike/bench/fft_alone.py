"""The 256-point transform by itself: its noise, and its size and speed on an LFE5U-85F."""

import math
from statistics import median

import torch

from backspike.bench.figure import Figure, above, at_least, at_most, below
from backspike.drive.comparison import Counts
from backspike.flow.component_reports import report
from backspike.gen.spectral.fft import FFT, latency
from backspike.golden.fft import Words, fft
from backspike.ir.errors import UserError
from backspike.system.toolset import NEXTPNR, WASM, YOSYS

LOG_SIZE, WIDTH, MANTISSA = 8, 16, 18
WHAT = f"FFT({LOG_SIZE}, width={WIDTH}, mantissa={MANTISSA})"
SQNR, LUTS, DSPS, MHZ = 88, 2752, 12, 96
"""Goals. maia-hdl's R2²SDF from 16 to 24 bits has 91 dB, 2,752 LUT4, 15 DSP and 96 MHz."""
SEEDS = (1, 2, 3)
LINES = 200


def figures(_: Counts) -> list[Figure]:
    """SQNR of golden, whose bits the RTL has; and what fitting says, if its tools are there."""
    name = f"{1 << LOG_SIZE}-point FFT alone"
    steps = latency(LOG_SIZE, LOG_SIZE, width=WIDTH, mantissa=MANTISSA)
    how = (
        f"{WHAT}, {LINES} lines of uniform noise at full scale, golden against float64; one sample "
        f"a clock, a line's first word comes out {steps} steps after it went in"
    )
    return [at_least(f"{name}, SQNR, dB", sqnr(), SQNR, how), *fitted(name)]


def sqnr(seed: int = 1) -> float:
    """Of lines whose parts are uniform over all words, in dB."""
    g, high = torch.Generator().manual_seed(seed), 1 << (WIDTH - 1)
    x = Words(*(torch.randint(-high, high, (LINES, 1 << LOG_SIZE), generator=g) for _ in range(2)))
    want = torch.fft.fft(torch.complex(x.re.double(), x.im.double()))
    got = fft(x, MANTISSA)
    error = torch.complex(got.re.double(), got.im.double()) - want
    return 10 * math.log10(want.abs().square().sum() / error.abs().square().sum())


def fitted(name: str) -> list[Figure]:
    """LUT4, DSP and MHz; unmeasured where the tools are not installed."""
    parts = [f"{name}, {what}" for what in ("LUT4", "DSP", "MHz")]
    tools = YOSYS, NEXTPNR["ecp5"]
    try:
        for tool in tools:
            WASM.find(tool)
    except UserError as error:
        how = f"not measured here: {error}"
        goals = (f"< {LUTS}", f"<= {DSPS}", f"> {MHZ}")
        return [
            Figure(part, None, goal, None, how) for part, goal in zip(parts, goals, strict=True)
        ]
    result = report(lambda: FFT(LOG_SIZE, width=WIDTH, mantissa=MANTISSA), SEEDS)
    how = f"{WHAT} on LFE5U-85F-6, {' and '.join(map(WASM.program, tools))}"
    spread = ", ".join(f"{mhz:.0f}" for mhz in sorted(result.mhz))
    return [
        below(parts[0], result.luts, LUTS, f"{how}: LUT4-equivalents, carries and RAMs counted in"),
        at_most(parts[1], result.dsps, DSPS, f"{how}: MULT18X18D"),
        above(parts[2], median(result.mhz), MHZ, f"{how}: median of placements ({spread})"),
    ]
