"""sim.cache: built once, whole or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backspike.ir.errors import UserError
from backspike.system.cache import KEEP_DAYS, cache_root, cached, fingerprint


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
    assert sorted(p.name for p in again.iterdir()) == ["out"]


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
