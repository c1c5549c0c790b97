"""Plots of a run: loss and accuracy, spikes of a sample, classes, what the engines did; of networks
in planes also these and kernels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.system.plot_style import BLUE, GREEN, ORANGE, PINK, SKY, SOFT, STYLE, YELLOW
from backspike.train.plane_plots import kernels, planes
from backspike.train.report import NAMES, headline
from backspike.train.result import Result

NAMES_OF_FIGURES = ("training", "spikes", "planes", "kernels", "classes", "engines")
KINDS = ("png", "svg")
LOSSES = {
    "ce": "cross-entropy", "ce-every": "cross-entropy of all steps", "mse": "squared error",
}  # fmt: skip
MOST_COUNTS = 30
"""Classes up to which numbers are written into the confusion matrix."""
LAYER_COLOURS = (SOFT, BLUE, GREEN, ORANGE)


@dataclass(frozen=True)
class Sample:
    """What plots show of test samples.

    spikes: uint8 (T, N) of the input and every population that spikes, of one sample; label: its
    class. confusion: int64, test samples by label (rows) and predicted class (columns), or None.
    planes: shapes (channels, rows, columns) of those that lie in planes. kernels: weights (targets,
    sources, rows, columns) of the first convolution by its name, if there is one.
    """

    spikes: dict[str, Bits]
    label: int
    confusion: np.ndarray | None
    planes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    kernels: tuple[str, np.ndarray] | None = None


def check_free(folder: Path) -> None:
    """UserError if a figure is in the folder already."""
    for name in NAMES_OF_FIGURES:
        for kind in KINDS:
            if os.path.lexists(path := folder / f"{name}.{kind}"):
                raise UserError(
                    f"plots {path} is there already, must be removed, or drawn over with --force"
                )


def draw(result: Result, sample: Sample, folder: Path) -> list[Path]:
    """Draw into `folder` (made if need be) and return the paths: `training`, `spikes`, of
    a network in planes `planes` and `kernels`, `classes` and, of a backend with counters,
    `engines`, each as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "backspike"}):
        figures = {"training": training(result), "spikes": raster(sample.spikes, sample.label)}
        if sample.planes:
            shaped = {
                name: sample.spikes[name].reshape(-1, *shape)
                for name, shape in sample.planes.items()
            }
            figures["planes"] = planes(shaped, sample.label)
        if sample.kernels is not None:
            name, weights = sample.kernels
            figures["kernels"] = kernels(weights, name)
        if sample.confusion is not None:
            figures["classes"] = classes(sample.confusion)
        if result.counters is not None:
            figures["engines"] = engines(result.counters)
        for name, figure in figures.items():
            entitle(figure, result)
            for kind in KINDS:
                paths.append(folder / f"{name}.{kind}")
                about = {"Date": None} if kind == "svg" else None
                figure.savefig(paths[-1], metadata=about)
    return paths


def entitle(figure: Figure, result: Result) -> None:
    """Network, machine, seed and data, above what is drawn."""
    about = f"{headline(result)}; data {result.data.get('name', '')}"
    figure.suptitle(fill(about, int(figure.get_figwidth() * 16)), x=0.01, ha="left", fontsize=8)


