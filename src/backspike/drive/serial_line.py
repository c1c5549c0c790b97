"""Lines that bytes travel on: a serial port of this computer."""

import contextlib
import os
from typing import Protocol

import serial

from backspike.ir.errors import LinkError

BAUD = 1_000_000
"""Bits a second unless something else is asked for."""
STUCK = 10.0
"""Seconds after which a port that takes no bytes is given up: ten times the longest frame's time at
9600 baud."""


class Line(Protocol):
    """A way for bytes to a bridge and back. name: for messages. baud: bits a second."""

    name: str
    baud: int

    def send(self, data: bytes) -> None:
        """Puts bytes on their way."""
        ...

    def receive(self, seconds: float) -> bytes:
        """What has come; waits for something as long as this, then gives nothing."""
        ...

    def close(self) -> None:
        """Gives the line back."""
        ...


class SerialLine:
    """A serial port: 8 bits, no parity, one stop bit, nobody else's. See `Line`.

    port: as the system calls it. baud: bits a second (None: BAUD).
    Raises LinkError if it cannot be opened, or is lost.
    """

    def __init__(self, port: str, baud: int | None = None):
        baud = BAUD if baud is None else baud
        self.name, self.baud = f"serial port {port}", baud
        try:
            self._serial = serial.Serial(port, baud, exclusive=True, write_timeout=STUCK)
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(
                f"{self.name} cannot be opened at {baud} baud: {_reason(error)}"
            ) from None
        # FTDI's chips keep a short answer back for 16 ms otherwise; others have no such mode.
        with contextlib.suppress(ValueError, OSError, NotImplementedError, AttributeError):
            self._serial.set_low_latency_mode(True)

    def send(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from None

    def receive(self, seconds: float) -> bytes:
        try:
            self._serial.timeout = seconds
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as error:
            raise self._lost(error) from None

    def close(self) -> None:
        self._serial.close()

    def _lost(self, error: Exception) -> LinkError:
        return LinkError(f"{self.name} is lost: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The system's own words, if it has any."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    cause = error.__context__  # pyserial puts the system's into words of its own
    if cause is not None and cause.args and isinstance(cause.args[0], int):
        return os.strerror(cause.args[0])
    return str(error)
