"""Random tables of entries, as they tell walks of planes and windows."""

import random

from backspike.gen.core.shared.window import ENTRY, OTHERS, PLANE, SOURCES, UNIT_BITS
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
                "count": 0 if rng.random() < none else rng.randint(1, 3),
            }
            for _ in ALONG
        ]
        self.words = [packed(ENTRY).pack(entry) for entry in self.entries]

    def connection(self, **plane: int) -> tuple[int, Row]:
        """(where it lies, all that it has) of a connection whose plane is given in part; the rest
        is drawn."""
        rng, values = self.rng, {}
        for layout in (PLANE, SOURCES, OTHERS):
            row = {str(name): rng.getrandbits(field.width) for name, field in layout}
            row |= {
                name: rng.choice(ALONG[:-4]) for name in ("y_entries", "x_entries") if name in row
            }
            row |= {name: value for name, value in plane.items() if name in row}
            values |= row
            self.words.append(packed(layout).pack(row))
        return len(self.words) - 3, values

    def windows(self, connection: Row, y: int, x: int) -> list[tuple[int, int]]:
        """Of each pixel of a window, row by row: how far its first tile of sources, and what is
        beside it, lie from those of the connection."""
        row, column = (
            self.entries[connection[n] + at] for n, at in (("y_entries", y), ("x_entries", x))
        )
        return [
            (
                row["source"] + column["source"]
                + i * connection["y_source"] + j * connection["x_source"],
                row["other"] + column["other"]
                + i * connection["y_other"] + j * connection["x_other"],
            )
            for i in range(row["count"])
            for j in range(column["count"])
        ]  # fmt: skip

    def answer(self, bench: Bench) -> None:
        """Lets the bench's design read it."""
        self.words += [0] * ((1 << ENTRIES) - len(self.words))
        port = bench.dut.table__addr, bench.dut.table__data
        bench.add(Memory(bench, *port, lambda at: self.words[at], READ_LATENCY))
