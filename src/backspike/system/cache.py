"""What is built once: folders named by the hash of everything that went into them."""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backspike.ir.errors import UserError

KEEP_DAYS = 30
"""Entries that nobody asked for in so many days are removed when something is built."""
MANIFEST = "manifest.json"
"""Of an entry: size and digest of each of its files, by which damage is noticed."""
LOGS = "logs"
"""The folder of the cache that keeps what failed tools have said."""


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

    name: the readable part of the folder's name.
    `build` works in a temporary sibling, which gets the final name when it is whole and on the
    disk; so an interrupted build leaves nothing behind that looks finished, but `build` must not
    bake its folder's name into what it makes. Processes that want the same folder wait for each
    other. Every use compares the files with the entry's manifest; a damaged entry is built again.
    Raises UserError if the disk refuses, such as when it is full.
    """
    root = cache_root()
    entry = root / f"{name}-{fingerprint([MANIFEST, *parts])}"
    try:
        if not _is_whole(entry):
            with open(root / f"{entry.name}.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_whole(entry):
                    _fill(entry, build)
        os.utime(entry)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cache entry {entry} cannot be built: {reason}") from None
    return entry


def keep_log(name: str, text: str) -> Path | None:
    """A file that keeps what a failed tool has said; None where no file can be written."""
    for folder in (lambda: cache_root() / LOGS, lambda: Path(tempfile.gettempdir())):
        try:
            path = folder() / f"{name}-{fingerprint([text])}.log"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return path
        except (OSError, UserError):  # a full disk is one of the reasons why tools fail
            continue
    return None


def _fill(entry: Path, build: Callable[[Path], None]) -> None:
    """Build an entry that is not there, or not whole."""
    _forget_old(entry.parent)
    if entry.exists():
        print(f"cache entry {entry} is damaged: it is built again", file=sys.stderr, flush=True)
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    scratch = entry.with_name(f"{entry.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)  # of a build that was interrupted
    scratch.mkdir()
    try:
        build(scratch)
        _seal(scratch)
        scratch.rename(entry)
        _flush(entry.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write the manifest, and bring everything to the disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = {str(path.relative_to(folder)): [path.stat().st_size, _digest(path)] for path in paths}
    (folder / MANIFEST).write_text(json.dumps(kept, indent=1))
    for path in (*folder.rglob("*"), folder):
        _flush(path)


def _is_whole(entry: Path) -> bool:
    """Whether the entry is there, and its files are as they were when it was built."""
    try:
        kept = json.loads((entry / MANIFEST).read_text())
        # Sizes first: they cost nothing, and nearly every damage is a cut.
        sizes = ((entry / name).stat().st_size == size for name, (size, _) in kept.items())
        digests = (_digest(entry / name) == digest for name, (_, digest) in kept.items())
        return bool(kept) and all(sizes) and all(digests)
    except (OSError, ValueError, TypeError, AttributeError):  # no file, no JSON, no manifest
        return False


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
