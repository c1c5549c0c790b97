"""system.cache: built once, whole or not at all."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backspike.ir.errors import UserError
from backspike.system.cache import (
    KEEP_DAYS,
    MANIFEST,
    cache_root,
    cached,
    fingerprint,
    keep_log,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def writes(text):
    def build(folder):
        (folder / "out").write_text(text)

    return build


def never(folder):
    raise AssertionError("built again")


def test_the_second_time_it_is_there():
    """An entry is built once for its parts, and other parts give another entry."""
    first = cached("thing", ["a", "b"], writes("1"))
    assert (first / "out").read_text() == "1"
    assert cached("thing", ["a", "b"], never) == first
    assert cached("thing", ["a", "c"], writes("2")) != first


def test_parts_are_told_apart():
    """Parts that join to the same text have different fingerprints."""
    assert len({fingerprint(p) for p in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""])}) == 4


def test_a_failed_build_leaves_nothing(folder):
    """A build that raises leaves no entry, and the next one succeeds."""

    def fails(build_folder):
        (build_folder / "half").write_text("")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached("thing", ["a"], fails)
    assert [p.name for p in folder.iterdir() if p.is_dir()] == []
    assert (cached("thing", ["a"], writes("1")) / "out").exists()


def test_an_interrupted_build_is_begun_anew(folder):
    """The remains of an interrupted build are cleared before the next."""
    entry = cached("thing", ["a"], writes("1"))
    scratch = entry.rename(entry.with_name(f"{entry.name}.new"))
    (scratch / "rubbish").write_text("")
    again = cached("thing", ["a"], writes("2"))
    assert sorted(p.name for p in again.iterdir()) == [MANIFEST, "out"]


def test_two_processes_build_once(tmp_path):
    """Three processes that want one entry at once build it once."""
    code = f"""
from backspike.system.cache import cached
import time
def build(folder):
    open({str(tmp_path / "log")!r}, "a").write("built\\n")
    time.sleep(0.5)
    (folder / "out").write_text("")
print(cached("thing", ["x"], build))
"""
    run = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    paths = {process.communicate()[0] for process in run}
    assert len(paths) == 1
    assert (tmp_path / "log").read_text() == "built\n"


def test_what_nobody_uses_goes():
    """An entry unused for long is deleted, a used one stays."""
    old, used = cached("old", ["a"], writes("1")), cached("used", ["a"], writes("1"))
    past = time.time() - (KEEP_DAYS + 1) * 24 * 3600
    os.utime(old, (past, past))
    os.utime(used, (past, past))
    cached("used", ["a"], never)
    cached("new", ["a"], writes("1"))
    assert not old.exists()
    assert used.exists()


def test_where_it_lies(folder, monkeypatch):
    """The cache lies where BACKSPIKE_CACHE says, or in the checkout."""
    assert cache_root() == folder
    monkeypatch.delenv("BACKSPIKE_CACHE")
    assert cache_root() == Path(__file__).resolve().parents[2] / ".cache"


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    """A cache folder that cannot be made is a UserError with its path."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"cache folder .* cannot be made: Not a directory"):
        cache_root()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1])


def flip(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


def holds(text: str):
    """Damage that leaves a file of that text."""
    return lambda path: path.write_text(text)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, holds("")])
@pytest.mark.parametrize("name", ["out", "deep/out", MANIFEST])
def test_a_damaged_entry_is_built_again(damage, name, capsys):
    """Cut short, emptied, removed or changed: the next use repairs it, and says so."""

    def build(folder):
        (folder / "deep").mkdir()
        for out in ("out", "deep/out"):
            (folder / out).write_text("12")

    entry = cached("thing", ["a"], build)
    damage(entry / name)
    assert cached("thing", ["a"], build) == entry
    assert [(entry / out).read_text() for out in ("out", "deep/out")] == ["12", "12"]
    assert f"cache entry {entry} is damaged: it is built again" in capsys.readouterr().err
    cached("thing", ["a"], never)


@pytest.mark.parametrize("text", ["[]", "{}", "5", '{"out": 5}', '{"out": ["1", 2]}', '{"": [1]}'])
def test_what_is_no_manifest_is_damage(text, capsys):
    """JSON of any other kind in the manifest's place: the entry is built again."""
    entry = cached("thing", ["a"], writes("12"))
    (entry / MANIFEST).write_text(text)
    (entry / "out").unlink()
    assert (cached("thing", ["a"], writes("12")) / "out").read_text() == "12"
    assert "is damaged: it is built again" in capsys.readouterr().err
    cached("thing", ["a"], never)


def test_a_file_in_an_entrys_place():
    """It goes, and the entry is built."""
    entry = cached("thing", ["a"], writes("12"))
    shutil.rmtree(entry)
    entry.write_text("no folder")
    assert (cached("thing", ["a"], writes("12")) / "out").read_text() == "12"


def test_all_is_on_the_disk_before_it_has_its_name(monkeypatch):
    """A power cut after the renaming finds whole files: all were flushed, and the folders, too."""
    flushed, named = [], []
    fsync, rename = os.fsync, Path.rename

    def note_flush(handle):
        flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def note_rename(path, target):
        named.append(list(flushed))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "rename", note_rename)
    entry = cached("thing", ["a"], writes("1"))
    assert sorted(named[0]) == sorted(["out", MANIFEST, f"{entry.name}.new"])
    assert flushed[-1] == entry.parent.name


def test_a_full_disk_is_a_sentence(folder):
    """Whatever the system refuses while an entry is made names the entry and the reason."""

    def fails(build_folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"entry .*thing-\w+ cannot be built: No space left on dev"):
        cached("thing", ["a"], fails)
    assert [p.name for p in folder.iterdir() if p.is_dir()] == []


def test_logs_stay(folder, monkeypatch, tmp_path):
    """In the cache, or among temporary files where the cache takes none."""
    first = keep_log("make", "no")
    assert first is not None
    assert first.parent == folder / "logs"
    assert first.read_text() == "no"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert keep_log("make", "no") == tmp_path / first.name
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert keep_log("make", "no") is None
