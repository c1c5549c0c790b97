"""Telling what takes so long, if it does."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

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


def progress_bar(iterable: Iterable | None = None, *, shown: bool = True, **options) -> Any:
    """A tqdm bar on stderr, if that is a terminal and it is to be `shown`; else tqdm that is mute.

    options: of `tqdm.tqdm`.
    """
    # tqdm takes None for: on a terminal only.
    return tqdm(iterable, disable=None if shown else True, **options)
