"""What is said on stderr while something takes long."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from tqdm import tqdm


def note(line: str) -> None:
    """Print a line on stderr at once."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Tells what a long job is doing: at once when its stage changes, otherwise now and then.

    log: takes the lines, `NAME: STAGE, DETAIL, 2:05`. seconds: between two lines of a stage, fewer
    where a person watches a terminal.
    """

    def __init__(self, log: Callable[[str], None], name: str, seconds: float | None = None):
        self._log, self._name = log, name
        self._seconds = (10 if sys.stderr.isatty() else 60) if seconds is None else seconds
        self._begun = time.monotonic()
        self._stage, self._next = "", 0.0

    def at(self, stage: str, detail: str = "") -> None:
        """The job is in this stage; detail: how far."""
        now = time.monotonic()
        if stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + self._seconds
        parts = [stage, detail] if detail else [stage]
        self._log(f"{self._name}: {', '.join(parts)}, {clock(now - self._begun)}")


SILENT = Progress(lambda line: None, "")
"""Tells nothing."""


def clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def progress_bar(iterable: Iterable | None = None, *, shown: bool = True, **options) -> Any:
    """A tqdm bar on stderr, if that is a terminal and it is to be `shown`; else tqdm that is mute.

    options: of `tqdm.tqdm`.
    """
    # tqdm takes None for: on a terminal only.
    return tqdm(iterable, disable=None if shown else True, **options)
