"""The spectral unit's figures: how they are counted; on small units, and one in software."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from amaranth.hdl import Fragment

from backspike.bench import fft_alone, rounding, run, spectral
from backspike.bench.figure import above, at_most, below
from backspike.drive.comparison import Counts
from backspike.golden.fft import Words, butterfly, quarter_turn, twiddles
from backspike.golden.spectral import Samples, samples, sums, transform, values
from backspike.ir.errors import Mismatch, UserError
from backspike.spectral import image_pairs
from backspike.spectral.degrade import Pair
from backspike.system.toolset import WASM
from tests.support.software_unit import SMALL, Software


class Transforming(Software):
    """Transforms too; `flip`: what is wrong in every result."""

    def __init__(self, machine=SMALL, **wrong):
        self.flip = wrong.pop("flip", 0)
        super().__init__(machine, **wrong)
        self.image: Samples | None = None

    def transform(self, image, *, back=False):
        self.image = transform(image, back=back)
        return self.image._replace(im=self.image.im ^ self.flip)

    def onward(self, *, back=False):
        assert self.image is not None
        return self.transform(self.image, back=back)


@pytest.fixture
def opened(monkeypatch):
    """Machines whose units were opened; all of them in software."""
    machines = []

    def make(machine):
        machines.append(machine)
        return Transforming(machine)

    monkeypatch.setattr(image_pairs, "SpectralRTL", make)
    return machines


# ---------------------------------------------------------------------------------- mismatches


@pytest.mark.verilator
def test_images_on_the_simulated_unit():
    """The simulated unit's sums and transforms of every kind of image equal golden's."""
    counts = Counts()
    assert spectral.images(counts, machines=(SMALL,)) == []
    pixels = sum(h * w for h in spectral.SIDES for w in spectral.SIDES)
    # Of each of 5 kinds: ten sums; three tensors of a transform, and of its inverse.
    assert counts == Counts(tensors=9 * 5 * 16, values=5 * (9 * 10 + 6 * pixels), mismatches=0)


def test_units_of_other_sizes_have_square_and_flat_images(monkeypatch):
    """Units of other sizes are tried with square and flat images, and every value is counted."""
    monkeypatch.setattr(image_pairs, "SpectralRTL", Transforming)
    assert [m.size for m in spectral.OTHERS] == [8, 16, 64, 512]
    for machine, pixels in zip(spectral.OTHERS[:2], ([64], [256, 128, 128]), strict=True):
        counts = Counts()
        assert spectral.sizes(counts, machines=(machine,)) == []
        values = 5 * sum(10 + 6 * n for n in pixels)
        assert counts == Counts(tensors=len(pixels) * 5 * 16, values=values, mismatches=0)


def test_images_are_of_all_their_kinds():
    """The test images reach both ends of the grey scale, differ by kind and repeat for one seed."""
    for bits in (8, 16):
        kinds = spectral.kinds(8, 16, bits, 1)
        everything = torch.stack([torch.stack(pair) for pair in kinds.values()])
        assert everything.shape == (5, 2, 8, 16)
        assert (everything.min(), everything.max()) == (0, 2**bits - 1)
        assert kinds["faint"][0].unique().numel() == 3
        assert all(pair[0].unique().numel() > 1 for pair in kinds.values())
        again = spectral.kinds(8, 16, bits, 1)
        assert all((again[k][0] == kinds[k][0]).all() for k in kinds)


def test_a_sum_or_a_sample_that_differs_is_named(monkeypatch):
    """The first sum or sample that differs is a Mismatch with tensor, place and value."""
    counts = Counts()
    monkeypatch.setattr(image_pairs, "SpectralRTL", lambda m: Transforming(m, wrong={"yy": 1}))
    with pytest.raises(Mismatch, match="tensor yy, index noise, 8 x 8: got 0x1 "):
        spectral.images(counts, machines=(SMALL,))
    assert (counts.values, counts.mismatches) == (10, 1)
    monkeypatch.setattr(image_pairs, "SpectralRTL", lambda m: Transforming(m, flip=1))
    with pytest.raises(Mismatch, match=r"tensor im, index noise, 8 x 8, row 0, column 0: got 0x"):
        spectral.images(counts, machines=(SMALL,))


def test_all_that_differs_is_counted():
    """A Mismatch names the first sample that differs, and all are counted."""
    want = transform(samples(*spectral.kinds(8, 16, 8, 1)["noise"], 8))
    got = want._replace(re=want.re.clone())
    got.re[2, 5] += 1
    got.re[3, 1] += 1
    counts = Counts()
    message = (
        rf"tensor re, index here, row 2, column 5: got {int(got.re[2, 5]):#x}, want "
        rf"{int(want.re[2, 5]):#x} \(2 of 128 values of this tensor differ\)"
    )
    with pytest.raises(Mismatch, match=message):
        spectral.compare_samples(got, want, "here", counts)
    assert counts == Counts(tensors=1, values=128, mismatches=2)


# -------------------------------------------------------------------------------------- figures


def measured(name: str, got: float, want: float):
    pair = Pair(name, "blur", np.zeros((3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8))
    return pair, SimpleNamespace(fsds_db=got, reference_db=want)


def test_the_pair_farthest_from_float64_is_the_figure():
    """The figure is the largest distance of FSDS to float64 over all pairs, and names the pair."""
    figure = spectral.distance(
        [measured("a", 30.004, 30), measured("b", 9.989, 10), measured("c", 50, 50.001)], 128
    )
    assert figure.value == pytest.approx(0.011)
    assert figure.met is False
    assert "worst of 3 pairs of photographs, 3 of them RGB, FSDS 10.0 to 50.0 dB" in figure.how
    assert figure.how.endswith("b RGB, blur: 9.9890 beside 10.0000 dB")


def test_pairs_are_measured_on_the_unit_of_their_size(opened):
    """Pairs of a size are measured on the unit of that size, every channel's sums compared."""
    counts = Counts()
    (figure,) = spectral.fsds(counts, sizes=(128,), limit=2)
    assert (figure.met, [m.name for m in opened]) == (True, ["spectral-128"])
    assert counts.values == (3 + 1) * 10  # RGB and grey


