"""Weights as the core's memory holds them, and back: rows of blocks of P x P.

Block (source tile, J) of a connection lies at source tile + J * tile_rows; of a window the source
tiles of its first tap come first, then those of the next one. A bias of a window lies behind all.
"""

import numpy as np

from backspike.compile.placement import ConnectionPlace
from backspike.ir.constants import ceil_div


def connection_rows(
    weights: np.ndarray, at: ConnectionPlace, lanes: int, *, skewed: bool = True
) -> np.ndarray:
    """uint16 (K, N) of a connection, as PyTorch flattens it, to all its rows, uint16 (rows, P)."""
    inner, bias = weights[: at.sources * at.taps], weights[at.sources * at.taps :]
    if at.bias_block is None and at.taps == 1:
        return weight_rows(weights, lanes, skewed=skewed)
    parts = [weight_rows(tap_rows(inner, at.sources, at.taps, lanes), lanes, skewed=skewed)]
    if at.bias_block is not None:
        parts.append(weight_rows(bias, lanes, skewed=skewed))
    return np.concatenate(parts)


def connection_tensor(
    rows: np.ndarray, at: ConnectionPlace, lanes: int, *, skewed: bool = True
) -> np.ndarray:
    """The inverse of `connection_rows`."""
    rows = rows.reshape(-1, lanes)
    if at.bias_block is None and at.taps == 1:
        return weight_tensor(rows, lanes, at.sources + at.bias, at.size, skewed=skewed)
    inner = at.tile_rows * at.tiles * lanes
    found = weight_tensor(rows[:inner], lanes, at.tile_rows * lanes, at.size, skewed=skewed)
    parts = [from_tap_rows(found, at.sources, at.taps)]
    if at.bias_block is not None:
        parts.append(weight_tensor(rows[inner:], lanes, 1, at.size, skewed=skewed))
    return np.concatenate(parts)


def tap_rows(weights: np.ndarray, channels: int, taps: int, lanes: int) -> np.ndarray:
    """(K, N), K as PyTorch flattens (channels, rows, columns), to the rows of the memory: tap by
    tap, of these channel by channel in whole tiles."""
    full = np.zeros((taps, ceil_div(channels, lanes) * lanes, weights.shape[1]), weights.dtype)
    full[:, :channels] = weights.reshape(channels, taps, -1).swapaxes(0, 1)
    return full.reshape(-1, weights.shape[1])


def from_tap_rows(rows: np.ndarray, channels: int, taps: int) -> np.ndarray:
    """The inverse of `tap_rows`."""
    parts = rows.reshape(taps, -1, rows.shape[1])[:, :channels].swapaxes(0, 1)
    return np.ascontiguousarray(parts).reshape(channels * taps, -1)


def weight_rows(weights: np.ndarray, lanes: int, *, skewed: bool = True) -> np.ndarray:
    """uint16 (K, N) to rows of blocks of P x P: uint16 (tiles * source_tiles * P, P); by banks, or
    by lanes unless skewed."""
    sources, neurons = weights.shape
    source_tiles, tiles = -(-sources // lanes), -(-neurons // lanes)
    full = np.zeros((source_tiles * lanes, tiles * lanes), np.uint16)
    full[:sources, :neurons] = weights
    blocks = full.reshape(-1, tiles, lanes).transpose(1, 0, 2)
    return (_skewed(blocks, -1) if skewed else blocks).reshape(-1, lanes)


def weight_tensor(
    rows: np.ndarray, lanes: int, sources: int, neurons: int, *, skewed: bool = True
) -> np.ndarray:
    """The inverse of `weight_rows`: uint16 (K, N)."""
    tiles = -(-neurons // lanes)
    blocks = rows.reshape(tiles, -1, lanes)
    full = (_skewed(blocks, 1) if skewed else blocks).transpose(1, 0, 2)
    return np.ascontiguousarray(full.reshape(-1, tiles * lanes)[:sources, :neurons])


def diagonal_rows(scale: int, lanes: int) -> np.ndarray:
    """The block of weights of an identity, by banks: uint16 (P, P). scale: a pattern."""
    return _skewed(np.diag(np.full(lanes, scale, np.uint16))[None], -1)[0]


def _skewed(columns: np.ndarray, direction: int) -> np.ndarray:
    """(tiles, K, P): bank (k + n) mod P holds lane n (direction -1), and back (1)."""
    tiles, sources, lanes = columns.shape
    index = (np.arange(lanes) + direction * np.arange(sources)[:, None]) % lanes
    return np.take_along_axis(columns, index[None].repeat(tiles, 0), 2)
