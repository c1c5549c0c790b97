"""Accesses to a host port, as software sees them: words, addresses, and what can go wrong."""

from collections.abc import Sequence

import numpy as np

from backspike.gen.host.registers import BYTES, Register, RegisterMap

Words = np.ndarray[tuple[int], np.dtype[np.uint32]]


class BusError(RuntimeError):
    """An access was refused: `operation`, byte `address`, `response` (AXI's name)."""

    def __init__(self, operation: str, address: int, what: str, response: str):
        super().__init__(f"{operation} at {address:#08x} ({what}) was answered {response}")
        self.operation, self.address, self.response = operation, address, response


class BusTimeoutError(RuntimeError):
    """A value did not come in time, or the host port does not answer at all."""


def as_words(values: np.ndarray | Sequence[int]) -> Words:
    """uint32, flattened and contiguous; ValueError if anything would change on the way."""
    data = np.asarray(values)
    if data.dtype != np.uint32 and data.size:
        if data.dtype.kind not in "iub":
            raise ValueError(f"words have dtype {data.dtype}, must be integers")
        low, high = data.min(), data.max()
        if low < 0 or high >= 2**32:
            raise ValueError(f"words are {low} to {high}, must be 0 to 2^32 - 1")
    return np.ascontiguousarray(data, np.uint32).reshape(-1)


def byte_address(registers: RegisterMap, address: int | str, words: int) -> int:
    """The byte address; ValueError if the block leaves the address space."""
    if isinstance(address, str):
        entry = registers[address]
        address = entry.offset if isinstance(entry, Register) else entry.base
    limit = 1 << registers.addr_width
    if address < 0 or address % BYTES or address + words * BYTES > limit:
        raise ValueError(
            f"a block of {words} words at {address:#x}, must be at a multiple of {BYTES} "
            f"and end by {limit:#x}"
        )
    return address


def check_mask(mask: int, value: int) -> None:
    """ValueError if no word can have this value under the mask."""
    if value & ~mask:
        raise ValueError(f"value is {value:#x}, must have bits within the mask {mask:#x} only")