def test_noise_is_the_exact_transform_over_the_error():
    """The signal-to-noise ratio equals one from torch's FFT, without the frequency zero."""
    image = samples(*spectral.kinds(16, 8, 8, 3)["noise"], 8)
    result = transform(image)
    z = torch.fft.fft2(torch.complex(image.re.double(), image.im.double()))
    error = (values(result) - z).flatten()[1:].abs().square().sum()
    want = 10 * math.log10(z.flatten()[1:].abs().square().sum() / error)
    assert spectral.noise(image, result) == pytest.approx(want, abs=1e-9)
    offset = result._replace(re=result.re.clone())
    offset.re[0, 0] += 10000
    assert spectral.noise(image, offset) == spectral.noise(image, result)


def test_sqnr_is_of_the_worst_photograph(opened):
    """The figure is the worst ratio over the photographs that are large enough."""
    names, counts = ("moon", "microaneurysms", "coffee"), Counts()  # the second is too small
    (figure,) = spectral.sqnr(counts, 128, names)
    crops = [spectral.crop(spectral.grey(spectral.photograph(n)), 128)[0] for n in names[::2]]
    a, b = (torch.from_numpy(x) for x in crops)
    middle = torch.full_like(a, 128)
    results = []
    for pair in ((a, middle), (b, middle), (a, b), (b, a)):
        image = samples(*pair, 8)
        results.append(spectral.noise(image, transform(image)))
    assert figure.value == min(results)
    assert "worst of 2 photographs" in figure.how
    assert counts.values == 3 * 128 * 128


def test_cycles_are_those_of_the_worst_size(opened):
    """The figure is the worst ratio of cycles to bound over the sizes."""
    counts = Counts()
    runs = (("spectral-32", 8, 8), ("spectral-32", 8, 16))
    (figure,) = spectral.cycles(counts, runs)
    assert figure.value == (2 * 64 + 7) / (2 * 64)
    assert "8 x 8 on spectral-32: 135 of 128, 1.055; 8 x 16 on" in figure.how
    assert counts.values == 20


