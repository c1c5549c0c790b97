"""Reading safetensors files that backspike has written, with a sentence for all that is wrong."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from backspike.ir.errors import UserError
from backspike.system.files import reason


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """(metadata, tensors by name). Raises UserError if it is no such file."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"checkpoint {path} is no regular file, must be one")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} is not there") from None
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {reason(error)}") from None
    except (SafetensorError, ValueError, TypeError, KeyError):
        raise UserError(
            f"checkpoint {path} cannot be read: it is no safetensors file, or a truncated one"
        ) from None


@contextlib.contextmanager
def as_written(path: Path) -> Iterator[None]:
    """What goes wrong while a file's content is made into objects is a UserError that names it."""
    try:
        yield
    except UserError as error:
        whole = str(error).startswith("checkpoint ")
        raise UserError(str(error) if whole else f"checkpoint {path}: {error}") from None
    except KeyError as error:
        raise UserError(
            f"checkpoint {path} was not written by backspike: it has no {error.args[0]}"
        ) from None
    except (TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        raise UserError(
            f"checkpoint {path} was not written by backspike: its fields are of the wrong kinds"
        ) from None


def sha256(text: str, tensors: Iterable[np.ndarray]) -> str:
    """The digest of a checkpoint's JSON and tensors."""
    hashed = hashlib.sha256(text.encode())
    for x in tensors:
        hashed.update(np.ascontiguousarray(x).tobytes())
    return hashed.hexdigest()
