"""Plots of a run: loss and accuracy, the spikes of one sample, what the engines did."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.system.plot_style import BLUE, GREEN, ORANGE, PINK, SKY, SOFT, STYLE, YELLOW
from backspike.train.report import NAMES
from backspike.train.result import Result

LAYER_COLOURS = (SOFT, BLUE, GREEN, ORANGE)


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
    figure.suptitle(f"Engines over {counters['total']:,} cycles", x=0.01, ha="left", fontsize=10)
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
