"""Files, written whole or not at all; looked at before any work that they are the result of."""

import os
import sys
import tempfile
from pathlib import Path

from backspike.ir.errors import UserError

STDOUT = "-"


def check_file(option: str, path: str | None) -> None:
    """Raise UserError unless `path` can become a file. None and `-` (standard output) are fine."""
    if path is None or path == STDOUT:
        return
    if Path(path).is_dir():
        raise UserError(f"{option} is {path}, a folder: a file is allowed")
    _check_writable(option, path, Path(path).absolute().parent)


def check_folder(option: str, path: str | None) -> None:
    """Raise UserError unless `path` is a folder that can be written, or can become one."""
    if path is not None:
        _check_writable(option, path, Path(path).absolute())


def write_json(path: str, text: str) -> None:
    """To standard output if `path` is `-`, else to the file in one step."""
    if path == STDOUT:
        sys.stdout.write(text)
    else:
        replace_file(Path(path), text.encode())


def _check_writable(option: str, path: str, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{option} is {path}: {folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} is {path}: the folder {folder} cannot be written")


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    # The mask can be read only by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
