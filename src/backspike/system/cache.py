"""What is built once: folders named by the hash of everything that went into them."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backspike.ir.errors import UserError

KEEP_DAYS = 30
"""Entries that nobody asked for in so many days are removed when something is built."""


def cache_root() -> Path:
    """$BACKSPIKE_CACHE; or `.cache` in the project, if this is a checkout; or ~/.cache/backspike.

    Raises UserError if it cannot be written.
    """
    project = Path(__file__).resolve().parents[3]
    if chosen := os.environ.get("BACKSPIKE_CACHE"):
        root = Path(chosen).expanduser()
    elif (project / "pyproject.toml").exists() and os.access(project, os.W_OK):
        root = project / ".cache"
    else:
        root = Path.home() / ".cache" / "backspike"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cache folder {root} cannot be made: {error.strerror}") from None
    if not os.access(root, os.W_OK):
        raise UserError(f"cache folder {root} cannot be written: set BACKSPIKE_CACHE to another")
    return root.resolve()


def fingerprint(parts: Iterable[str | bytes]) -> str:
    """A hash of the parts and of where one ends and the next begins."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:24]


def cached(name: str, parts: Iterable[str | bytes], build: Callable[[Path], None]) -> Path:
    """The folder that `build` filled for these parts, built now if it has not been yet.

    `build` works in a temporary sibling, which gets the final name when it is whole; so an
    interrupted build leaves nothing behind that looks finished, but `build` must not bake its
    folder's name into what it makes. Processes that want the same folder wait for each other.
    name: the readable part of the folder's name.
    """
    root = cache_root()
    entry = root / f"{name}-{fingerprint(parts)}"
    if not entry.exists():
        with open(root / f"{entry.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not entry.exists():
                _forget_old(root)
                scratch = root / f"{entry.name}.new"
                shutil.rmtree(scratch, ignore_errors=True)  # of a build that was interrupted
                scratch.mkdir()
                try:
                    build(scratch)
                    scratch.rename(entry)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    os.utime(entry)
    return entry


def _forget_old(root: Path) -> None:
    limit = time.time() - KEEP_DAYS * 24 * 3600
    for path in root.iterdir():
        try:
            if path.stat().st_mtime >= limit:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:  # another process was faster
            continue
