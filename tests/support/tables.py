"""Random tables of entries, as they tell walks of planes and windows."""

import random

from backspike.gen.core.shared.window import (
    CELLS,
    ENTRY,
    OTHERS,
    PLACES_BITS,
    PLANE,
    ROWS,
    SOURCES,
    UNIT_BITS,
)
from backspike.gen.memory.rows import READ_LATENCY
from tests.support.streams import Bench, Memory, packed

ENTRIES = 6
"""Bits of an address of the table."""
ALONG = range(32)
"""Addresses of entries; behind them lie rows of connections."""
Row = dict[str, int]


class Table:
    """A table of entries that each may be the one of any axis, and what it has of connections.

    none: share of entries that lie outside the plane.
    """

    def __init__(self, rng: random.Random, none: float):
        self.rng = rng
        self.entries = [
            {
                "source": rng.getrandbits(UNIT_BITS),
                "other": rng.getrandbits(UNIT_BITS),
                "count": 0 if rng.random() < none else rng.randint(1, 4),
            }
            for _ in ALONG
        ]
        self.words = [packed(ENTRY).pack(entry) for entry in self.entries]

    def connection(self, **plane: int) -> tuple[int, Row]:
        """(where it lies, all that it has) of a connection whose plane is given in part; the rest
        is drawn."""
        rng, values = self.rng, {}
        for layout in (PLANE, SOURCES, OTHERS, CELLS):
            row = {str(name): rng.getrandbits(field.width) for name, field in layout}
            row |= {
                name: rng.choice(ALONG[:-4]) for name in ("y_entries", "x_entries") if name in row
            }
            row |= {name: rng.randrange(4) for name in ("y_more", "x_more", "bits") if name in row}
            row |= {name: value for name, value in plane.items() if name in row}
            values |= row
            self.words.append(packed(layout).pack(row))
        return len(self.words) - ROWS, values

    def windows(self, connection: Row, y: int, x: int) -> list[tuple[int, int, int]]:
        """Of each pixel of a window, row by row: how far its first tile of sources, and what is
        beside it, lie from those of the connection, and by how many places it is shifted."""
        row, column = (
            self.entries[connection[n] + at] for n, at in (("y_entries", y), ("x_entries", x))
        )
        lines, columns = (
            _along(connection, axis, entry["count"]) for axis, entry in (("y", row), ("x", column))
        )
        return [
            (
                row["source"] + column["source"] + line_source + column_source,
                row["other"] + column["other"] + line_other + column_other,
                (connection["places"] + j % (connection["bits"] + 1)) % (1 << PLACES_BITS),
            )
            for line_source, line_other in lines
            for j, (column_source, column_other) in enumerate(columns)
        ]

    def answer(self, bench: Bench) -> None:
        """Lets the bench's design read it."""
        self.words += [0] * ((1 << ENTRIES) - len(self.words))
        port = bench.dut.table__addr, bench.dut.table__data
        bench.add(Memory(bench, *port, lambda at: self.words[at], READ_LATENCY))


def _along(connection: Row, axis: str, count: int) -> list[tuple[int, int]]:
    """Distances from the first of so many pixels along an axis, of sources and beside them."""
    found, source, other = [], 0, 0
    for n in range(count):
        found.append((source, other))
        leaves = n % (connection[f"{axis}_more"] + 1) == connection[f"{axis}_more"]
        source += connection[f"{axis}_next" if leaves else f"{axis}_source"]
        other += connection[f"{axis}_other"] if leaves else 0
    return found
