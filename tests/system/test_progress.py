"""system.progress: what a long job is at, at once when that changes, otherwise now and then."""

from backspike.system.progress import Progress, clock


def test_stages_are_told_at_once_and_details_now_and_then():
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
    assert [clock(s) for s in (0, 59.9, 125, 3600)] == ["0:00", "0:59", "2:05", "60:00"]
