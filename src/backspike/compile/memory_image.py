"""Tensors as the core's memories hold them, and back.

A unit is a tile of P neurons in one block of the batch: unit = first + tile * blocks + block. Its
entries are t * samples + s. See rtl/MACHINE/registers.md for the windows.
"""

from dataclasses import dataclass

import numpy as np

from backspike.gen.machine import DEPTH
from backspike.ir.constants import ceil_div


@dataclass(frozen=True)
class Shape:
    """How a batch is cut: P lanes, T steps, samples a block, blocks."""

    lanes: int
    steps: int
    samples: int
    blocks: int

    @property
    def padded(self) -> int:
        """Samples of a batch with all blocks full."""
        return self.samples * self.blocks

    def tiles(self, neurons: int) -> int:
        """Tiles of so many neurons."""
        return ceil_div(neurons, self.lanes)

    def extent(self, batch: int) -> tuple[int, int]:
        """(full blocks, mask of the entries present in the block after these)."""
        full, rest = divmod(batch, self.samples)
        mask = sum(1 << t * self.samples + s for t in range(self.steps) for s in range(rest))
        return full, mask


def spike_words(spikes: np.ndarray, shape: Shape) -> np.ndarray:
    """uint8 (B, T, K) to the words of its units, uint32 (tiles * blocks * P / 2,)."""
    batch, steps, sources = spikes.shape
    tiles = shape.tiles(sources)
    full = np.zeros((shape.padded, steps, tiles * shape.lanes), np.uint16)
    full[:batch, :, :sources] = spikes
    cut = full.reshape(shape.blocks, shape.samples, steps, tiles, shape.lanes)
    lines = cut.transpose(3, 0, 4, 2, 1).reshape(tiles, shape.blocks, shape.lanes, -1)
    weights = (1 << np.arange(lines.shape[-1])).astype(np.uint16)
    return np.ascontiguousarray((lines * weights).sum(-1, dtype=np.uint16)).view(np.uint32).ravel()


def unit_tensor(rows: np.ndarray, shape: Shape, batch: int, neurons: int) -> np.ndarray:
    """Rows of a layer's units, (tiles * blocks * DEPTH, P or more), to (B, T, N)."""
    tiles = shape.tiles(neurons)
    entries = shape.steps * shape.samples
    cut = rows.reshape(tiles, shape.blocks, DEPTH, -1)[:, :, :entries, : shape.lanes]
    cut = cut.reshape(tiles, shape.blocks, shape.steps, shape.samples, shape.lanes)
    tensor = cut.transpose(1, 3, 2, 0, 4).reshape(shape.padded, shape.steps, -1)
    return np.ascontiguousarray(tensor[:batch, :, :neurons])


def sample_tensor(rows: np.ndarray, shape: Shape, batch: int, neurons: int) -> np.ndarray:
    """Rows of the read-out, (tiles * blocks * DEPTH, P), to (B, N)."""
    cut = rows.reshape(shape.tiles(neurons), shape.blocks, DEPTH, shape.lanes)
    tensor = cut[:, :, : shape.samples].transpose(1, 2, 0, 3).reshape(shape.padded, -1)
    return np.ascontiguousarray(tensor[:batch, :neurons])


def sample_rows(values: np.ndarray, shape: Shape) -> np.ndarray:
    """(B, N) to rows of the read-out, uint16 (tiles, blocks, DEPTH, P)."""
    batch, neurons = values.shape
    tiles = shape.tiles(neurons)
    full = np.zeros((shape.blocks, DEPTH, tiles * shape.lanes), np.uint16)
    by_block = np.zeros((shape.padded, tiles * shape.lanes), np.uint16)
    by_block[:batch, :neurons] = values
    full[:, : shape.samples] = by_block.reshape(shape.blocks, shape.samples, -1)
    cut = full.reshape(shape.blocks, DEPTH, tiles, shape.lanes).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(cut)


def label_words(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """int64 (B,) to words, uint32 (blocks * DEPTH,)."""
    full = np.zeros((shape.blocks, DEPTH), np.uint32)
    padded = np.zeros(shape.padded, np.uint32)
    padded[: len(labels)] = labels
    full[:, : shape.samples] = padded.reshape(shape.blocks, shape.samples)
    return full.ravel()


def weight_rows(weights: np.ndarray, lanes: int) -> np.ndarray:
    """uint16 (K, N) to rows of blocks of P x P, by banks: uint16 (tiles * source_tiles * P, P)."""
    sources, neurons = weights.shape
    source_tiles, tiles = -(-sources // lanes), -(-neurons // lanes)
    full = np.zeros((source_tiles * lanes, tiles * lanes), np.uint16)
    full[:sources, :neurons] = weights
    blocks = full.reshape(-1, tiles, lanes).transpose(1, 0, 2)
    return _skewed(blocks, -1).reshape(-1, lanes)


def weight_tensor(rows: np.ndarray, lanes: int, sources: int, neurons: int) -> np.ndarray:
    """Rows of blocks of P x P, by banks, to uint16 (K, N)."""
    tiles = -(-neurons // lanes)
    full = _skewed(rows.reshape(tiles, -1, lanes), 1).transpose(1, 0, 2)
    return np.ascontiguousarray(full.reshape(-1, tiles * lanes)[:sources, :neurons])


def _skewed(columns: np.ndarray, direction: int) -> np.ndarray:
    """(tiles, K, P): bank (k + n) mod P holds lane n (direction -1), and back (1)."""
    tiles, sources, lanes = columns.shape
    index = (np.arange(lanes) + direction * np.arange(sources)[:, None]) % lanes
    return np.take_along_axis(columns, index[None].repeat(tiles, 0), 2)