def test_the_inverse_is_compared_and_bounded(opened, monkeypatch):
    """There and back differs by less than the bound; a bound that is too small is not met."""
    monkeypatch.setitem(spectral.SPECTRAL_MACHINES, "spectral-16", replace(SMALL, size=16))
    counts = Counts()
    (figure,) = spectral.inverse(counts, 16)
    assert figure.value is not None
    assert 0 < figure.value < 0.2
    assert counts.values == 6 * 2 * 3 * 256
    monkeypatch.setattr(spectral, "inverse_bound", lambda image, passes: torch.ones(16, 16))
    assert spectral.inverse(counts, 16)[0].met is False


# ------------------------------------------------------------------------------ the bound's parts


def exact_line(z: torch.Tensor) -> torch.Tensor:
    """The transform of lines with rounded factors and no other rounding; complex128."""
    words, block = Words(z.real.clone(), z.imag.clone()), z.shape[-1]
    points = block
    while block > 1:
        words = butterfly(words, block)
        if block.bit_length() % 2:
            words = quarter_turn(words, block)
        elif block > 2:
            c, s = (part.repeat(-(-points // (2 * block)))[:points] / 2**16
                    for part in twiddles(2 * block))  # fmt: skip
            words = Words(words.re * c - words.im * s, words.re * s + words.im * c)
        block //= 2
    place = [int(f"{n:0{points.bit_length() - 1}b}"[::-1], 2) for n in range(points)]
    return torch.complex(*words)[..., place]


def exact(z: torch.Tensor, back: bool) -> torch.Tensor:
    """Rows, then columns."""
    for _ in range(2):
        z = (exact_line(z.conj().resolve_conj()).conj() if back else exact_line(z)).mT
    return z


SIZES = [(8, 8), (16, 8), (8, 32), (32, 32)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_roundings_and_factors_keep_to_their_own_bounds(height, width):
    """Errors of the rounded factors and of the roundings each keep to their part of the bound."""
    for seed in range(2):
        for kind, pair in spectral.kinds(height, width, 8, seed).items():
            image = samples(*pair, 8)
            passes = spectral.four_passes(image)
            z, points = torch.complex(image.re.double(), image.im.double()), height * width
            ideal = exact(exact(z, False), True) / points
            moved = rounding.map_shift(height, width) * z.abs().max()
            assert (ideal - z).abs().max() <= moved, kind
            bound = rounding.inverse_bound(image, passes)
            got = values(passes[3], passes=4) / points
            assert ((got - ideal).abs() <= bound - moved).all(), kind
            assert ((got - z).abs() <= bound).all(), kind
            assert bound.max() < 1024 / 2  # so that rounding to a grey level is exact


def test_eight_points_have_one_factor_that_is_not_exact():
    """√½ (1 - j), whose rounded square is too large by e: it moves points 1 and 3 of each half by
    e / 2, and their partners in the other half as much."""
    excess = 2 * (46341 / 2**16) ** 2 - 1
    assert rounding.map_distance(8) == pytest.approx(abs(excess), rel=1e-3)


def test_the_parts_of_the_bound():
    """A line of 16 points by hand: exponents 5, 9 and 9, results with 2 more and none more."""
    zero = torch.zeros(1, 16, dtype=torch.int64)
    exponents = torch.tensor([[5, 9] * 8])
    result = torch.tensor([[11, 9] * 8])
    greatest = zero.clone()
    greatest[0, 0] = 2**17 - 1
    lines, after = Samples(zero, zero, exponents), Samples(greatest, zero, result)
    aligned, rotated, packed = rounding.pass_errors(lines, after, 1)
    unit = 2.0 ** (9 - 4)
    half = math.sqrt(0.5)
    assert aligned[0].tolist() == [half * unit, 0] * 8
    assert rotated.tolist() == [[half * unit]]
    assert packed[0, :3].tolist() == [math.hypot(1, 0.5) * 4 * unit, 0, half * 4 * unit]
    # One rotation, which leaves blocks of 4 points.
    single = rounding.single_errors(aligned, rotated, packed, 16)
    assert single[0, 1].item() == pytest.approx(8 * half * unit + 4 * half * unit)
    whole = rounding.total_error(aligned, rotated, torch.zeros(1, 16), 16)
    squares = math.sqrt(8 * 0.5) * 4 + math.sqrt(16 * 0.5) * 2
    assert whole == pytest.approx(squares * unit)
    assert [rounding.rotation_blocks(n) for n in (8, 16, 32, 128, 512)] == [
        [4], [4], [4, 16], [4, 16, 64], [4, 16, 64, 256]
    ]  # fmt: skip


# ------------------------------------------------------------------------------- the FFT alone


def test_the_transform_alone_is_measured_or_listed(monkeypatch):
    """The FFT alone is built and measured; without tools, its figures have no value."""

    def missing(tool):
        raise UserError(f"{tool} is not found")

    monkeypatch.setattr(fft_alone, "WASM", SimpleNamespace(find=missing, program=WASM.program))
    figures = fft_alone.figures(Counts())
    assert [f.value is None for f in figures] == [False, True, True, True]
    assert figures[0].met
    assert figures[0].value == pytest.approx(95.8, abs=0.2)
    assert [f.goal for f in figures] == [">= 88", "< 2752", "<= 12", "> 96"]
    assert "not measured here: yosys is not found" in figures[1].how

    monkeypatch.setattr(fft_alone, "WASM", SimpleNamespace(find=str, program=WASM.program))
    built = []

    def fit(component, seeds):
        built.append(component())
        Fragment.get(built[0], None)
        return SimpleNamespace(luts=2752, ffs=1, dsps=12, mhz=(90.0, 110.0, 96.5))

    monkeypatch.setattr(fft_alone, "report", fit)
    figures = fft_alone.figures(Counts())
    assert [(f.value, f.met) for f in figures[1:]] == [(2752, False), (12, True), (96.5, True)]
    assert figures[3].how.endswith("(90, 96, 110)")
    (component,) = built
    assert type(component).__name__ == "FFT"


# ------------------------------------------------------------------------------------- the run


def test_goals_that_must_be_passed():
    """`below` and `above` miss a value equal to their goal."""
    assert [below("a", value, 5, "").met for value in (4.9, 5)] == [True, False]
    assert [above("a", value, 5, "").met for value in (5.1, 5)] == [True, False]


def test_spectral_groups_are_chosen_by_their_option(monkeypatch, capsys):
    """The spectral subject has its own groups, and a group of another subject is a UserError."""

    def group(name: str):
        return lambda counts: [at_most(name, 1, 2, "")]

    monkeypatch.setitem(run.SUBJECTS, "core", {"core": group("core")})
    monkeypatch.setitem(run.SUBJECTS, "spectral", {n: group(n) for n in ("images", "fsds")})
    assert run.bench("-", subject="spectral") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [f["figure"] for f in figures] == ["images", "fsds"]
    assert run.bench("-", ["fsds"], subject="spectral") == 0
    assert [f["figure"] for f in json.loads(capsys.readouterr().out)] == ["fsds"]
    with pytest.raises(UserError, match=r"only is 'core', must be of images, fsds"):
        run.bench("-", ["core"], subject="spectral")
    with pytest.raises(UserError, match=r"only is 'fsds', must be of core"):
        run.bench("-", ["fsds"])
    assert list(spectral.GROUPS) == ["images", "cycles", "inverse", "sqnr", "fft", "fsds", "sizes"]


def test_sums_of_a_software_unit_are_goldens():
    """The software stand-in gives golden's sums."""
    a, b = spectral.kinds(8, 8, 8, 1)["noise"]
    assert Software().sums(a, b) == sums(samples(a, b, 8))
