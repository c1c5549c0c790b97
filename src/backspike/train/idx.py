"""IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist): plain or gzip."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from backspike.ir.errors import UserError

UNSIGNED_BYTES = 0x08
"""The type code of the only element type that image and label files use."""

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Images and labels of a folder, by part; each may also be spelt `.idx3-ubyte` and end in `.gz`."""


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, uint8 of the shape that the file states."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UserError(f"data {path} is no regular file, must be an IDX file")
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"data {path} cannot be read: {_reason(error)}") from None
    if len(content) < 4 or content[:2] != b"\0\0":
        raise UserError(
            f"data {path} starts with {content[:4].hex() or 'nothing'}, must start with two zero "
            "bytes as IDX files do"
        )
    kind, dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTES:
        raise UserError(f"data {path} holds IDX type 0x{kind:02x}, must hold unsigned bytes (0x08)")
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise UserError(f"data {path} is truncated: its header is not whole")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise UserError(
            f"data {path} holds {len(content) - start} bytes of data, must hold "
            f"{math.prod(shape)} by its header's shape {shape}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def find_idx(folder: Path, part: str) -> tuple[Path, Path] | None:
    """Images and labels of `part` (train or test) in `folder`, or None if neither is there."""
    images, labels = (_find(folder, name) for name in NAMES[part])
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        missing = NAMES[part][0 if images is None else 1]
        raise UserError(f"data folder {folder} has no {missing} (or {missing}.gz)")
    return images, labels


def _find(folder: Path, name: str) -> Path | None:
    spellings = (name, name.replace("-idx", ".idx"))
    found = (folder / (s + end) for s in spellings for end in ("", ".gz"))
    return next((path for path in found if path.is_file()), None)


def _reason(error: Exception) -> str:
    """The system's words; of a broken archive, that it is one."""
    strerror = getattr(error, "strerror", None)
    return strerror or "it is a damaged or truncated gzip archive"
