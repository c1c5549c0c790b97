"""gen.spectral.scale against golden's scaling, with stalls on both sides."""

import numpy as np
import pytest
import torch

from backspike.gen.spectral.layout import column_layout, spectrum_width, transformed_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.scale import Scale, spectrum_layout
from backspike.golden.fft import round_shift
from backspike.ir.spectral_constants import DROPPED, MANTISSA, WIDTH
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.flows import as_numbers, as_rows, same
from tests.support.streams import packed

CYCLES = 3000
SIZES = [32, 512]
"""512 has exponents beyond DROPPED: words are shifted up."""

pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module", params=SIZES)
def unit(request):
    machine = SpectralMachine(name="bench", size=request.param)
    return machine, ArrayBench(Scale(machine), f"scale_bench_{request.param}")


def words(machine: SpectralMachine, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fields for each cycle: numbers of all widths, as large as they may be, and ties."""
    width = transformed_width(WIDTH, machine.log_size)
    exponent = rng.integers(0, width - MANTISSA + 1, CYCLES)
    # The result has to fit the spectrum's width, after rounding up as well.
    limit = 2 ** np.minimum(width - 1, spectrum_width(machine) - 1 + DROPPED - exponent)
    highest = limit - 2 ** np.maximum(DROPPED - exponent, 0)

    def part() -> np.ndarray:
        small = 2 ** rng.integers(1, 20, CYCLES)
        ties = 2 ** np.maximum(DROPPED - exponent - 1, 0) * rng.integers(-3, 4, CYCLES)
        kinds = [
            rng.integers(-limit, highest),
            rng.integers(-small, small).clip(-limit, highest),
            np.where(rng.random(CYCLES) < 0.5, -limit, highest),
            ties,
        ]
        return np.choose(rng.integers(0, len(kinds), CYCLES), kinds)

    row = rng.integers(0, machine.size, CYCLES) * (rng.random(CYCLES) < 0.8)
    row[:30] = np.maximum(row[:30], 1)  # row 0 comes later
    return {"re": part(), "im": part(), "exponent": exponent, "row": row}


def scaled(fields: dict[str, np.ndarray]) -> list[dict]:
    """What golden's `spectrum` makes of these words; frequency 0 is the first of row 0."""
    exponent = torch.from_numpy(fields["exponent"])
    left, right = (exponent - DROPPED).clamp(min=0), (DROPPED - exponent).clamp(min=0)
    parts = [round_shift(torch.from_numpy(fields[part]) << left, right) for part in ("re", "im")]
    for part in parts:
        part[np.flatnonzero(fields["row"] == 0)[0]] = 0
    numbers = zip(*(part.tolist() for part in parts), fields["row"].tolist(), strict=True)
    return [{"re": re, "im": im, "row": row} for re, im, row in numbers]


def play(unit, fields, valid, ready):
    """Words in each cycle that is valid; (cycles in which they were taken, outputs, their cycles).

    The first cycle is the reset's. A word that is not taken is not offered again.
    """
    machine, run = unit
    i, o = packed(column_layout(machine)), packed(spectrum_layout(machine))
    payloads = [
        i.pack(dict(zip(fields, row, strict=True)))
        for row in zip(*(values.tolist() for values in fields.values()), strict=True)
    ]
    reset = np.arange(CYCLES) == 0
    out = run(i__valid=valid, i__payload=as_rows(payloads, i.width), o__ready=ready, rst=reset)
    there = out["o__valid"].astype(bool) & ~reset
    waits = np.flatnonzero(there & ~ready)[:-1]
    assert there[waits + 1].all()
    assert (out["o__payload"][waits] == out["o__payload"][waits + 1]).all(), "it changed"
    taken = np.flatnonzero(valid & out["i__ready"].astype(bool) & ~reset)
    given = np.flatnonzero(there & ready)
    return taken, [o.unpack(n) for n in as_numbers(out["o__payload"][given], o.width)], given


@pytest.mark.parametrize("stalls", [(0.0, 0.5), (0.5, 0.0), (0.3, 0.3), (0.1, 0.8)])
def test_stalls(unit, stalls):
    """Words come out scaled and rounded as by golden's rules, with stalls on both sides."""
    rng = np.random.default_rng(1)
    fields = words(unit[0], rng)
    valid, ready = (rng.random(CYCLES) >= stall for stall in stalls)
    valid[-40:], ready[-40:] = False, True
    taken, got, _ = play(unit, fields, valid, ready)
    same("words", got, scaled({name: values[taken] for name, values in fields.items()}))


def test_a_word_a_cycle(unit):
    """Without stalls a word is taken every cycle and leaves `latency` cycles later."""
    fields = words(unit[0], np.random.default_rng(2))
    always = np.ones(CYCLES, bool)
    taken, _, given = play(unit, fields, always, always)
    assert (taken == np.arange(1, CYCLES)).all()
    assert (given == taken[: len(given)] + Scale.latency).all()
    assert len(given) == CYCLES - 1 - Scale.latency
