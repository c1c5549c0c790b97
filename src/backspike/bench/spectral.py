"""The spectral unit's figures: whole images on the RTL, beside golden and float64."""

import math
from collections.abc import Callable

import torch

from backspike.bench import fft_alone
from backspike.bench.figure import Figure, at_least, at_most
from backspike.bench.rounding import inverse_bound
from backspike.drive.comparison import Counts
from backspike.gen.spectral.machine import (
    LARGEST,
    SMALLEST,
    SPECTRAL_MACHINES,
    SpectralMachine,
)
from backspike.golden.spectral import Samples, samples, sums, transform, transform_lines, values
from backspike.golden.threads import one_thread
from backspike.ir.errors import Mismatch
from backspike.spectral.degrade import Pair, pairs
from backspike.spectral.fsds import Similarity, compare, measure
from backspike.spectral.image_pairs import kinds, opened
from backspike.spectral.photographs import NAMES, crop, grey, photograph
from backspike.system.progress import progress_bar

DISTANCE, SQNR, RATIO = 0.01, 85.0, 1.10
"""Goals: dB from float64; dB; cycles over 2 H W."""
SMALL = SPECTRAL_MACHINES["spectral-32"]
DEEP = SpectralMachine(name="spectral-32x16", size=32, pixel_bits=16)
"""A small unit for pixels of 16 bits: no preset, since its arithmetic is `spectral-128x16`'s."""
OTHERS = tuple(SpectralMachine(name=f"spectral-{n}", size=n) for n in (8, 16, 64, LARGEST))
"""Sizes without a preset."""
SIDES = (8, 16, 32)


# ------------------------------------------------------------------ mismatches of whole images


@one_thread()
def images(counts: Counts, machines: tuple[SpectralMachine, ...] = (SMALL, DEEP)) -> list[Figure]:
    """Every kind of images in every size on small units; and transforms of samples, there and back.

    There is no figure but what is counted.
    """
    for machine in machines:
        sizes = [(h, w) for h in SIDES for w in SIDES if max(h, w) <= machine.size]
        _each_kind(machine, sizes, counts)
    return []


@one_thread()
def sizes(counts: Counts, machines: tuple[SpectralMachine, ...] = OTHERS) -> list[Figure]:
    """The same on units of other sizes, square and as flat as can be. No figure but what is
    counted."""
    for machine in machines:
        n = machine.size
        _each_kind(machine, sorted({(n, n), (n, SMALLEST), (SMALLEST, n)}), counts)
    return []


def _each_kind(machine: SpectralMachine, sizes: list[tuple[int, int]], counts: Counts) -> None:
    with opened(machine) as unit:
        for height, width in progress_bar(sizes, desc=f"images, {machine.name}", unit="size"):
            at = f"{height} x {width}"
            for kind, (a, b) in kinds(height, width, machine.pixel_bits, width).items():
                pair = samples(a, b, machine.pixel_bits)
                compare(unit.sums(a, b), sums(pair), f"{kind}, {at}", counts)
                there = transform(pair)
                compare_samples(unit.transform(pair), there, f"{kind}, {at}", counts)
                back = transform(there, back=True)
                index = f"{kind}, {at}, there and back"
                compare_samples(unit.onward(back=True), back, index, counts)


def compare_samples(got: Samples, want: Samples, index: str, counts: Counts) -> None:
    """Count three tensors; raise Mismatch at the first value that differs."""
    for name, ours, theirs in zip(Samples._fields, got, want, strict=True):
        differs = ours != theirs
        counts.tensors += 1
        counts.values += theirs.numel()
        counts.mismatches += int(differs.sum())
        if differs.any():
            row, column = differs.nonzero()[0].tolist()
            raise Mismatch(
                f"tensor {name}, index {index}, row {row}, column {column}: got "
                f"{int(ours[row, column]):#x}, want {int(theirs[row, column]):#x} "
                f"({int(differs.sum())} of {theirs.numel()} values of this tensor differ)"
            )


# ------------------------------------------------------------------------ FSDS beside float64


def fsds(
    counts: Counts, sizes: tuple[int, ...] = (128, 256), limit: int | None = None
) -> list[Figure]:
    """The pair of photographs whose FSDS is farthest from float64, of each size.

    limit: pairs at the most.
    """
    made = []
    for size in sizes:
        machine = SPECTRAL_MACHINES[f"spectral-{size}"]
        measured: list[tuple[Pair, Similarity]] = []
        with opened(machine) as unit:
            for pair in progress_bar(
                pairs(size)[:limit], desc=f"fsds, {machine.name}", unit="pair"
            ):
                result = measure(
                    pair.reference, pair.degraded, "rtl", machine, unit=unit, counts=counts
                )
                measured.append((pair, result))
        made.append(distance(measured, size))
    return made


def distance(measured: list[tuple[Pair, Similarity]], size: int) -> Figure:
    """The greatest |FSDS - FSDS in float64|, in dB."""
    apart = [abs(result.fsds_db - result.reference_db) for _, result in measured]
    worst, result = measured[apart.index(max(apart))]
    figures = [result.reference_db for _, result in measured]
    colour = sum(len(pair.reference) == 3 for pair, _ in measured)
    how = (
        f"worst of {len(measured)} pairs of photographs, {colour} of them RGB, FSDS "
        f"{min(figures):.1f} to {max(figures):.1f} dB, on the RTL: {worst.name}: "
        f"{result.fsds_db:.4f} beside {result.reference_db:.4f} dB"
    )
    return at_most(f"FSDS beside float64, {size} x {size}, dB", max(apart), DISTANCE, how)


# ------------------------------------------------------------------------- the transform's SQNR


