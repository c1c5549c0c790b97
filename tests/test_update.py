"""gen.core.update: an update unit's weights on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch
from fixed import hard_numbers
from streams import packed
from units import GivenSums, check, constant

from backspike.gen.core.accumulate import HALVES_SUM
from backspike.gen.core.layout import config_layout
from backspike.gen.core.update import SUM_TO_W, W_AT, UpdateUnit
from backspike.golden import rules
from backspike.golden.half import from_bits, random_halves, to_bits
from backspike.golden.hash import mix
from backspike.network import Learning
from backspike.sim.bulk import Bulk
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
