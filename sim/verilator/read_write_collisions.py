"""Memories that forget what is read in the cycle that writes it, as block RAMs may.

A memory that is marked `no_rw_check` promises that nobody uses what is read from a row in the very
cycle in which the row is written: the device may then give the old row, the new one, or neither.
Verilog gives the old one, which would hide a broken promise. So in every simulation such a read
gives the complement of the row instead, and whoever used it would differ from golden.
"""

import functools
import re
from collections.abc import Iterator

MARK = "no_rw_check"
NAME = r"(?:\\\S+ |\w+)"
MEMORY = re.compile(rf"^  reg (?:\[\d+:\d+\] )?({NAME}) ?\[\d+:\d+\];$")


@functools.lru_cache(maxsize=8)  # a program makes many simulators of a few machines
def spoiled(verilog: str) -> str:
    """The text, as `emit` makes it, with a read that meets a write giving the row's complement.

    Asynchronous reads stay: they give the old row on a device, too, until the clock's edge.
    Raises ValueError if a marked memory is not written as Amaranth's back end writes it.
    """
    if MARK not in verilog:
        return verilog
    parts = re.split(r"^(?=endmodule)", verilog, flags=re.MULTILINE)
    return "".join(_module(part) if MARK in part else part for part in parts)


def _module(text: str) -> str:
    """A module's text up to its end."""
    lines = text.split("\n")
    for name in _marked(lines):
        writes = [(n, found) for n, line in enumerate(lines) if (found := _target(line, name))]
        if not writes:
            raise ValueError(f"memory {name!r} is marked {MARK}, and nothing is written to it")
        meets = [(_condition(lines[n - 1]), address) for n, address in writes]
        for n, line in enumerate(lines):
            found = re.match(rf"^(\s+{NAME} ?<= ){re.escape(name)} ?(?=\[)", line)
            if found is None:
                continue
            address, end = _bracket(line, found.end())
            if line[end:] != ";":
                raise ValueError(f"memory {name!r} is marked {MARK}, and is read by {line!r}")
            row = line[len(found[1]) : end]
            meet = " || ".join(f"(({when}) && ({at}) == ({address}))" for when, at in meets)
            lines[n] = f"{found[1]}({meet}) ? ~{row} : {row};"
    return "\n".join(lines)


def _marked(lines: list[str]) -> Iterator[str]:
    """Names of a module's marked memories."""
    marked = False
    for line in lines:
        if line.startswith("  (* "):
            marked |= line.startswith(f"  (* {MARK}")
        else:
            if marked and (found := MEMORY.match(line)):
                yield found[1]
            marked = False


def _target(line: str, name: str) -> str | None:
    """The address that a line writes, if it writes to the memory."""
    found = re.match(rf"^\s+{re.escape(name)} ?(?=\[)", line)
    if found is None:
        return None
    address, end = _bracket(line, found.end())
    return address if re.match(r"( ?\[[\d:]+\])? <= ", line[end:]) else None


def _condition(line: str) -> str:
    """When the line after this one is carried out."""
    found = re.match(r"^\s+if \((.*)\)$", line)
    return found[1] if found else "1'h1"


def _bracket(line: str, begin: int) -> tuple[str, int]:
    """(what the bracket at `begin` holds, where it ends)."""
    depth = 0
    for n in range(begin, len(line)):
        depth += (line[n] == "[") - (line[n] == "]")
        if not depth:
            return line[begin + 1 : n], n + 1
    raise ValueError(f"a bracket is not closed: {line!r}")
