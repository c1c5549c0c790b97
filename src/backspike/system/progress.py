"""Telling what takes so long, if it does."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 2.0


@contextmanager
def said_if_slow(line: str, seconds: float = SECONDS) -> Iterator[None]:
    """Print `line` on stderr if the body still runs after so many seconds."""
    timer = threading.Timer(seconds, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
