"""Pictures of spectra: what two images have at each frequency, and what FSDS makes of it."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backspike.golden.fsds import cumulative, halves, normalise
from backspike.system.plot_style import STYLE

RANGE = 80
"""Decibels from the largest magnitude down that are shown: what is below is as good as nothing."""
DIFFERENCE = 20
"""Decibels that one spectrum's magnitude may be above or below the other's, to be told apart."""
TINY = 1e-12
"""Magnitude that stands for 0 in a logarithm; normalised images have sums of squares near H W."""


def draw(reference: np.ndarray, image: np.ndarray, folder: Path) -> list[Path]:
    """Draw into `folder` (made if need be) and return the paths: `spectra.png`, `cumulative.png`.

    reference, image: (C, H, W) of equal shapes, with contrast. Taken whole, in float64.
    """
    folder.mkdir(parents=True, exist_ok=True)
    b, a = (halves(normalise(torch.from_numpy(x.astype(np.int64)))) for x in (reference, image))
    with matplotlib.rc_context(STYLE):
        figures = {
            "spectra.png": spectra(a.numpy(), b.numpy()),
            "cumulative.png": cumulated(cumulative(a).numpy(), cumulative(b).numpy()),
        }
        for name, figure in figures.items():
            figure.savefig(folder / name)
    return [folder / name for name in figures]


def spectra(a: np.ndarray, b: np.ndarray) -> Figure:
    """Magnitudes of both spectra, and of the image's over the reference's, in dB.

    a: the image's, b: the reference's, complex (C, 2, h, w), as `golden.fsds.halves` gives them.
    """
    figure = Figure(figsize=(8.5, 4.6))
    panels = figure.subplots(1, 3, sharey=True)
    shown = [decibels(plane(x)) for x in (b, a)]
    _magnitudes(figure, panels[:2], shown, ("Reference", "Image"))
    bar = panels[2].imshow(
        shown[1] - shown[0], cmap="RdBu_r", vmin=-DIFFERENCE, vmax=DIFFERENCE, **_place(b)
    )
    panels[2].set_title("Image over reference")
    figure.colorbar(bar, ax=panels[2], orientation="horizontal", label="dB", extend="both")
    _axes(panels)
    return figure


def cumulated(a: np.ndarray, b: np.ndarray) -> Figure:
    """Magnitudes of both cumulative spectra and of their difference, whose energies FSDS compares.

    a: the image's, b: the reference's, complex (C, 2, h, w), as `golden.fsds.cumulative` gives them
    of both halves.
    """
    figure = Figure(figsize=(8.5, 4.6))
    panels = figure.subplots(1, 3, sharey=True)
    shown = [decibels(plane(x)) for x in (b, a, a - b)]
    titles = ("Reference, cumulated", "Image, cumulated", "Difference of the two")
    _magnitudes(figure, panels, shown, titles)
    _axes(panels)
    return figure


def plane(x: np.ndarray) -> np.ndarray:
    """Magnitudes, root mean square over channels: (C, 2, h, w) -> (2 h, w), rows from the lowest
    frequency, that of the upper half's last row, to the highest."""
    magnitude = np.sqrt((np.abs(x) ** 2).mean(0))
    return np.concatenate((magnitude[1, ::-1], magnitude[0]))


def decibels(magnitude: np.ndarray) -> np.ndarray:
    return 20 * np.log10(np.maximum(magnitude, TINY))


def _magnitudes(figure: Figure, panels, shown: list[np.ndarray], titles: tuple[str, ...]) -> None:
    """Panels on one scale of colours, from the greatest of all."""
    top = max(values.max() for values in shown)
    for axes, values, title in zip(panels, shown, titles, strict=True):
        height, width = values.shape
        bar = axes.imshow(values - top, cmap="magma", vmin=-RANGE, vmax=0, **_extent(height, width))
        axes.set_title(title)
    figure.colorbar(
        bar, ax=list(panels), orientation="horizontal", label="dB, the greatest is 0",
        extend="min", fraction=0.05, aspect=40,
    )  # fmt: skip


def _place(x: np.ndarray) -> dict:
    return _extent(2 * x.shape[-2], x.shape[-1])


def _extent(height: int, width: int) -> dict:
    """Rows -h .. h - 1 upwards and columns 0 .. w - 1, each number in its cell's middle."""
    half = height // 2
    return {
        "origin": "lower",
        "extent": (-0.5, width - 0.5, -half - 0.5, half - 0.5),
        "interpolation": "nearest",
        "aspect": "auto",
    }


def _axes(panels: list[Axes] | np.ndarray) -> None:
    panels[0].set_ylabel("vertical frequency")
    for axes in panels:
        axes.set_xlabel("horizontal frequency")
