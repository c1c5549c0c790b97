"""The spectral unit's arithmetic: against fractions, the float64 definition, and its widths."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from backspike.gen.spectral import layout
from backspike.gen.spectral.machine import LARGEST, SpectralMachine
from backspike.golden import fsds as definition
from backspike.golden import spectral
from backspike.golden.fft import Words, bit_width
from backspike.golden.spectral import Samples, Spectra, Sums, samples, similarity, sums
from backspike.ir.spectral_constants import MANTISSA, WIDTH
from tests.support.spectral_naive import aligned, nearest, normalised, transformed

SIZES = [(8, 8), (8, 16), (16, 8)]


def random_pixels(shape, seed: int, bits: int = 8) -> list[torch.Tensor]:
    """Reference-like noise, twice."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 1 << bits, shape, generator=g) for _ in range(2)]


def smooth_pixels(channels: int, height: int, width: int, seed: int) -> list[torch.Tensor]:
    """A picture of waves (C, H, W) and the same, a little blurred and noisy; 8 bits."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = torch.stack(
        [
            torch.sin(x * 0.3 * (c + 1) + y * 0.2) + torch.cos(y * y / 40 + c)
            for c in range(channels)
        ]
    )
    picture = (waves * 50 + 128).round()
    other = (waves * 46 + 120 + torch.randn(waves.shape, generator=g) * 4).round()
    return [other.clamp(0, 255).long(), picture.clamp(0, 255).long()]


def some_samples(height: int, width: int, seed: int, spread: int = 12) -> Samples:
    g = torch.Generator().manual_seed(seed)
    shape = (height, width)
    parts = (torch.randint(-(2**17), 2**17, shape, generator=g) for _ in range(2))
    return Samples(*parts, torch.randint(0, spread + 1, shape, generator=g))


def triples(lines: Samples) -> list[list[tuple[int, int, int]]]:
    parts = (part.tolist() for part in lines)
    return [list(zip(*row, strict=True)) for row in zip(*parts, strict=True)]


def naive_pass(rows: list, back: bool) -> list:
    """Rows of (re, im, exponent) transformed."""
    result = []
    for row in rows:
        words, top = aligned(row, 2)
        turn = (lambda z: (z[1], z[0])) if back else (lambda z: z)
        out = [turn(z) for z in transformed([turn(z) for z in words])]
        packed = (normalised(z, 18, 1) for z in out)
        result.append([(*z, e + top) for z, e in packed])
    return result


def transposed(rows: list) -> list:
    return [list(column) for column in zip(*rows, strict=True)]


def test_exponents_and_sizes_fit_the_generators_widths():
    """Four passes of the largest size stay within the bits of exponents and of logs."""
    """The hardware's exponents hold what four passes of the largest size add."""
    widest = layout.transformed_width(WIDTH, LARGEST.bit_length() - 1)
    assert layout.MAX_PASSES * (widest - MANTISSA) < 1 << layout.EXPONENT
    assert LARGEST.bit_length() - 1 < 1 << layout.LOG


@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_become_samples(bits):
    image, reference = random_pixels((8, 16), 1, bits)
    image[0, :2], middle = torch.tensor([0, 2**bits - 1]), 2 ** (bits - 1)
    got = samples(image.to(torch.uint8 if bits == 8 else torch.int32), reference, bits)
    for part, pixels in ((got.re, image), (got.im, reference)):
        want = [[(p - middle) * 2 ** (18 - bits) for p in row] for row in pixels.tolist()]
        assert part.tolist() == want
        assert bit_width(Words(part, part)).max() <= MANTISSA
    assert not got.exponent.any()


