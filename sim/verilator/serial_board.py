"""A simulated board: a Verilated design whose UART pins are a pseudo-terminal."""

import contextlib
import os
import pty
import select
import threading
import tty
from collections.abc import Callable

from backspike.sim.verilator.uart import Uart

CHUNK = 4096
LOOK = 0.02
"""Seconds between two looks whether it is over, while nothing moves."""


class SerialBoard:
    """A thread that runs `uart` behind a pseudo-terminal at `path` until it is closed.

    The model's time stands still while its line is quiet. there, back: what happens to bytes on
    their way to the model and from it, such as `NoisyLine`.
    Use it in a `with` statement. `unplug` takes the terminal away, as pulling a cable does.
    """

    def __init__(
        self,
        uart: Uart,
        there: Callable[[bytes], bytes] = bytes,
        back: Callable[[bytes], bytes] = bytes,
    ):
        self.uart, self._there, self._back = uart, there, back
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    def __enter__(self) -> "SerialBoard":
        return self

    def __exit__(self, *_) -> None:
        self.unplug()
        self.uart.close()

    def unplug(self) -> None:
        """The terminal hangs up; the model stays where it is."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)

    def _run(self) -> None:
        while not self._over.is_set():
            wait = LOOK if self.uart.quiet else 0
            if select.select([self._ours], [], [], wait)[0]:
                self.uart.send(self._there(os.read(self._ours, CHUNK)))
                self.uart.stir()
            if not self.uart.quiet:
                self._write(self._back(self.uart.run()))

    def _write(self, data: bytes) -> None:
        while data and not self._over.is_set():
            # Nobody reads a terminal that is full for ever: a cable would lose the bytes, too.
            if select.select([], [self._ours], [], LOOK)[1]:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._ours, data) :]
