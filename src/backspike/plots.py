"""Plots of a run: loss and accuracy, the spikes of one sample, what the engines did."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from backspike.backend import Bits
from backspike.report import NAMES
from backspike.result import ENGINES, Result

INK, SOFT = "#333333", "#888888"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # told apart with any colour vision
LAYER_COLOURS = (SOFT, BLUE, GREEN, ORANGE)
STALLS = ("#56b4e9", "#cc79a7", "#0072b2", "#f0e442")
STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
}


def draw(result: Result, spikes: dict[str, Bits], label: int, folder: Path) -> list[Path]:
    """Draw into `folder` (made if need be) and return the paths: `training.png`, `spikes.png` and,
    of a backend with counters, `engines.png`.

    spikes: uint8 (T, N) of the input and every hidden layer for one sample, whose class is `label`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figures = {
            "training.png": training(result),
            "spikes.png": raster(spikes, label),
        }
        if result.counters is not None:
            figures["engines.png"] = engines(result.counters)
        for name, figure in figures.items():
            figure.savefig(folder / name)
    return [folder / name for name in figures]


def training(result: Result) -> Figure:
    """Loss and accuracy over epochs."""
    figure = Figure(figsize=(7, 3))
    loss, accuracy = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in result.history]
    marker = "o" if len(epochs) < 30 else None
    loss.plot(epochs, [e["loss"] for e in result.history], color=BLUE, marker=marker, ms=3)
    name = {"ce": "cross-entropy", "mse": "squared error"}[result.loss]
    loss.set(title=f"Loss ({name})", ylim=(0, None))
    for part, colour, what in (("train", SOFT, "training, as it ran"), ("test", ORANGE, "test")):
        shares = [e[part] for e in result.history]
        accuracy.plot(epochs, shares, color=colour, marker=marker, ms=3, label=what)
    accuracy.set(title="Accuracy")
    accuracy.set_ylim(None, 1)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    accuracy.legend(loc="lower right")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#eeeeee")
        axes.set_axisbelow(True)
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
        title = "Input" if name == "input" else f"Layer {name.partition('.')[2]}"
        axes.set_title(
            f"{title}: {bits.mean():.0%} of {bits.shape[1]} neurons x {steps} steps spike"
        )
        axes.set(ylabel="neuron", ylim=(-1, bits.shape[1]), xlim=(0, steps))
        axes.set_xticks(np.arange(steps) + 0.5, [str(step) for step in range(steps)])
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        for step in range(1, steps):
            axes.axvline(step, color="#eeeeee", lw=0.8, zorder=0)
    panels[-1].set_xlabel(f"time step (a test sample of class {label})")
    return figure


def engines(counters: dict) -> Figure:
    """How each engine spent the cycles of training: at its bound, above it, stalled, idle.

    counters: `total` and of each engine `busy`, `bound` and, if it has them, cycles `stalled` by
    cause.
    """
    figure = Figure(figsize=(7, 2.6))
    axes = figure.subplots()
    total = counters["total"]
    causes = sorted({cause for e in ENGINES for cause in counters[e].get("stalled", {})})
    for row, engine in enumerate(reversed(ENGINES)):
        counted = counters[engine]
        useful = min(counted["bound"], counted["busy"])
        stalled = counted.get("stalled", {})
        parts = [
            ("at the bound", useful, GREEN),
            ("busy beyond it", counted["busy"] - useful, ORANGE),
            *(
                (f"stalled: {cause}", stalled.get(cause, 0), STALLS[i % len(STALLS)])
                for i, cause in enumerate(causes)
            ),
        ]
        _bar(axes, row, parts, total, labels=row == 0)
        axes.text(1.01, row, f"{counted['busy'] / total:.0%} busy", va="center")
    axes.set_yticks(range(len(ENGINES)), [NAMES[engine] for engine in reversed(ENGINES)])
    axes.set(xlim=(0, 1), xlabel="share of the cycles of training")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(axis="y", length=0)
    figure.suptitle(f"Engines over {total:,} cycles", x=0.01, ha="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def _bar(axes: Axes, row: int, parts: list, total: int, labels: bool) -> None:
    """One engine's cycles end to end, on a pale bar of all cycles."""
    axes.barh(row, 1, color="#f2f2f2", height=0.6, label="idle" if labels else None)
    left = 0.0
    for name, cycles, colour in parts:
        share = cycles / total
        axes.barh(row, share, left=left, color=colour, height=0.6, label=name if labels else None)
        left += share
