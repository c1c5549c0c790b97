"""What a batch's tensors are to the prediction: shares of spikes, gradients and meetings."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import product
from typing import Any

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.loads import Shares
from backspike.compile.placement import bias_of
from backspike.compile.reach import Share
from backspike.compile.windows import Axis, windows_of
from backspike.gen.core.engines import FORWARD
from backspike.ir.bits import Bits
from backspike.ir.graph import Connection

Tensors = Mapping[str, Bits]


def measured_shares(plan: Plan, inputs: Tensors, errors: Tensors, tensors: Tensors) -> Shares:
    """Of a batch's inputs and errors, and golden's tensors of its forward pass and its update.

    Gradients that are not among these have no shares; see `Shares` for what then follows.
    """
    lanes, graph = plan.machine.lanes, plan.graph
    spikes = {name: planes(plan, name, x) for name, x in inputs.items()}
    gradients, rows, needed, let = {}, {}, {}, {}
    for population in graph.populations:
        name = population.name
        if f"spikes.{name}" in tensors:
            spikes[name] = planes(plan, name, tensors[f"spikes.{name}"])
        if f"gradients.{name}" not in tensors:
            continue
        gradients[name] = planes(plan, name, tensors[f"gradients.{name}"])
        rows[name] = tiled(gradients[name], lanes)
        if (through := active(plan, name, tensors)) is not None:
            needed[name] = tiled(through, lanes)
        if name in errors and errors[name].ndim == 3:
            let[name] = planes(plan, name, errors[name])
            if name in needed:
                let[name] &= needed[name].repeat(lanes, 2)[:, :, : let[name].shape[2]]
    brought, passed, met, updated = {}, {}, {}, {}
    for connection in graph.connections:
        name, source, target = connection.name, connection.source, connection.target
        if connection.delay:
            brought[name] = _share(spikes[source][:, : -connection.delay])
        if target in gradients and source in gradients and connection in graph.errors_into(source):
            everywhere = np.ones_like(rows[source])
            through = needed.get(source, everywhere)
            passed[name] = _passed(plan, connection, through, gradients[target])
        if target in gradients and connection in graph.trained:
            met[name], updated[name] = _met(plan, connection, spikes[source], rows[target])
            updated[bias_of(name)] = float(rows[target].any((0, 1, 3, 4)).mean())
    return Shares(
        spikes={name: _share(x) for name, x in spikes.items()},
        gradients={name: _share(x) for name, x in gradients.items()},
        rows={name: float(x.mean()) for name, x in rows.items()},
        needed={name: _share(x) for name, x in needed.items()},
        errors={name: float(x.mean()) for name, x in let.items()},
        brought=brought,
        passed=passed,
        met=met,
        updated=updated,
    )


def _share(bits: np.ndarray) -> Share:
    """Of (B, T, C, rows, columns): of each pixel, if it lies in a plane."""
    each = bits.sum((0, 1, 2)) / max(1, bits[..., 0, 0].size)
    return each if each.size > 1 else float(each.mean())


def _passed(
    plan: Plan, connection: Connection, through: np.ndarray, gradients: np.ndarray
) -> Share:
    """`passed` of Shares. through: of tiles of the source; gradients: of the target's neurons."""
    through = through[:, : plan.steps - connection.delay].astype(int)
    gradients = gradients[:, connection.delay :]
    if plan.connections[connection.name].diagonal:  # a tile reaches its own neurons alone
        lanes = plan.machine.lanes
        there = gradients & through.repeat(lanes, 2)[:, :, : gradients.shape[2]].astype(bool)
        return _share(there)
    there = gradients.sum(2)
    total, taps = (np.zeros(through.shape[3:]) for _ in range(2))
    for _, sources, targets in pairs(plan, connection):
        meeting = through[..., *sources], there[..., *targets]
        total[sources] += np.einsum("btkyx,btyx->yx", *meeting)
        taps[sources] += 1
    each = total / np.maximum(1, taps * through[..., 0, 0].size * gradients.shape[2])
    return each if each.size > 1 else float(each.mean())


def active(plan: Plan, name: str, tensors: Tensors) -> np.ndarray | None:
    """Where a population lets errors through, as `planes` has it; None if it does everywhere."""
    if f"codes.{name}" not in tensors:
        return None
    config = plan.descriptors[FORWARD.name].layers[name]
    codes = tensors[f"codes.{name}"].astype(int)
    found = planes(plan, name, config["nonzero"] >> codes & 1)
    if config["spikes_only"]:
        found &= planes(plan, name, tensors[f"spikes.{name}"])
    return found