@pytest.mark.parametrize("spread", [0, 12, 60])
def test_lines_are_aligned_to_their_greatest(spread):
    lines = some_samples(8, 16, spread, spread)
    lines.re[0, :4] = torch.tensor([-(2**17), 2**17 - 1, -1, 1])
    words, line = spectral.align(lines)
    assert line.shape == (8, 1)
    assert bit_width(words).max() <= WIDTH
    for row, triple in enumerate(triples(lines)):
        want, top = aligned(triple, 2)
        got = list(zip(words.re[row].tolist(), words.im[row].tolist(), strict=True))
        assert (got, line[row].item()) == (want, top)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_bit_of_a_transform(height, width, back):
    image = some_samples(height, width, height + width)
    rows = naive_pass(triples(image), back)
    assert triples(spectral.transform_lines(image, back=back)) == rows
    want = transposed(naive_pass(transposed(rows), back))
    assert triples(spectral.transform(image, back=back)) == want


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 64), (64, 32), (128, 128)])
def test_float64(height, width):
    """SQNR of noise; measured are 97.7 dB forward and 94.7 dB there and back at 128 x 128."""
    image = samples(*random_pixels((height, width), height + width), 8)
    z = torch.complex(image.re.double(), image.im.double())
    got = spectral.transform(image)
    want = torch.fft.fft2(z)
    error = spectral.values(got) - want
    assert 10 * math.log10(want.abs().square().sum() / error.abs().square().sum()) > 97
    back = spectral.values(spectral.transform(got, back=True), passes=4) / (height * width)
    assert 10 * math.log10(z.abs().square().sum() / (back - z).abs().square().sum()) > 94


def test_values_are_mantissas_times_powers():
    result = some_samples(8, 8, 5)
    got = spectral.values(result, passes=3)
    for n, (re, im, e) in enumerate(itertools.chain(*triples(result))):
        want = [Fraction(part) * Fraction(2) ** (e - 6) for part in (re, im)]
        z = got.flatten()[n]
        assert [Fraction(z.real.item()), Fraction(z.imag.item())] == want


def naive_spectrum(pair: Samples) -> list:
    """[row][column] of (re, im)."""
    columns = []
    for column in transposed(naive_pass(triples(pair), False)):
        words, top = aligned(column, 2)
        scale = Fraction(2) ** (top - 10)
        columns.append([tuple(nearest(part * scale) for part in z) for z in transformed(words)])
    columns[0][0] = (0, 0)
    return transposed(columns)


