"""gen.spectral.spectral_sums against sums of Python's integers, after every number."""

import random

import pytest

from backspike.gen.spectral.layout import cumulative_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.separate import parts_layout
from backspike.gen.spectral.spectral_sums import (
    SpectralSums,
    energy_width,
    spectral_total_width,
    terms,
)
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.flows import as_numbers, send

SIZES = [32, 512]
"""512 has the widest numbers that a unit can have."""

pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module", params=SIZES)
def unit(request):
    machine = SpectralMachine(name="bench", size=request.param)
    return machine, ArrayBench(SpectralSums(machine), f"spectral_sums_bench_{request.param}")


def part(image: int, reference: int, n: int, *, lower: int, last: int = 0) -> dict:
    """The n-th payload: a real part if n is even."""
    place = {"start": 0, "lower": lower, "first": 0, "last": last}
    return {"image": image, "reference": reference, "imaginary": n % 2, "place": place}


def running(payloads: list[dict]) -> list[dict[str, int]]:
    """The sums after each part."""
    sums = {"saa": 0, "sbb": 0, "sab": 0, "ta": 0, "tb": 0}
    found = []
    for payload in payloads:
        a, b = payload["image"], payload["reference"]
        sums = sums | {
            "saa": sums["saa"] + a * a,
            "sbb": sums["sbb"] + b * b,
            "sab": sums["sab"] + a * b,
        }
        if payload["place"]["lower"] and not payload["imaginary"]:
            sums = sums | {"ta": sums["ta"] + a, "tb": sums["tb"] + b}
        found.append(sums)
    return found


def check(unit, payloads: list[dict], gap: float = 0.0) -> dict[str, int]:
    """Every sum `latency` cycles after each part is right; the sums at the end.

    `done` rises `latency` cycles after the last. ta and tb, which come sooner, are looked at where
    no part has followed in the meantime.
    """
    machine, run = unit
    out, sent = send(run, parts_layout(cumulative_width(machine)), payloads, random.Random(1), gap)
    want = running(payloads)
    there = sent + SpectralSums.latency
    settled = [n for n, cycle in enumerate(there) if n + 1 == len(sent) or sent[n + 1] > cycle]
    energy, total = energy_width(machine), spectral_total_width(machine)
    widths = dict.fromkeys(("saa", "sbb", "sab"), energy) | dict.fromkeys(("ta", "tb"), total)
    for name, width in widths.items():
        got = as_numbers(out[name][there], width, signed=True)
        for n in settled if name in ("ta", "tb") else range(len(sent)):
            w = want[n][name]
            assert got[n] == w, f"{name} after part {n}: got {got[n]:#x}, want {w:#x}"
    last = payloads[-1]["place"]["last"]
    assert out["done"][1 : there[-1]].sum() == 0
    assert (out["done"][there[-1] :] == last).all()
    return want[-1]


@pytest.mark.parametrize("gap", [0.0, 0.3, 0.9])
def test_random(unit, gap):
    """After each of 300 random parts every sum equals that of Python's integers."""
    rng = random.Random(2)
    width = cumulative_width(unit[0])
    limit = 1 << width - 1

    def number() -> int:
        exact = rng.choice([-limit, limit - 1, 0, -1, 1, (1 << 17) - 1, 1 << 17, -(1 << 17)])
        bits = rng.randrange(1, width)
        return rng.choice(
            [exact, rng.randrange(-limit, limit), rng.randrange(-1 << bits, 1 << bits)]
        )

    lower = [rng.randrange(2) for _ in range(150)]
    payloads = [
        part(number(), number(), n, lower=lower[n // 2], last=int(n >= 298)) for n in range(300)
    ]
    check(unit, payloads, gap)


def test_most(unit):
    """The greatest numbers, as many as there can be: no sum overflows."""
    machine, _ = unit
    limit = 1 << cumulative_width(machine) - 1
    count = min(terms(machine), terms(SpectralMachine(name="32", size=32)))
    payloads = [
        part(-limit * (1 - n % 2), (limit - 1) * (1 - n % 2), n, lower=int(n < count))
        for n in range(2 * count)
    ]
    sums = check(unit, payloads)
    assert sums["saa"] == count * limit**2
    assert (terms(machine) * limit**2).bit_length() < energy_width(machine)
    assert (terms(machine) // 2 * limit).bit_length() <= spectral_total_width(machine) - 1