def planes(plan: Plan, name: str, values: Bits) -> np.ndarray:
    """Of a population's (B, T, N): bool (B, T, C, rows, columns), whether they are not zero. The
    bits of a graded input's numbers are columns side by side."""
    place = plan.populations[name]
    lines, columns = place.plane
    if place.bits > 1:
        values = values[..., None] >> np.arange(place.bits, dtype=values.dtype) & 1
    shape = *values.shape[:2], place.size, lines, columns * place.bits
    return (values != 0).reshape(shape)


def _met(
    plan: Plan, connection: Connection, spikes: np.ndarray, rows: np.ndarray
) -> tuple[float, float]:
    """`met` and `updated` of Shares: of every tap's pixels. rows: see `tiled`."""
    total = meetings(plan, connection, spikes, rows)
    lines, columns = windows_of(plan.graph, connection, plan.places, plan.cut).axes
    pixels = sum(n * m for n in _counts(lines) for m in _counts(columns))
    each = spikes.shape[0] * (plan.steps - connection.delay) * pixels
    return total.sum() / max(1, each * total[0].size), float((total > 0).mean())


def _counts(axis: Axis) -> list[int]:
    """Targets that each tap meets."""
    return [axis.met(tap)[2] for tap in range(axis.taps)]


def meetings(
    plan: Plan, connection: Connection, spikes: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """How often a source's spike meets a target's tile with a gradient, int (taps, sources, tiles):
    the events of wg. spikes: bool (B, T, C, rows, columns); rows: see `tiled`."""
    # With a delay nothing comes in the first step.
    source = spikes[:, : plan.steps - connection.delay].astype(int)
    target = rows[:, connection.delay :].astype(int)
    lines, columns = windows_of(plan.graph, connection, plan.places, plan.cut).axes
    found = np.zeros((lines.taps * columns.taps, source.shape[2], target.shape[2]), int)
    for tap, at, there in pairs(plan, connection):
        meeting = source[..., *at], target[..., *there]
        found[tap] += np.einsum("btkyx,btjyx->kj", *meeting)
    return found


Pixels = tuple[slice, slice]


def pairs(plan: Plan, connection: Connection) -> Iterator[tuple[int, Pixels, Pixels]]:
    """Of each tap the pixels of the source, and those of the target, that it brings together: once
    for each of a cell's sources."""
    axes = windows_of(plan.graph, connection, plan.places, plan.cut).axes
    for tap, taps in enumerate(product(*(range(axis.taps) for axis in axes))):
        rows, columns = (list(_met_by(axis, at)) for axis, at in zip(axes, taps, strict=True))
        for (line, other_line), (column, other_column) in product(rows, columns):
            yield tap, (line, column), (other_line, other_column)


def _met_by(axis: Axis, tap: int) -> Iterator[tuple[slice, slice]]:
    """Along an axis: sources and targets."""
    target, first, sources = axis.met(tap)
    count, step = sources // axis.cell, axis.stride * axis.cell
    for source in range(first, first + axis.cell):
        yield slice(source, source + step * count, step), slice(target, target + count)


def tiled(bits: np.ndarray, lanes: int) -> np.ndarray:
    """Of bool (B, T, C, and perhaps rows and columns), which tiles of so many of C have any."""
    padding = [(0, 0)] * bits.ndim
    padding[2] = 0, -bits.shape[2] % lanes
    padded = np.pad(bits, padding)
    batch, steps, channels, *plane = padded.shape
    return np.asarray(padded.reshape(batch, steps, channels // lanes, lanes, *plane).any(3))


class MeanShares:
    """Shares of several batches, weighed by their samples."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Share] = {}
        self._samples: dict[tuple[str, str], int] = {}

    def add(self, shares: Shares, samples: int) -> None:
        """Of a batch."""
        for field in fields(Shares):
            for name, share in getattr(shares, field.name).items():
                key = field.name, name
                self._sums[key] = self._sums.get(key, 0.0) + samples * share
                self._samples[key] = self._samples.get(key, 0) + samples

    def shares(self) -> Shares | None:
        """The mean; None of nothing."""
        found: dict[str, dict[str, Any]] = {field.name: {} for field in fields(Shares)}
        for (kind, name), share in self._sums.items():
            found[kind][name] = share / self._samples[kind, name]
        return Shares(**found) if self._sums else None