def naive_sums(pair: Samples) -> Sums:
    """All loops."""
    z = naive_spectrum(pair)
    height, width = len(z), len(z[0])
    x, y = (part.flatten().tolist() for part in (pair.re, pair.im))
    saa = sbb = sab = ta = tb = 0
    for rows in (range(height // 2), range(height - 1, height // 2 - 1, -1)):
        cumulated = {}
        for i, r in enumerate(rows):
            run = [0] * 4
            for k in range(width // 2 + 1):
                (p, q), (m, n) = z[r][k], z[-r % height][-k % width]
                own = (p + m, q - n, q + n, m - p)
                run = [a + b for a, b in zip(run, own, strict=True)]
                above = cumulated.get((i - 1, k), (0,) * 4)
                cumulated[i, k] = [a + b for a, b in zip(run, above, strict=True)]
        for a_re, a_im, b_re, b_im in cumulated.values():
            saa += a_re**2 + a_im**2
            sbb += b_re**2 + b_im**2
            sab += a_re * b_re + a_im * b_im
            if rows.step == 1:
                ta, tb = ta + a_re, tb + b_re
    return Sums(
        saa, sbb, sab, ta, tb, x=sum(x), y=sum(y), xx=sum(p * p for p in x),
        yy=sum(p * p for p in y), xy=sum(p * q for p, q in zip(x, y, strict=True)),
    )  # fmt: skip


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_bit_of_the_sums(height, width):
    pair = samples(*(x[0] for x in smooth_pixels(1, height, width, 1)), 8)
    got = spectral.spectrum(pair)
    pairs = [
        list(zip(re, im, strict=True))
        for re, im in zip(got.re.tolist(), got.im.tolist(), strict=True)
    ]
    assert pairs == naive_spectrum(pair)
    assert sums(pair) == naive_sums(pair)
    noise = samples(*random_pixels((height, width), 2, 16), 16)
    assert sums(noise) == naive_sums(noise)


def test_images_are_separated():
    """Of integer spectra with the symmetry that real images have: exactly twice them."""
    height, width = 8, 16
    g = torch.Generator().manual_seed(1)
    rows, columns = -torch.arange(height) % height, -torch.arange(width) % width
    spectra = []
    for _ in range(2):
        re, im = (torch.randint(-999, 999, (height, width), generator=g) for _ in range(2))
        mirrored = re[rows][:, columns], im[rows][:, columns]
        spectra.append((re + mirrored[0], im - mirrored[1]))
    (a_re, a_im), (b_re, b_im) = spectra
    got = spectral.separate(Words(a_re - b_im, a_im + b_re))
    for part, whole in zip(got, (a_re, a_im, b_re, b_im), strict=True):
        assert (part == 2 * whole[:, : width // 2 + 1]).all()


def test_halves_and_cumulative_sums_are_the_definitions():
    g = torch.Generator().manual_seed(2)
    x = torch.randint(-999, 999, (1, 16, 32), generator=g).double()
    whole = torch.fft.rfft2(x[0])
    ours = spectral.halves(Spectra(whole.real, whole.imag, whole.real, whole.imag))
    for half, want in zip(ours, definition.halves(x)[0], strict=True):
        assert (torch.complex(half.image_re, half.image_im) == want).all()
        c = spectral.cumulate(half)
        got, cumulated = torch.complex(c.reference_re, c.reference_im), definition.cumulative(want)
        assert torch.allclose(got, cumulated, rtol=1e-9, atol=1e-6)  # sums in two orders


def test_exact_sums():
    g = torch.Generator().manual_seed(3)
    top = 2**40 - 1
    x, y = (torch.randint(-top, top, (1000,), generator=g) for _ in range(2))
    x[:4], y[:4] = torch.tensor([top, top, -top, -top]), torch.tensor([top, -top, top, -top])
    want = sum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True))
    assert spectral.exact_sum(x, y) == want
    assert spectral.exact_sum(torch.full((2**20,), -top), torch.full((2**20,), top)) == -(
        2**20 * top * top
    )


def channel_sums(image: torch.Tensor, reference: torch.Tensor, bits: int = 8) -> list[Sums]:
    return [sums(samples(a, b, bits)) for a, b in zip(image, reference, strict=True)]


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 8, 8), (1, 16, 64), (3, 64, 16), (2, 32, 32), (1, 128, 128)]
)
def test_similarity_is_the_definitions(shape):
    for image, reference in (smooth_pixels(*shape, 1), random_pixels(shape, 2)):
        got = similarity(channel_sums(image, reference), *shape[1:])
        assert got == pytest.approx(definition.fsds(image, reference).item(), abs=0.002)
    bright = torch.cat([image[:1] // 9 + 200, image[1:] // 3])  # channels of several means
    got = similarity(channel_sums(bright, reference), *shape[1:])
    assert got == pytest.approx(definition.fsds(bright, reference).item(), abs=0.002)


@pytest.mark.parametrize("shape", [(1, 8, 16), (3, 16, 8)])
def test_similarity_is_what_the_spectra_say(shape):
    """The formula alone: from the integer spectra in float64, frequency 0 and scales put in."""
    image, reference = smooth_pixels(*shape, 4)
    channels, height, width = shape
    n = channels * height * width
    unit = 2.0**spectral.UNIT
    pixels = [x.double() * 2**10 for x in (image, reference)]
    cumulated = ([], [])
    for c in range(channels):
        z = spectral.spectrum(samples(image[c], reference[c], 8))
        separated = spectral.separate(z)
        for which, x in enumerate(pixels):
            s = torch.complex(*(part.double() * unit for part in separated[2 * which :][:2]))
            s[0, 0] = x[c].sum() - x.sum() / channels
            s = s / torch.sqrt(((x - x.mean()) ** 2).sum() / (n - 1))
            for half in (s[: height // 2], s[height // 2 :].flip(0)):
                cumulated[which].append(half.cumsum(0).cumsum(1))
    a, b = (torch.stack(x) for x in cumulated)
    want = -10 * math.log10((a - b).abs().square().sum() / b.abs().square().sum())
    assert similarity(channel_sums(image, reference), height, width) == pytest.approx(
        want, abs=1e-8
    )


def test_equal_images():
    image, _ = smooth_pixels(3, 16, 16, 1)
    for other in (image, image // 2 * 2 // 2 + 100):
        same = (image // 2 * 2) if other is not image else image
        assert similarity(channel_sums(other, same), 16, 16) == math.inf
    # A negative is as unlike as can be: the spectrum's difference is twice the spectrum.
    negative = similarity(channel_sums(255 - image, image), 16, 16)
    assert negative == pytest.approx(-10 * math.log10(4), abs=1e-3)
    nearly = image.clone()
    nearly[0, 0, 0] += 1
    assert math.isfinite(similarity(channel_sums(nearly, image), 16, 16))


@pytest.mark.parametrize("flat", [0, 128, 255])
def test_contrast_is_needed(flat):
    image, _ = smooth_pixels(1, 8, 8, 1)
    flat = torch.full_like(image, flat)
    for pair, name in (((flat, image), "image"), ((image, flat), "reference")):
        with pytest.raises(ValueError, match=f"the {name} has no contrast"):
            similarity(channel_sums(*pair), 8, 8)
    # Flat channels of several levels are a picture with contrast.
    steps = torch.cat([flat, 255 - flat, flat // 2 + 30])
    other = torch.cat([image, image // 2, image // 3])
    got = similarity(channel_sums(other, steps), 8, 8)
    assert got == pytest.approx(definition.fsds(other, steps).item(), abs=0.002)


def test_sums_add():
    one, two = Sums(*range(10)), Sums(*range(0, 100, 10))
    assert one + two == Sums(*range(0, 110, 11))


def extremes(size: int) -> list[torch.Tensor]:
    """Images of least and greatest pixels: each makes one number of a spectrum, or one cumulative
    sum, as large as it can be."""
    n = torch.arange(size)
    tones = [
        torch.cos(2 * math.pi * (n * k / size + turn))
        for k, turn in ((1, 0), (1, 0.125), (size // 2, 0), (size // 2 - 1, 0.25))
    ]
    windows = []
    for rows in (size // 4, size // 2):
        angle = 2 * math.pi * torch.outer(torch.arange(rows), n) / size
        windows += [torch.cos(angle).sum(0), torch.sin(angle).sum(0)]
    made = []
    for vertical, horizontal in itertools.product(tones + windows, repeat=2):
        positive = torch.outer(vertical, horizontal) > 0
        made += [positive * 255, ~positive * 255]
    return made


@pytest.mark.parametrize("size", [8, 16, 32])
def test_nothing_outgrows_its_width(size):
    """Pairs of extreme images, the second in a quarter of the first's phase or like it."""
    machine = SpectralMachine(name="test", size=size)
    bits = {"spectrum": 0, "separated": 0, "cumulative": 0}
    images = extremes(size)
    for image, other in zip(images, images[3:] + images[:3], strict=True):
        for reference in (image, other, 255 - image):
            z = spectral.spectrum(samples(image, reference, 8))
            separated = spectral.separate(z)
            cumulated = [spectral.cumulate(half) for half in spectral.halves(separated)]
            for name, parts in (
                ("spectrum", z), ("separated", separated), ("cumulative", sum(cumulated, ()))
            ):  # fmt: skip
                parts = (
                    torch.stack([part.flatten() for part in parts[:2]]),
                    torch.stack([part.flatten() for part in parts[-2:]]),
                )
                bits[name] = max(bits[name], int(bit_width(Words(*parts)).max()))
    assert bits["spectrum"] <= layout.spectrum_width(machine)
    assert bits["separated"] <= layout.separated_width(machine)
    assert bits["cumulative"] <= layout.cumulative_width(machine)
    # And none is wider than it need be by more than a bit.
    assert bits["spectrum"] >= layout.spectrum_width(machine) - 1
    assert bits["separated"] >= layout.separated_width(machine) - 1
    assert bits["cumulative"] >= layout.cumulative_width(machine) - 1