def training(result: Result) -> Figure:
    """Loss and accuracy over epochs, beside the accuracy of guessing."""
    figure = Figure(figsize=(7, 3))
    loss, accuracy = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in result.history]
    marker = "o" if len(epochs) < 30 else None
    loss.plot(epochs, [e["loss"] for e in result.history], color=BLUE, marker=marker, ms=3)
    name = LOSSES.get(result.loss, result.loss)
    loss.set(title=f"Loss ({name}), mean of an epoch", ylim=(0, None))
    parts = (("accuracy", SOFT, "training samples, before each update"),
             ("test", ORANGE, "test samples, after the epoch"))  # fmt: skip
    for part, colour, what in parts:
        shown = [e for e in result.history if part in e]
        if shown:
            shares, at = [e[part] for e in shown], [e["epoch"] for e in shown]
            accuracy.plot(at, shares, color=colour, marker=marker, ms=3, label=what)
    chance = 1 / result.layers[-1]
    accuracy.axhline(chance, color="#999999", lw=0.8, ls="--", label=f"guessing ({chance:.0%})")
    accuracy.set(title="Accuracy", ylim=(0, 1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    accuracy.legend(loc="lower right", fontsize=7)
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#eeeeee")
        axes.set_axisbelow(True)
    return figure


def classes(confusion: np.ndarray) -> Figure:
    """The confusion matrix: test samples by label and predicted class."""
    size = len(confusion)
    side = min(1.6 + 0.32 * size, 12)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    total = np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(confusion / total, cmap="Blues", vmin=0, vmax=1)
    if size <= MOST_COUNTS:
        for y, x in np.argwhere(confusion):
            dark = confusion[y, x] > total[y, 0] / 2
            axes.text(x, y, str(confusion[y, x]), ha="center", va="center", fontsize=7,
                      color="white" if dark else "black")  # fmt: skip
    right = int(np.trace(confusion))
    axes.set(
        title=f"{right} of {int(confusion.sum())} test samples right",
        xlabel="predicted class", ylabel="label",
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def raster(spikes: dict[str, Bits], label: int) -> Figure:
    """A dash for every spike: neurons up, time steps to the right, a panel a layer."""
    steps = next(iter(spikes.values())).shape[0]
    heights = [max(np.sqrt(bits.shape[1]), 3) for bits in spikes.values()]
    figure = Figure(figsize=(5.5, 1 + 0.19 * sum(heights)))
    panels = figure.subplots(
        len(spikes), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for i, (axes, (name, bits)) in enumerate(zip(panels, spikes.items(), strict=True)):
        t, neurons = np.nonzero(bits)
        colour = LAYER_COLOURS[i % len(LAYER_COLOURS)]
        thick = min(4.0, 150 * heights[i] * 0.19 / bits.shape[1] * 0.3)
        axes.hlines(neurons, t + 0.08, t + 0.92, color=colour, lw=max(thick, 0.8))
        axes.set_title(
            f"{name}: {bits.mean():.0%} of {bits.shape[1]} neurons x {steps} steps spike"
        )
        axes.set(ylabel="neuron", ylim=(-1, bits.shape[1]), xlim=(0, steps))
        axes.set_xticks(np.arange(steps) + 0.5, [str(step) for step in range(steps)])
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        for step in range(1, steps):
            axes.axvline(step, color="#eeeeee", lw=0.8, zorder=0)
    panels[-1].set_xlabel(f"time step (a test sample of class {label})")
    return figure


def engines(counters: dict) -> Figure:
    """How each engine spent the cycles of training: at its bound, above it, waiting, idle.

    counters: `total` and of each engine `busy`, `bound` and, if it has them, `stalled`: cycles by
    cause, of which `vector` and `drain` are among the busy ones and `token` is not.
    """
    figure = Figure(figsize=(7, 2.6))
    axes = figure.subplots()
    total = max(counters["total"], 1)
    for row, engine in enumerate(reversed(ENGINES)):
        left = 0
        for name, (cycles, colour) in _shares(counters[engine], total).items():
            label = name if row == 0 else None
            axes.barh(row, cycles / total, 0.6, left / total, color=colour, label=label)
            left += cycles
        axes.text(1.01, row, f"{counters[engine]['busy'] / total:.0%} busy", va="center")
    axes.set_yticks(range(len(ENGINES)), [NAMES[engine] for engine in reversed(ENGINES)])
    axes.set(xlim=(0, 1), xlabel="share of the cycles of training")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"Engines over {counters['total']:,} cycles")
    figure.legend(loc="outside lower center", ncols=6, handlelength=1, columnspacing=1.2)
    return figure


def _shares(counted: dict, total: int) -> dict[str, tuple[int, str]]:
    """An engine's cycles by kind, with a colour; together they are `total`."""
    busy, stalled = counted["busy"], counted.get("stalled", {})
    parts, left = {}, busy
    # Wg's bound counts port cycles that may fall together with a wait: what is over is cut off.
    for name, cycles, colour in (
        ("at the bound", counted["bound"], GREEN),
        ("no vector", stalled.get("vector", 0), ORANGE),
        ("drain full", stalled.get("drain", 0), PINK),
        ("otherwise busy", busy, YELLOW),
    ):
        parts[name] = min(cycles, left), colour
        left -= parts[name][0]
    waiting = min(stalled.get("token", 0), total - busy)
    return parts | {
        "waiting for others": (waiting, SKY),
        "idle": (total - busy - waiting, "#f2f2f2"),
    }
