"""gen.core.update: rows of updated weights against golden."""

import numpy as np
import pytest
import torch

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.update.drain import UpdateDrain
from backspike.gen.core.update.front import ROWS_HEADER
from backspike.gen.machine import DEPTH
from backspike.golden import rules
from backspike.golden.half import random_halves, to_bits
from backspike.golden.hash import mix
from backspike.ir.half_bits import half_bits
from backspike.ir.learning import Learning
from tests.support.coroutines import each_coroutine
from tests.support.drain_play import LANES, Block, Run, machine, row_of, save
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import Recording

WIDTH = UPDATE.sum_width(machine(1))
KEY = 0x9ABC_DEF0

pytestmark = pytest.mark.verilator


def drain_run(rng: np.random.Generator, generator: torch.Generator, rounding: str) -> Run:
    """Some blocks of sources of some tiles, and golden's weights as rows."""
    tiles, first = int(rng.integers(1, 4)), int(rng.integers(50))
    rate = float(rng.choice([2.0**-6, 1.0, 0.1]))
    learning = Learning(rate=rate, rounding=rounding)  # pyright: ignore[reportArgumentType]
    layout = packed(UPDATE.config)
    config = layout.pack(tiles=tiles, rate=half_bits(learning.rate),
                         stochastic=int(rounding == "stochastic"), key=KEY)  # fmt: skip
    run = Run(config, 0, 0, 0)
    run.writes, run.memories = {"weights": {}}, {"weights": {}}
    sources = DEPTH * int(rng.integers(1, 4))
    for tile in range(tiles):
        for source in range(0, sources, DEPTH):
            last = source + DEPTH == sources
            row = first + (tile * sources + source) // LANES
            header = packed(ROWS_HEADER).pack(row=row, source=source, tile=tile, last=int(last))
            touched = 0 if rng.random() < 0.2 else int(rng.integers(1 << DEPTH))
            touched |= 1 if rng.random() < 0.1 else 0
            block = Block(header, touched=touched)
            run.blocks.append(block)
            run.done += last
            count = DEPTH * LANES
            numbers, terms = hard_numbers(rng, count, WIDTH)
            signed = numbers.astype(np.int64) << 64 - WIDTH >> 64 - WIDTH
            block.sums = [row_of(lanes, WIDTH) for lanes in signed.reshape(DEPTH, LANES)]
            old = random_halves((DEPTH, LANES), generator)
            k = source + np.arange(DEPTH)
            words = torch.from_numpy(k[:, None] << 16 | tile * LANES + np.arange(LANES))
            random = mix(KEY, words) >> 16
            a = Recording()
            gradient = a.round(*(x.reshape(DEPTH, LANES) / 2.0**24 for x in terms[:2]))
            stochastic = random if rounding == "stochastic" else None
            new = to_bits(rules.update(a, learning, old, gradient, stochastic))
            counted = np.array([touched >> n & 1 for n in range(DEPTH)], bool)[:, None]
            run.saturated |= bool(((a.flags[0] | a.flags[1]).numpy() & counted).any())
            for n in range(DEPTH):
                address = row * LANES + n
                run.memories["weights"][address] = row_of(to_bits(old)[n], 16)
                if touched >> n & 1:
                    run.writes["weights"][address] = row_of(new[n], 16)
    return run


@each_coroutine("tests.support.drain_benches", "updates")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's updated weights in their rows."""
    case = tmp_path / "case"

    def drain():
        rng = np.random.default_rng(reuse)
        generator = torch.Generator().manual_seed(reuse)
        runs = [
            drain_run(rng, generator, kind) for kind in ("nearest", "stochastic") for _ in range(8)
        ]
        assert any(run.saturated for run in runs)
        assert any(block.touched == 0 for run in runs for block in run.blocks)
        save(runs, case)
        return UpdateDrain(machine(reuse)), f"update_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
