"""Progress: bars where a person looks, and nothing in files."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOP = """
from backspike.system.progress import progress_bar
for _ in progress_bar(range(3), desc="work", shown={shown}):
    pass
"""


def loop(stderr: int, *, shown: bool = True) -> None:
    """Run a loop with a bar in a process of its own."""
    command = [sys.executable, "-c", LOOP.format(shown=shown)]
    subprocess.run(command, stderr=stderr, check=True)


def test_a_redirected_bar_writes_nothing(tmp_path):
    """Not even a line's end."""
    with (tmp_path / "log").open("wb") as log:
        loop(log.fileno())
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.parametrize("shown", [True, False])
def test_a_terminal_sees_the_bar_if_it_is_shown(shown):
    """On a pseudo-terminal of 80 columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        loop(theirs, shown=shown)
        os.write(theirs, b"end")
        assert (b"work" in os.read(ours, 10_000)) == shown
    finally:
        os.close(ours)
        os.close(theirs)


def test_all_bars_come_from_one_place():
    """No other file makes a tqdm of its own, which would not ask for a terminal."""
    for path in (ROOT / "src/backspike").rglob("*.py"):
        if path.name != "progress.py":
            assert not re.search(r"\btqdm\(", path.read_text()), path
