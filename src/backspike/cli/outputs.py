"""Files that a command will write: verified before any work, written at its end."""

import os
import sys
from pathlib import Path

from backspike.ir.errors import UserError
from backspike.train.checkpoint import replace_file

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
