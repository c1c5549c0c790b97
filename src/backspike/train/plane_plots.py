"""Plots of networks in planes: spike planes over time, and learnt kernels."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from backspike.ir.bits import Bits
from backspike.ir.constants import ceil_div

MOST_STEPS = 8
MOST_CHANNELS = 64
MOST_KERNELS = 64
"""Of each so many are shown, the first ones."""
INCH = 1.15
"""Side of a mosaic of planes."""


def planes(spikes: Mapping[str, Bits], label: int) -> Figure:
    """Of a sample a row for each population, a mosaic of its channels for each time step.

    spikes: (T, channels, rows, columns), 0 and 1 or numbers.
    """
    steps = min(MOST_STEPS, next(iter(spikes.values())).shape[0])
    figure = Figure(figsize=(1.3 + INCH * steps, 0.8 + (INCH + 0.25) * len(spikes)))
    panels = figure.subplots(len(spikes), steps, squeeze=False)
    for row, (name, found) in zip(panels, spikes.items(), strict=True):
        channels, rows, columns = found.shape[1:]
        most = max(1, int(found.max()))
        for step, axes in enumerate(row):
            tiled = mosaic(found[step, :MOST_CHANNELS].astype(float))
            axes.imshow(tiled, cmap="Greys", vmin=0, vmax=most, interpolation="nearest")
            axes.set_facecolor("#dbe7f3")
            _bare(axes)
        shown = f"{min(channels, MOST_CHANNELS)} of " if channels > MOST_CHANNELS else ""
        row[0].set_title(
            f"{name}: {shown}{channels} x {rows} x {columns}, {np.mean(found > 0):.0%} spike"
        )
    for step, axes in enumerate(panels[-1]):
        axes.set_xlabel(f"step {step}")
    figure.supxlabel(f"a test sample of class {label}, channels side by side", fontsize=8)
    return figure


def kernels(weights: np.ndarray, name: str) -> Figure:
    """Weights of a convolution, (targets, sources, rows, columns): a row a source, a column a
    target, in one scale."""
    targets, sources = (min(n, MOST_KERNELS) for n in weights.shape[:2])
    shown = weights[:targets, :sources]
    across = min(targets, 16)
    down = ceil_div(targets, across) * sources
    figure = Figure(figsize=(1 + 0.42 * across, 0.9 + 0.42 * down))
    axes = figure.subplots()
    most = float(np.abs(shown).max()) or 1.0
    # Groups of targets below each other, in each a line of kernels for every source.
    lines = [
        shown[first : first + across, source]
        for first in range(0, targets, across)
        for source in range(sources)
    ]
    full = [np.pad(line, ((0, across - len(line)), (0, 0), (0, 0)), constant_values=np.nan)
            for line in lines]  # fmt: skip
    image = axes.imshow(
        mosaic(np.concatenate(full), across), cmap="RdBu_r", vmin=-most, vmax=most,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor("#f2f2f2")
    _bare(axes)
    rows, columns = weights.shape[2:]
    axes.set_title(
        f"{name}: {targets} targets x {sources} sources, {rows} x {columns} weights each"
    )
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return figure


def mosaic(tiles: np.ndarray, across: int | None = None) -> np.ndarray:
    """Tiles (n, rows, columns) side by side, `across` to a row (as square as can be unless given),
    a pixel that is not a number between them."""
    count, rows, columns = tiles.shape
    across = across or math.ceil(math.sqrt(count))
    down = ceil_div(count, across)
    full = np.full((down * across, rows + 1, columns + 1), np.nan)
    full[:count, :rows, :columns] = tiles
    grid = full.reshape(down, across, rows + 1, columns + 1).swapaxes(1, 2)
    return grid.reshape(down * (rows + 1), across * (columns + 1))[:-1, :-1]


def _bare(axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
