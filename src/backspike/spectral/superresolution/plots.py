"""Pictures of what HyRA finds: a network's parts, their spectra, and impulse responses."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from backspike.golden import hyra
from backspike.spectral.superresolution.evaluation import View
from backspike.system.plot_style import BLUE, GREEN, INK, ORANGE, PINK, STYLE

REACH = 6
"""Pixels of the small picture to each side that are shown of an impulse response."""
COLOURS = (BLUE, ORANGE, GREEN, PINK)


def draw(views: dict[tuple[int, str], View], folder: Path) -> list[Path]:
    """Draw into `folder` (made if need be) and return the paths: `NETWORK-xSCALE.png` for each of
    the views, whose keys are scale and network, and `responses.png` of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figures = {f"{name}-x{scale}.png": parts(name, v) for (scale, name), v in views.items()}
        figures["responses.png"] = responses(views)
        for name, figure in figures.items():
            figure.savefig(folder / name)
    return [folder / name for name in figures]


def parts(name: str, view: View) -> Figure:
    """Output, linear and non-linear part, their spectra, and the impulse response."""
    taken = view.parts
    scale = taken.scale
    figure = Figure(figsize=(11, 5.6))
    above, below = figure.subplots(2, 4)
    share = hyra.energy_share(taken.nonlinear, taken.output)
    pictures = (
        ("Output", taken.output),
        ("Linear part", taken.linear),
        (f"Non-linear part, {share:.2%} of the energy", taken.nonlinear),
    )
    spectra = [hyra.spectrum(picture)[0, 0].numpy() for _, picture in pictures]
    top = max(float(spectrum.max()) for spectrum in spectra)
    for i, (title, picture) in enumerate(pictures):
        pixels = picture[0, 0].numpy()
        _image(above[i], title, pixels, "gray", (0, 1) if i < 2 else _around_zero(pixels))
        image = _image(below[i], "log(1 + |spectrum|)", spectra[i], "magma", (0, top))
        _limit(below[i], spectra[i].shape, scale)
    figure.colorbar(image, ax=below[2], shrink=0.8)
    response = _middle(taken)
    _image(above[3], "Impulse response", response, "RdBu_r", _around_zero(response))
    _profiles(below[3], {name: view})
    below[3].set_title("Its middle row")
    figure.suptitle(f"{name} x{scale}: {view.photograph}", x=0.01, ha="left", fontsize=11)
    return figure


def responses(views: dict[tuple[int, str], View]) -> Figure:
    """Middle rows of the impulse responses beside the ideal low-pass kernel, a panel a scale."""
    scales = sorted({scale for scale, _ in views})
    figure = Figure(figsize=(3.6 * len(scales), 3))
    panels = figure.subplots(1, len(scales), squeeze=False, sharey=True)[0]
    for axes, scale in zip(panels, scales, strict=True):
        _profiles(axes, {name: view for (at, name), view in views.items() if at == scale})
        axes.set_title(f"Impulse responses, x{scale}")
    return figure


def _profiles(axes: Any, views: dict[str, View]) -> None:
    """Each response's middle row, and the ideal kernel's."""
    taken = next(iter(views.values())).parts
    scale = taken.scale
    side = scale * (2 * REACH + 1)
    at = (np.arange(side) - (side - 1) / 2) / scale
    fine, middle = np.linspace(at[0], at[-1], 400), len(at) // 2
    ideal = np.sinc(fine) * np.sinc(at[middle])
    axes.plot(fine, ideal, color="#bbbbbb", lw=3, label="ideal low-pass")
    for (name, view), colour in zip(views.items(), COLOURS, strict=False):
        row = _middle(view.parts)[middle]
        axes.plot(at, row, color=colour, marker=".", ms=3, lw=1, label=name)
    axes.axhline(0, color=INK, lw=0.5, zorder=0)
    axes.set_xlabel("pixels of the small picture")
    axes.legend()


def _middle(taken: hyra.Parts) -> np.ndarray:
    """A response up to REACH from its impulse's block."""
    response = taken.response[0, 0].numpy()
    around = max((len(response) - taken.scale * (2 * REACH + 1)) // 2, 0)
    return response[around : len(response) - around, around : len(response) - around]


def _limit(axes: Any, shape: tuple[int, ...], scale: int) -> None:
    """A frame around the frequencies that the small picture can hold."""
    high, wide = shape
    x, y = wide / (2 * scale), high / (2 * scale)
    corners = [(-x, -y), (x, -y), (x, y), (-x, y), (-x, -y)]
    axes.plot(
        *zip(*[(wide // 2 + u, high // 2 + v) for u, v in corners], strict=True),
        color="white",
        lw=0.7,
        ls=":",
    )


def _image(
    axes: Any, title: str, pixels: np.ndarray, colours: str, limits: tuple[float, float]
) -> Any:
    image = axes.imshow(pixels, cmap=colours, vmin=limits[0], vmax=limits[1])
    axes.set_title(title)
    axes.set_axis_off()
    return image


def _around_zero(pixels: np.ndarray) -> tuple[float, float]:
    """Limits that show 0 in the middle; of nothing, those of one grey level."""
    most = max(float(np.abs(pixels).max()), 1 / 255)
    return -most, most
