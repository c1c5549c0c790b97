"""gen.spectral.cumulate against golden's `cumulate`; and that its numbers fit their widths."""

import random

import pytest
import torch

from backspike.gen.spectral.cumulate import Cumulate
from backspike.gen.spectral.layout import cumulative_width, separated_width, spectrum_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.separate import parts_layout
from backspike.gen.spectral.spectral_sums import energy_width, spectral_total_width
from backspike.golden.spectral import cumulate, halves, samples, separate, spectrum, sums
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.flows import received, same, send
from tests.support.spectral_pairs import KINDS, as_parts, pair

MACHINE = SpectralMachine(name="bench", size=32)


@pytest.mark.verilator
def test_cumulate():
    """All kinds of pairs and sizes, with gaps and without."""
    run = ArrayBench(Cumulate(MACHINE), "cumulate_bench")
    separated = parts_layout(separated_width(MACHINE))
    cumulative = parts_layout(cumulative_width(MACHINE))
    for n, kind in enumerate(KINDS):
        height, width = ((8, 8), (32, 32), (16, 32), (32, 8))[n % 4]
        spectra = halves(separate(spectrum(pair(kind, height, width, seed=n))))
        lower, upper = (cumulate(half) for half in spectra)
        rng, gap = random.Random(n), (0.0, 0.2, 0.6)[n % 3]
        out, sent = send(run, separated, as_parts(spectra), rng, gap)
        got, cycles = received(out, cumulative)
        same(f"{kind}: sums", got, as_parts((lower, upper)))
        assert (cycles - sent == Cumulate.latency).all()


def window_image(size: int, rows: int, columns: int) -> torch.Tensor:
    """Pixels for which the cumulative sum over so many rows and columns is as large as can be."""

    def kernel(terms: int) -> torch.Tensor:
        turns = torch.arange(size)[:, None] * torch.arange(terms) / size
        return torch.exp(-2j * torch.pi * turns).sum(1)

    return (torch.outer(kernel(rows), kernel(columns)).real >= 0) * 255


@pytest.mark.parametrize("size", [8, 32])
def test_widths(size):
    """Images that are made to be the worst stay within the widths, and come near them."""
    machine = SpectralMachine(name="bench", size=size)
    width = cumulative_width(machine)
    # Full scale, where the spectrum has its greatest number.
    row, column = torch.arange(size)[:, None], torch.arange(size)[None]
    highest = ((row + column) % 2) * 255
    z = spectrum(samples(highest, highest, 8))
    greatest = max(int(part.abs().max()) for part in z)
    assert 1 << spectrum_width(machine) - 3 < greatest < 1 << spectrum_width(machine) - 1
    largest = energy = total = 0
    corners = {2, size // 4, size // 2}
    for rows in corners:
        for columns in corners | {size // 2 + 1}:
            worst = window_image(size, rows, columns)
            images = samples(worst, 255 - worst, 8)
            lower, upper = (cumulate(half) for half in halves(separate(spectrum(images))))
            for half in (lower, upper):
                largest = max(largest, *(int(part.abs().max()) for part in half))
            found = sums(images)
            energy = max(energy, found.saa, found.sbb, abs(found.sab))
            total = max(total, abs(found.ta), abs(found.tb))
    assert 1 << width - 4 < largest < 1 << width - 1
    assert energy < 1 << energy_width(machine) - 1
    assert total < 1 << spectral_total_width(machine) - 1
