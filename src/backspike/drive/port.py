"""A way to a core's registers and windows: what a driver needs, whatever is in between."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from backspike.gen.host.access import Words
from backspike.gen.host.registers import RegisterMap


class Port(Protocol):
    """Accesses by byte address (a multiple of 4), or by the name of a register or window.

    Data are uint32. Raises BusError if the core refuses one: what came before it was done.
    """

    registers: RegisterMap

    def write(self, address: int | str, *words: int) -> None:
        """Writes a few words."""
        ...

    def read(self, address: int | str) -> int:
        """Reads one word."""
        ...

    def write_block(self, address: int | str, words: np.ndarray | Sequence[int]) -> None:
        """Writes words (flattened) to consecutive addresses."""
        ...

    def read_block(self, address: int | str, words: int) -> Words:
        """Words from consecutive addresses."""
        ...

    def close(self) -> None:
        """Releases what is behind it."""
        ...

    def wait(
        self,
        address: int | str,
        mask: int,
        value: int,
        *,
        interval: int = 64,
        limit: int = 10_000_000,
    ) -> int:
        """Waits until `word & mask == value`, and returns the word.

        interval: cycles of the core between two looks, where that can be chosen. Raises
        BusTimeoutError once `limit` cycles have certainly gone by.
        """
        ...
