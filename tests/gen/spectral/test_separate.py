"""gen.spectral.separate against golden's `separate`."""

import random

import pytest
import torch

from backspike.gen.spectral.column_pairs import pair_layout
from backspike.gen.spectral.layout import separated_width, spectrum_width
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.separate import Separate, parts_layout
from backspike.golden.fft import Words
from backspike.golden.spectral import halves, separate
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.flows import received, same, send
from tests.support.spectral_pairs import as_parts, as_read

MACHINE = SpectralMachine(name="bench", size=16)


@pytest.mark.verilator
def test_separate():
    """Random and extreme numbers, with gaps and without."""
    run = ArrayBench(Separate(MACHINE), "separate_bench")
    limit = 1 << spectrum_width(MACHINE) - 1
    random_numbers = torch.Generator().manual_seed(1)
    shape = parts_layout(separated_width(MACHINE))
    for n, gap in enumerate((0.0, 0.2, 0.7)):
        z = Words(*torch.randint(-limit, limit, (2, 16, 16), generator=random_numbers))
        for part in z:
            part[::3, ::2] = -limit
            part[1::3, ::2] = limit - 1
        want = as_parts(halves(separate(z)))
        out, sent = send(run, pair_layout(MACHINE), as_read(z), random.Random(n), gap)
        got, cycles = received(out, shape)
        same("parts", got, want)
        assert (cycles[::2] - sent[1::2] == Separate.latency).all()
        assert (cycles[1::2] - cycles[::2] == 1).all()