@one_thread()
def sqnr(counts: Counts, size: int = 256, names: tuple[str, ...] = NAMES) -> list[Figure]:
    """The worst photograph, transformed alone and beside another in the imaginary part."""
    tall = {name: photograph(name) for name in names}
    greys = {
        name: torch.from_numpy(crop(grey(pixels), size)[0])
        for name, pixels in tall.items()
        if min(pixels.shape[1:]) >= size
    }
    results = {}
    order = list(greys)
    for n, name in enumerate(progress_bar(order, desc="sqnr", unit="photograph")):
        other = order[n - 1]
        for label, beside in (
            ("alone", torch.full((size, size), 128)),
            (f"and {other}", greys[other]),
        ):
            image = samples(greys[name], beside, 8)
            results[f"{name} {label}"] = noise(image, transform(image)), image
    worst = min(results, key=lambda label: results[label][0])
    decibels, image = results[worst]
    with opened(SPECTRAL_MACHINES[f"spectral-{size}"]) as unit:
        compare_samples(unit.transform(image), transform(image), worst, counts)
    how = (
        f"worst of {len(order)} photographs, each alone and as the real part beside another "
        f"(from {decibels:.1f} to {max(value for value, _ in results.values()):.1f} dB): {worst}; "
        "golden against float64, and the worst on the RTL, bit for bit golden's"
    )
    return [at_least(f"2-D FFT SQNR without DC, {size} x {size}, dB", decibels, SQNR, how)]


def noise(image: Samples, result: Samples) -> float:
    """Energy of the exact transform over that of the error, without frequency 0, in dB."""
    want = torch.fft.fft2(torch.complex(image.re.double(), image.im.double()))
    error = values(result) - want
    want[0, 0] = error[0, 0] = 0
    return 10 * math.log10(want.abs().square().sum() / error.abs().square().sum())


# ---------------------------------------------------------------------------------------- cycles


@one_thread()
def cycles(
    counts: Counts,
    runs: tuple[tuple[str, int, int], ...] = (
        ("spectral-128", 128, 128),
        ("spectral-256", 128, 256),
        ("spectral-256", 256, 128),
        ("spectral-256", 256, 256),
    ),
) -> list[Figure]:
    """Cycles of a pair over 2 H W."""
    found = {}
    for name, height, width in progress_bar(runs, desc="cycles", unit="run"):
        machine = SPECTRAL_MACHINES[name]
        a, b = kinds(height, width, 8, 1)["noise"]
        with opened(machine) as unit:
            compare(unit.sums(a, b), sums(samples(a, b, 8)), f"noise, {height} x {width}", counts)
            found[f"{height} x {width} on {name}"] = unit.cycles, 2 * height * width
    ratios = {run: total / bound for run, (total, bound) in found.items()}
    worst = max(ratios, key=lambda run: ratios[run])
    shown = "; ".join(
        f"{run}: {total:,} of {bound:,}, {ratios[run]:.3f}" for run, (total, bound) in found.items()
    )
    how = f"worst of {len(found)} sizes (H x W), start to results, without the host port: {shown}"
    return [at_most("cycles of a pair of images / 2 H W", ratios[worst], RATIO, how)]


# ------------------------------------------------------------------------- inverse of forward


@one_thread()
def inverse(counts: Counts, size: int = 128) -> list[Figure]:
    """The value that comes nearest to its bound, of noise and of photographs."""
    machine = SPECTRAL_MACHINES[f"spectral-{size}"]
    tried = kinds(size, size, 8, 2)
    crops = [torch.from_numpy(crop(grey(photograph(n)), size)[0]) for n in ("astronaut", "camera")]
    tried["astronaut and camera"] = crops[0], crops[1]
    shares, apart, bounds = {}, {}, {}
    with opened(machine) as unit:
        for kind, (a, b) in progress_bar(tried.items(), desc="inverse", unit="image"):
            image = samples(a, b, 8)
            compare_samples(unit.transform(image), transform(image), f"{kind}, there", counts)
            back, passes = unit.onward(back=True), four_passes(image)
            compare_samples(back, passes[3], f"{kind}, there and back", counts)
            z = torch.complex(image.re.double(), image.im.double())
            error, bound = (
                (values(back, passes=4) / size**2 - z).abs(),
                inverse_bound(image, passes),
            )
            shares[kind] = float((error / bound).max())
            apart[kind], bounds[kind] = float(error.max()), (float(bound.min()), float(bound.max()))
    worst = max(shares, key=lambda kind: shares[kind])
    how = (
        f"every value of {len(tried)} pairs on the RTL: |inverse(forward(z)) / (H W) - z| over its "
        f"bound (bench/rounding.py); worst: {worst}, where bounds are {bounds[worst][0]:.0f} to "
        f"{bounds[worst][1]:.0f} and the greatest error is {apart[worst]:.1f}, in units of which a "
        "grey level has 1,024"
    )
    return [at_most(f"inverse of forward, {size} x {size}, error / bound", shares[worst], 1, how)]


def four_passes(image: Samples) -> list[Samples]:
    """After forward rows and columns and inverse rows and columns."""
    passes = []
    for back in (False, True):
        rows = transform_lines(image, back=back)
        image = transform_lines(rows.transposed(), back=back).transposed()
        passes += [rows, image]
    return passes


GROUPS: dict[str, Callable[[Counts], list[Figure]]] = {
    "images": images,
    "cycles": cycles,
    "inverse": inverse,
    "sqnr": sqnr,
    "fft": fft_alone.figures,
    "fsds": fsds,
    "sizes": sizes,
}
"""Figures that are measured together, in this order."""
