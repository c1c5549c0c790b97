"""The register map's description, from which hardware, driver and documentation are made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from backspike.gen.host.bus import WORD

Access = Literal["ro", "rw", "wo"]
ACCESS = {"ro": "read", "rw": "read, write", "wo": "write"}
RESERVED = ("request", "response", "lock", "registers", "elaborate", "signature", "metadata")
"""Attributes of the register file's component, which has a port for each name."""
BYTES = WORD // 8
"""Bytes of a word: offsets are in bytes, as on AXI."""


def _check_name(kind: str, name: str) -> None:
    if not name.isidentifier() or name.startswith("_") or "__" in name:
        raise ValueError(f"{kind}'s name is {name!r}, must be an identifier without __")
    if kind != "field" and name in RESERVED:
        raise ValueError(f"{kind}'s name is {name!r}: the hardware needs {', '.join(RESERVED)}")


def _check_access(name: str, access: str, locked: bool) -> None:
    if access not in ACCESS:
        raise ValueError(f"access of {name} is {access!r}, must be ro, rw or wo")
    if locked and access == "ro":
        raise ValueError(f"{name} is locked and ro: only what can be written can be locked")


@dataclass(frozen=True)
class Field:
    """`width` bits of a register from bit `lsb` up."""

    name: str
    lsb: int
    width: int
    doc: str

    def __post_init__(self) -> None:
        _check_name("field", self.name)
        if self.lsb < 0 or self.width < 1 or self.lsb + self.width > WORD:
            raise ValueError(
                f"field {self.name} has lsb {self.lsb} and width {self.width}, "
                f"must have 1 or more bits within 0 to {WORD - 1}"
            )

    @property
    def mask(self) -> int:
        """The field's bits within the register."""
        return ((1 << self.width) - 1) << self.lsb


@dataclass(frozen=True, kw_only=True)
class Register:
    """One word at byte `offset`.

    access: ro (the core drives it), rw (the core sees what was written), wo (the core sees each
    write as a strobe). locked: a write is refused while the core holds `lock`.
    width: bits in use, if there are no fields; a write that sets any other bit is refused.
    """

    name: str
    offset: int
    access: Access
    doc: str
    reset: int = 0
    width: int = WORD
    fields: tuple[Field, ...] = ()
    locked: bool = False

    def __post_init__(self) -> None:
        _check_name("register", self.name)
        _check_access(self.name, self.access, self.locked)
        if self.offset < 0 or self.offset % BYTES:
            raise ValueError(f"offset of {self.name} is {self.offset:#x}, must be a multiple of 4")
        if not 1 <= self.width <= WORD:
            raise ValueError(f"width of {self.name} is {self.width}, must be 1 to {WORD}")
        used = 0
        for field in self.fields:
            if used & field.mask:
                raise ValueError(f"field {self.name}.{field.name} overlaps another field")
            used |= field.mask
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError(f"register {self.name} has two fields of one name")
        if self.reset < 0 or self.reset & ~self.mask:
            raise ValueError(
                f"reset of {self.name} is {self.reset:#x}, must be within {self.mask:#x}"
            )
        if self.reset and self.access != "rw":
            raise ValueError(f"reset of {self.name} is {self.reset:#x}: only rw has one")

    @property
    def mask(self) -> int:
        """The bits in use."""
        return sum(field.mask for field in self.fields) or (1 << self.width) - 1

    def field(self, name: str) -> Field:
        """The field of that name; KeyError lists the known ones."""
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise KeyError(f"register {self.name} has no field {name!r}: it has {known or 'none'}")

    def pack(self, **values: int) -> int:
        """The word with these fields, the others as after reset. ValueError if one does not fit."""
        word = self.reset
        for name, value in values.items():
            field = self.field(name)
            if not 0 <= value < 1 << field.width:
                raise ValueError(
                    f"{self.name}.{name} is {value}, must be 0 to {(1 << field.width) - 1}"
                )
            word = word & ~field.mask | value << field.lsb
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """The fields' values in a word."""
        return {field.name: (word & field.mask) >> field.lsb for field in self.fields}


@dataclass(frozen=True, kw_only=True)
class Window:
    """`words` words from byte `base` on that the core answers itself, a memory for instance.

    `base` is a multiple of the window's size, rounded up to a power of two.
    locked: every access (a read, too) is refused while the core holds `lock`.
    """

    name: str
    base: int
    words: int
    access: Access
    doc: str
    locked: bool = False

    def __post_init__(self) -> None:
        _check_name("window", self.name)
        _check_access(self.name, self.access, False)
        if self.words < 1:
            raise ValueError(f"words of {self.name} is {self.words}, must be 1 or more")
        if self.base < 0 or self.base % self.span:
            raise ValueError(
                f"base of {self.name} is {self.base:#x}, must be a multiple of {self.span:#x}"
            )

    @property
    def address_width(self) -> int:
        """Bits of a word address within the window."""
        return (self.words - 1).bit_length()

    @property
    def span(self) -> int:
        """Bytes, up to a power of two."""
        return BYTES << self.address_width


@dataclass(frozen=True)
class RegisterMap(Mapping[str, Register | Window]):
    """Registers and windows by name. No two share an address or a name."""

    title: str
    doc: str
    registers: tuple[Register, ...]
    windows: tuple[Window, ...] = ()
    addr_width: int = 24

    def __post_init__(self) -> None:
        entries = (*self.registers, *self.windows)
        if len({entry.name for entry in entries}) != len(entries):
            names = sorted(entry.name for entry in entries)
            raise ValueError(f"the map has a name twice: {', '.join(names)}")
        end, last = 0, ""
        for first, size, name in sorted(
            [(r.offset, BYTES, r.name) for r in self.registers]
            + [(w.base, w.span, w.name) for w in self.windows]
        ):
            if first < end:
                raise ValueError(f"{name} at {first:#x} overlaps {last}, which ends at {end:#x}")
            end, last = first + size, name
        if end > 1 << self.addr_width:
            raise ValueError(
                f"{last} ends at {end:#x}, must end by {1 << self.addr_width:#x} "
                f"({self.addr_width} address bits)"
            )

    def __getitem__(self, name: str) -> Register | Window:
        for entry in (*self.registers, *self.windows):
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in (*self.registers, *self.windows))

    def __len__(self) -> int:
        return len(self.registers) + len(self.windows)

    def register(self, name: str) -> Register:
        """The register of that name; KeyError lists the known ones."""
        entry = self.get(name)
        if isinstance(entry, Register):
            return entry
        known = ", ".join(register.name for register in self.registers)
        raise KeyError(f"the map has no register {name!r}: it has {known}")

    def window(self, name: str) -> Window:
        """The window of that name; KeyError lists the known ones."""
        entry = self.get(name)
        if isinstance(entry, Window):
            return entry
        known = ", ".join(window.name for window in self.windows)
        raise KeyError(f"the map has no window {name!r}: it has {known or 'none'}")

    def at(self, address: int) -> str:
        """What a byte address is, for messages: `control`, `weights + 0x10`, or `nothing`."""
        for register in self.registers:
            if register.offset == address:
                return register.name
        for window in self.windows:
            if window.base <= address < window.base + window.words * BYTES:
                return f"{window.name} + {address - window.base:#x}"
        return "nothing"
