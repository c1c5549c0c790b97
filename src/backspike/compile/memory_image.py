"""Tensors as the core's memories hold them, and back.

A unit is a tile of P neurons in one block of the batch: unit = first + tile * blocks + block. Its
entries are t * samples + s. What a read-out has of each sample lies by tile and set. See
rtl/MACHINE/registers.md for the windows.
"""

from dataclasses import dataclass

import numpy as np

from backspike.compile.cut import Cut
from backspike.gen.machine import DEPTH
from backspike.ir.constants import ceil_div


@dataclass(frozen=True)
class Shape:
    """A batch in tiles of P lanes."""

    lanes: int
    cut: Cut

    @property
    def padded(self) -> int:
        """Samples of a batch with all sets full."""
        return self.cut.samples * self.cut.sets

    def tiles(self, neurons: int) -> int:
        """Tiles of so many neurons."""
        return ceil_div(neurons, self.lanes)


def spike_words(spikes: np.ndarray, shape: Shape) -> np.ndarray:
    """uint8 (B, T, K) to the words of its units, uint32 (tiles * blocks * P / 2,)."""
    batch, steps, sources = spikes.shape
    tiles = shape.tiles(sources)
    cut = shape.cut
    full = np.zeros((shape.padded, cut.steps * cut.spans, tiles * shape.lanes), np.uint16)
    full[:batch, :steps, :sources] = spikes
    parts = full.reshape(cut.sets, cut.samples, cut.spans, cut.steps, tiles, shape.lanes)
    lines = parts.transpose(4, 0, 2, 5, 3, 1).reshape(tiles, cut.blocks, shape.lanes, -1)
    weights = (1 << np.arange(lines.shape[-1])).astype(np.uint16)
    return np.ascontiguousarray((lines * weights).sum(-1, dtype=np.uint16)).view(np.uint32).ravel()


def unit_tensor(rows: np.ndarray, shape: Shape, batch: int, neurons: int) -> np.ndarray:
    """Rows of a layer's units, (tiles * blocks * DEPTH, P or more), to (B, T, N)."""
    tiles, cut = shape.tiles(neurons), shape.cut
    entries = cut.steps * cut.samples
    parts = rows.reshape(tiles, cut.blocks, DEPTH, -1)[:, :, :entries, : shape.lanes]
    parts = parts.reshape(tiles, cut.sets, cut.spans, cut.steps, cut.samples, shape.lanes)
    tensor = parts.transpose(1, 4, 2, 3, 0, 5).reshape(shape.padded, cut.steps * cut.spans, -1)
    return np.ascontiguousarray(tensor[:batch, : cut.all_steps, :neurons])


def unit_rows(values: np.ndarray, shape: Shape) -> np.ndarray:
    """uint16 (B, T, N) to rows of its units, uint16 (tiles * blocks * DEPTH, P)."""
    batch, steps, neurons = values.shape
    tiles, cut = shape.tiles(neurons), shape.cut
    full = np.zeros((shape.padded, cut.steps * cut.spans, tiles * shape.lanes), np.uint16)
    full[:batch, :steps, :neurons] = values
    parts = full.reshape(cut.sets, cut.samples, cut.spans, cut.steps, tiles, shape.lanes)
    rows = np.zeros((tiles, cut.blocks, DEPTH, shape.lanes), np.uint16)
    entries = parts.transpose(4, 0, 2, 3, 1, 5).reshape(tiles, cut.blocks, -1, shape.lanes)
    rows[:, :, : entries.shape[2]] = entries
    return rows.reshape(-1, shape.lanes)


def sample_tensor(rows: np.ndarray, shape: Shape, batch: int, neurons: int) -> np.ndarray:
    """Rows of the read-out, (tiles * sets * DEPTH, P), to (B, N)."""
    cut = shape.cut
    parts = rows.reshape(shape.tiles(neurons), cut.sets, DEPTH, shape.lanes)
    tensor = parts[:, :, : cut.samples].transpose(1, 2, 0, 3).reshape(shape.padded, -1)
    return np.ascontiguousarray(tensor[:batch, :neurons])


def sample_rows(values: np.ndarray, shape: Shape) -> np.ndarray:
    """(B, N) to rows of the read-out, uint16 (tiles, sets, DEPTH, P)."""
    batch, neurons = values.shape
    tiles, cut = shape.tiles(neurons), shape.cut
    full = np.zeros((cut.sets, DEPTH, tiles * shape.lanes), np.uint16)
    by_set = np.zeros((shape.padded, tiles * shape.lanes), np.uint16)
    by_set[:batch, :neurons] = values
    full[:, : cut.samples] = by_set.reshape(cut.sets, cut.samples, -1)
    parts = full.reshape(cut.sets, DEPTH, tiles, shape.lanes).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(parts)


def label_words(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """int64 (B,) to words, uint32 (sets * DEPTH,)."""
    cut = shape.cut
    full = np.zeros((cut.sets, DEPTH), np.uint32)
    padded = np.zeros(shape.padded, np.uint32)
    padded[: len(labels)] = labels
    full[:, : cut.samples] = padded.reshape(cut.sets, cut.samples)
    return full.ravel()
