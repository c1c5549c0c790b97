"""gen.core.update: an update unit's weights on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch
from drain_play import LANES, Block, Run, machine, row_of, save
from fixed import hard_numbers
from streams import packed
from units import GivenSums, check, constant

from backspike.gen.core.accumulate import HALVES_SUM
from backspike.gen.core.gradient_front import ROWS_HEADER
from backspike.gen.core.layout import config_layout
from backspike.gen.core.update import SUM_TO_W, W_AT, UpdateDrain, UpdateUnit
from backspike.gen.machine import DEPTH
from backspike.golden import rules
from backspike.golden.half import from_bits, random_halves, to_bits
from backspike.golden.hash import mix
from backspike.network import Learning
from backspike.sim.bulk import Bulk
from backspike.sim.cocotb_bench import run_bench
from backspike.tables import half_bits

COUNT = 60_000
KEY = 0x9ABC_DEF0

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> Bulk:
    return Bulk(UpdateUnit(), "update_unit")


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("rate", [2.0**-6, 1.0, 2.0**-24, 0.1, 65504.0])
def test_updates(rounding, rate):
    rng = np.random.default_rng(31)
    generator = torch.Generator().manual_seed(31)
    limbs, terms = hard_numbers(rng, COUNT, HALVES_SUM)
    old = to_bits(random_halves((COUNT,), generator))
    source, neuron = rng.integers(0, 2**13, (2, COUNT))
    live = rng.random(COUNT) < 0.9
    learning = Learning(rate=rate, rounding=rounding)
    layout = packed(config_layout("wg"))
    config = layout.pack(
        rate=half_bits(learning.rate), stochastic=int(rounding == "stochastic"), key=KEY
    )

    def beside(array: np.ndarray, cycles: int = 0) -> np.ndarray:
        return np.pad(array, [(cycles, SUM_TO_W - cycles)])

    out = unit()(
        config=constant(config, layout.width, COUNT + SUM_TO_W),
        live=beside(live),
        sum=beside(limbs),
        source=beside(source),
        neuron=beside(neuron),
        old=beside(old, W_AT),
    )
    sums = tuple(x / 2.0**24 for x in terms[:2])
    a = GivenSums(sums)
    gradient = a.round(*sums)
    random = mix(KEY, torch.from_numpy(source << 16 | neuron)) >> 16
    stochastic = random if rounding == "stochastic" else None
    want = rules.update(a, learning, from_bits(old), gradient, stochastic)
    check("weights", out["weight"][SUM_TO_W:], to_bits(want).astype(np.uint64))
    flags = (a.flags[0] | a.flags[1]).numpy() & live
    check("saturated", out["saturated"][SUM_TO_W:], flags.astype(np.uint64))
    assert flags.any()


def drain_run(rng: np.random.Generator, generator: torch.Generator, rounding: str) -> Run:
    """Some blocks of sources of some tiles, and golden's weights as rows."""
    tiles, first = int(rng.integers(1, 4)), int(rng.integers(200))
    rate = float(rng.choice([2.0**-6, 1.0, 0.1]))
    learning = Learning(rate=rate, rounding=rounding)  # pyright: ignore[reportArgumentType]
    layout = packed(config_layout("wg"))
    config = layout.pack(tiles=tiles, rate=half_bits(learning.rate),
                         stochastic=int(rounding == "stochastic"), key=KEY)  # fmt: skip
    run = Run(config, 0, 0, 0)
    run.writes, run.memories = {"weights": {}}, {"weights": {}, "turns": {}}
    sources = DEPTH * int(rng.integers(1, 4))
    for tile in range(tiles):
        for source in range(0, sources, DEPTH):
            last = source + DEPTH == sources
            row = first + tile + source * tiles
            header = packed(ROWS_HEADER).pack(row=row, source=source, tile=tile, last=int(last))
            touched = 0 if rng.random() < 0.2 else int(rng.integers(1 << DEPTH))
            touched |= 1 if rng.random() < 0.1 else 0
            block = Block(header, touched=touched)
            run.blocks.append(block)
            run.done += last
            count = DEPTH * LANES
            numbers, terms = hard_numbers(rng, count, HALVES_SUM)
            signed = numbers.astype(np.int64) << 8 >> 8  # 56 bits
            block.sums = [row_of(lanes, HALVES_SUM) for lanes in signed.reshape(DEPTH, LANES)]
            old = random_halves((DEPTH, LANES), generator)
            k = source + np.arange(DEPTH)
            words = torch.from_numpy(k[:, None] << 16 | tile * LANES + np.arange(LANES))
            random = mix(KEY, words) >> 16
            a = GivenSums(())
            gradient = a.round(*(x.reshape(DEPTH, LANES) / 2.0**24 for x in terms[:2]))
            stochastic = random if rounding == "stochastic" else None
            new = to_bits(rules.update(a, learning, old, gradient, stochastic))
            counted = np.array([touched >> n & 1 for n in range(DEPTH)], bool)[:, None]
            run.saturated |= bool(((a.flags[0] | a.flags[1]).numpy() & counted).any())
            for n in range(DEPTH):
                address = row + n * tiles
                run.memories["weights"][address] = row_of(to_bits(old)[n], 16)
                run.memories["turns"][address] = source + n
                if touched >> n & 1:
                    run.writes["weights"][address] = row_of(new[n], 16)
    return run


@pytest.mark.parametrize("share", [1, 4])  # 2: test_engine
def test_drain(share, tmp_path):
    rng = np.random.default_rng(share)
    generator = torch.Generator().manual_seed(share)
    runs = [drain_run(rng, generator, kind) for kind in ("nearest", "stochastic") for _ in range(8)]
    assert any(run.saturated for run in runs)
    assert any(block.touched == 0 for run in runs for block in run.blocks)
    save(runs, tmp_path / "case")
    run_bench(
        UpdateDrain(machine(share)),
        f"update_drain_{share}_bench",
        "drain_benches",
        testcase="updates",
        parameters={"path": str(tmp_path / "case")},
    )
