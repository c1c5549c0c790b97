"""Files that a command writes: checked before any work, and written whole or not at all."""

import contextlib
import errno
import fcntl
import os
import stat
import sys
import tempfile
from pathlib import Path

from backspike.ir.errors import UserError

STDOUT = "-"
STDOUT_PATHS = (STDOUT, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def is_stdout(path: str | None) -> bool:
    """Whether `path` names standard output, which then has room for nothing else."""
    return path in STDOUT_PATHS


def straight(path: str | None) -> str | None:
    """`-` as the path of standard output, for what is written as a file; others as they are."""
    return STDOUT_PATHS[1] if path == STDOUT else path


def check_file(option: str, path: str | None) -> None:
    """Raise UserError unless `path` can be written. None is fine, and so is `-`."""
    if path is None:
        return
    if is_stdout(path):
        if sys.__stdout__ is None:
            raise UserError(f"{option} is {path}, but standard output is closed")
        return
    node = _node(option, path, "a file")
    if node is None:
        _check_writable(option, path, Path(os.path.realpath(path)).parent)
        return
    if stat.S_ISDIR(node.st_mode):
        raise UserError(f"{option} is {path}, a folder, must be a file")
    if not stat.S_ISREG(node.st_mode):
        if not os.access(path, os.W_OK):
            raise UserError(f"{option} is {path}, which cannot be written: permission denied")
    elif _open_descriptor(node) is None:
        _check_writable(option, path, Path(os.path.realpath(path)).parent)


def check_folder(option: str, path: str | None) -> None:
    """Raise UserError unless `path` is a folder that can be written, or can become one."""
    if path is not None:
        _node(option, path, "a folder")
        _check_writable(option, path, Path(path).absolute())


def as_path(name: str, value: object) -> Path:
    """A `str` or `os.PathLike` as a path. Raises UserError for anything else, for ""
    and for what no file can be called."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str):
        raise UserError(f"{name} is {value!r}, must be a path: a string or a pathlib.Path")
    _check_named(name, text, "a file")
    check_name(name, text)
    return Path(text)


def check_name(name: str, text: str) -> None:
    """UserError unless the system could have a file of that name: no null character, no lone
    surrogate but those that stand for a name's undecodable bytes."""
    try:
        possible = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UserError(f"{name} is {text!r}, must be a name that a file can have")


def write_json(path: str, text: str) -> None:
    """To standard output if `path` names it, else as `write_file` does."""
    if is_stdout(path):
        sys.stdout.write(text)
    else:
        write_file(path, text.encode())


def write_file(path: str | os.PathLike, content: bytes) -> None:
    """Put `content` at `path`.

    A regular or new file is replaced in one step, and is on the disk before this returns. A
    symbolic link stays, and the file that it leads to is replaced. A device, a named pipe or
    a file that this process already has open for writing (`/dev/stdout`) is written straight.
    Raises UserError if it cannot be written, BrokenPipeError if the reader of a pipe has gone.
    """
    path = as_path("file", path)
    try:
        _write(path, content)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error)}") from None


def is_stream(path: str | os.PathLike) -> bool:
    """Whether what is written to `path` follows what was written before, and replaces nothing."""
    return os.path.exists(path) and (
        not os.path.isfile(path) or _open_descriptor(os.stat(path)) is not None
    )


def reason(error: OSError | ValueError) -> str:
    """The system's own words, without number and path."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)


def _write(path: Path, content: bytes) -> None:
    if not is_stream(path):
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, "")
        _replace(target, content, path.stat() if path.exists() else None)
        return
    opened = _open_descriptor(path.stat()) if path.is_file() else None
    # Opening it again would write from the file's beginning, over what it holds.
    opened = os.open(path, os.O_WRONLY | os.O_NOCTTY) if opened is None else os.dup(opened)
    if sys.stdout is not None:
        sys.stdout.flush()  # what was printed before comes before
    with os.fdopen(opened, "wb") as file:
        file.write(content)


def _replace(path: Path, content: bytes, before: os.stat_result | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".backspike-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask() if before is None else before.st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_descriptor(node: os.stat_result) -> int | None:
    """The descriptor under which this process has the file open for writing, if it has."""
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ("1", "2"):
        with contextlib.suppress(OSError):  # the listing's own one is closed by now
            at = int(name)
            writes = fcntl.fcntl(at, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            if writes and os.path.samestat(os.fstat(at), node):
                return at
    return None


def _check_named(option: str, path: str, what: str) -> None:
    if not path:
        raise UserError(f"{option} is '', must be the name of {what}")


def _node(option: str, path: str, what: str) -> os.stat_result | None:
    """What is at `path`, if anything is. UserError if nothing can be: a name too long, a link that
    leads to itself, a null character."""
    _check_named(option, path, what)
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{option} is {path!r}, no name of {what}: {reason(error)}") from None


def _check_writable(option: str, path: str, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{option} is {path}, but {folder} is no folder")
    try:  # what has no room for a file, as /proc, is not always known by its permissions
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option} is {path}, but the folder {folder} cannot be written: {reason(error)}"
        ) from None


def _umask() -> int:
    # The mask can be read only by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
