"""Progress: bars where a person looks, and nothing in files."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from backspike.system.progress import Progress, clock

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


def test_stages_are_told_at_once_and_details_now_and_then():
    """A new stage has its line at once; a detail waits for its turn."""
    lines = []
    rarely = Progress(lines.append, "seed 1 of 3", seconds=100)
    for n in range(5):
        rarely.at("placing", f"iteration {n}")
    rarely.at("routing")
    assert lines == [
        "seed 1 of 3: placing, iteration 0, 0:00",
        "seed 1 of 3: routing, 0:00",
    ]
    lines.clear()
    always = Progress(lines.append, "seed 1 of 3", seconds=0)
    for n in range(2):
        always.at("placing", f"iteration {n}")
    assert lines == [f"seed 1 of 3: placing, iteration {n}, 0:00" for n in range(2)]


def test_a_redirected_stderr_gets_fewer_lines(monkeypatch):
    """Without a terminal a line a minute; never a bar that is drawn over."""
    times = iter(range(0, 100000, 5))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    for terminal, count in ((True, 50), (False, 9)):
        lines = []
        monkeypatch.setattr("sys.stderr.isatty", lambda answer=terminal: answer)
        progress = Progress(lines.append, "x")
        for n in range(100):
            progress.at("routing", str(n))
        assert len(lines) == count
        assert not any("\r" in line for line in lines)


def test_clock():
    """Minutes and seconds, rounded down."""
    assert [clock(s) for s in (0, 59.9, 125, 3600)] == ["0:00", "0:59", "2:05", "60:00"]
