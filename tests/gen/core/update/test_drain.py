"""gen.core.update: rows of updated weights against golden."""

import functools
import operator
from dataclasses import replace

import numpy as np
import pytest
import torch

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.update.drain import UpdateDrain
from backspike.gen.core.update.front import rows_header
from backspike.gen.machine import DEPTH
from backspike.golden import rules
from backspike.golden.half import random_halves, to_bits
from backspike.golden.hash import mix
from backspike.ir.constants import PART_BITS
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


def drain_run(
    rng: np.random.Generator,
    generator: torch.Generator,
    rounding: str,
    way: str,
    momentum: float,
    part: tuple[int, int] | None = None,
) -> Run:
    """Some blocks of sources of some tiles, and golden's weights as rows. way: rows with a gradient
    are updated (touched), or all; or all are handed over. part: whether partial sums are taken, and
    kept, where there are some."""
    take, keep = part or (0, 0)
    tiles, first = int(rng.integers(1, 4)), int(rng.integers(50))
    hand = way == "hand"
    rounding = "nearest" if hand else rounding
    rate = float(rng.choice([2.0**-6, 1.0, 0.1]))
    learning = Learning(
        rate=rate,
        rounding=rounding,  # pyright: ignore[reportArgumentType]
        momentum=momentum,
    )
    layout = packed(UPDATE.on(machine(1)).config)
    config = layout.pack(tiles=tiles, rate=half_bits(-1.0 if hand else learning.rate), key=KEY,
                         stochastic=int(rounding == "stochastic"), all=int(way != "touched"),
                         hand=int(hand), momentum=half_bits(learning.momentum))  # fmt: skip
    run = Run(config, 0, 0, 0, take=take, keep=keep)
    run.writes = {"weights": {}, "moments": {}, "parts": {}}
    run.memories = {"weights": {}, "moments": {}, "parts": {}}
    sources = DEPTH * int(rng.integers(1, 4))
    for tile in range(tiles):
        for source in range(0, sources, DEPTH):
            last = source + DEPTH == sources
            row = first + (tile * sources + source) // LANES
            there = int(rng.integers(1, DEPTH // LANES + 1)) if last else DEPTH // LANES
            header = packed(rows_header(LANES)).pack(
                row=row, source=source, tile=tile, tiles=(1 << there) - 1, last=int(last)
            )
            touched = 0 if rng.random() < 0.2 else int(rng.integers(1 << DEPTH))
            touched |= 1 if rng.random() < 0.1 else 0
            touched &= (1 << there * LANES) - 1
            some = take if keep else way == "touched" and not take
            changes = touched if some else (1 << there * LANES) - 1
            block = Block(header, touched=touched)
            run.blocks.append(block)
            run.done += last
            count = DEPTH * LANES
            numbers, terms = hard_numbers(rng, count, WIDTH)
            signed = numbers.astype(np.int64) << 64 - WIDTH >> 64 - WIDTH
            counted = np.array([touched >> n & 1 for n in range(DEPTH)], bool)[:, None]
            signed = signed.reshape(DEPTH, LANES) * counted  # other sums are zero
            block.sums = [row_of(lanes, WIDTH) for lanes in signed]
            old = random_halves((DEPTH, LANES), generator)
            k = source + np.arange(DEPTH)
            words = torch.from_numpy(k[:, None] << 16 | tile * LANES + np.arange(LANES))
            random = mix(KEY, words) >> 16
            a = Recording()
            parts = (x.reshape(DEPTH, LANES) * torch.from_numpy(counted) for x in terms[:2])
            others, terms = hard_numbers(rng, count, PART_BITS - 1)
            others = others.astype(np.int64).reshape(DEPTH, LANES) << 1 >> 1
            if take:
                parts = (*parts, *(x.reshape(DEPTH, LANES) for x in terms[:2]))
            gradient = a.round(*(x / 2.0**24 for x in parts))
            moments = random_halves((DEPTH, LANES), generator)
            if momentum:
                gradient = rules.moment(a, learning, moments, gradient)
            stochastic = random if rounding == "stochastic" else None
            new = to_bits(
                gradient if hand else rules.update(a, learning, old, gradient, stochastic)
            )
            changed = np.array([changes >> n & 1 for n in range(DEPTH)], bool)[:, None]
            flags = functools.reduce(operator.or_, a.flags).numpy()
            run.saturated |= bool((flags & changed).any()) and not keep
            for n in range(DEPTH):
                address = row * LANES + n
                run.memories["weights"][address] = row_of(to_bits(old)[n], 16)
                run.memories["moments"][address] = row_of(to_bits(moments)[n], 16)
                run.memories["parts"][address] = row_of(others[n], PART_BITS)
                if changes >> n & 1 and keep:
                    kept = signed[n].astype(object) + take * others[n].astype(object)
                    run.writes["parts"][address] = row_of(kept, PART_BITS)
                elif changes >> n & 1:
                    run.writes["weights"][address] = row_of(new[n], 16)
                    if momentum:
                        run.writes["moments"][address] = row_of(to_bits(gradient)[n], 16)
    if not momentum:
        run.memories.pop("moments")
        run.writes.pop("moments")
    if part is None:
        run.memories.pop("parts")
        run.writes.pop("parts")
    return run


@each_coroutine("tests.support.drain_benches", "updates")
@pytest.mark.parametrize(
    ("reuse", "momentum", "parts"),
    [(1, 0, 0), (4, 0, 0), (2, 1, 0), (1, 0, 1), (2, 0, 1), (4, 1, 1)],
)
def test_drain(reuse, momentum, parts, simulated, tmp_path):
    """Blocks drained with random sums leave golden's updated weights in their rows, and moments;
    or the exact sums, which are added to those that were there."""
    case = tmp_path / "case"

    def drain():
        rng = np.random.default_rng(reuse)
        generator = torch.Generator().manual_seed(reuse)
        ways = ("all",) if momentum else ("touched", "all", "hand")
        runs = [
            drain_run(rng, generator, kind, way, momentum * mu, part)
            for kind in ("nearest", "stochastic")
            for way in ways
            for mu in (0.5, 0.9, 2.0**-24, 0.75)
            for part in (((0, 1), (1, 1), (1, 0), (0, 0)) if parts else (None,))
        ]
        assert any(run.saturated for run in runs)
        assert any(block.touched == 0 for run in runs for block in run.blocks)
        save(runs, case)
        name = f"update_drain_{reuse}_{momentum}_{parts}_bench"
        device = UpdateDrain(replace(machine(reuse), momentum=momentum, parts=parts))
        return device, name, {"path": str(case)}

    simulated(drain)
