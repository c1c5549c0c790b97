"""Ctrl-C that stops between two batches instead of in the middle of one."""

import signal
import threading
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run was stopped by the user, in order. Exit code 130."""


class Interruptible:
    """While entered, the first Ctrl-C only sets `requested`; the second one interrupts at once.

    Outside the main thread, where Python allows no signal handlers, Ctrl-C does as it always does.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Interruptible":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
