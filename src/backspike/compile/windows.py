"""What the table of windows has of a connection: where each pixel's sources lie, by axis.

All divisions, edges and paddings of a convolution end here: the core walks entries. A connection
that is dense or an identity has windows, too: of one pixel.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from amaranth.lib import data

from backspike.compile.cut import Cut
from backspike.compile.placement import Placement
from backspike.compile.planes import scale_of
from backspike.gen.core.shared.window import (
    CELLS,
    ENTRY,
    OTHERS,
    PLANE,
    SOURCES,
    STRIDES,
)
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Connection, Graph
from backspike.ir.window import Window

Words = list[int]


@dataclass(frozen=True)
class Axis:
    """A window along one axis: so many cells of sources, targets and taps; target o's tap k is cell
    o * stride - padding + k. With stride 0 all targets have the same cells, as a bias.

    cell: sources of a cell, side by side: what is pooled, or the bits of a number. left_over:
    sources behind the last cell, that no window has.
    """

    cells: int
    targets: int
    taps: int = 1
    stride: int = 1
    padding: int = 0
    cell: int = 1
    left_over: int = 0

    @property
    def sources(self) -> int:
        """All of them."""
        return self.cells * self.cell + self.left_over

    def forward(self, target: int) -> tuple[int, int, int]:
        """Of a target: (first source, its tap, how many sources there are)."""
        first = target * self.stride - self.padding
        begin, end = max(first, 0), min(first + self.taps, self.cells)
        if end <= begin:
            return 0, 0, 0
        return begin * self.cell, begin - first, (end - begin) * self.cell

    def backward(self, source: int) -> tuple[int, int, int]:
        """Of a source: (its target with the first tap, that tap, how many there are): each further
        tap is `stride` on, of the target before."""
        at = source // self.cell + self.padding
        taps = [
            tap
            for tap in range(at % self.stride, self.taps, self.stride)
            if source < self.cells * self.cell and 0 <= (at - tap) // self.stride < self.targets
        ]
        return ((at - taps[0]) // self.stride, taps[0], len(taps)) if taps else (0, 0, 0)

    def met(self, tap: int) -> tuple[int, int, int]:
        """Of a tap: (first target that it meets a cell of, first source of that, sources that it
        meets in all)."""
        if not self.stride:
            return 0, (tap - self.padding) * self.cell, self.targets * self.cell
        low = max(0, ceil_div(self.padding - tap, self.stride))
        high = min(self.targets - 1, (self.cells - 1 + self.padding - tap) // self.stride)
        first = low * self.stride - self.padding + tap
        return (low, first * self.cell, (high - low + 1) * self.cell) if high >= low else (0, 0, 0)

    @property
    def to_next(self) -> int:
        """From a cell's last source to the first of the next target's."""
        return (self.stride - 1) * self.cell + 1


class Table:
    """The rows of the table, as it grows. Axes that are alike share their entries.

    It begins with a point, which is what a loss is told. blocks: of the batch.
    """

    def __init__(self, blocks: int) -> None:
        self.words: Words = []
        self._axes: dict[tuple[int, ...], int] = {}
        behind = len(STRIDES.members)
        self.connection(units=blocks, lines=1, columns=1, y_entries=behind, x_entries=behind)
        self.axis([(0, 0, 1)])

    def axis(self, entries: Iterable[tuple[int, int, int]]) -> int:
        """Where entries (source, other, count) lie, one after the other."""
        words = tuple(_packed(ENTRY, source=s, other=o, count=n) for s, o, n in entries)
        if words not in self._axes:
            self._axes[words] = len(self.words)
            self.words += words
        return self._axes[words]

    def connection(self, **fields: int) -> int:
        """Where a connection's rows lie, with these fields, the rest 0."""
        place = len(self.words)
        for layout in (PLANE, SOURCES, OTHERS, CELLS):
            names = {str(name) for name, _ in layout}
            self.words.append(_packed(layout, **{n: fields[n] for n in names & fields.keys()}))
        return place


def _packed(layout: data.StructLayout, **fields: int) -> int:
    """A row; distances are modulo their bits."""
    masks = {str(name): (1 << field.width) - 1 for name, field in layout}
    return layout.const({n: value & masks[n] for n, value in fields.items()}).as_bits()


@dataclass(frozen=True)
class Windows:
    """The windows of one connection: of each axis, rows first. tiles: of sources. tile_rows: blocks
    of weights of a tile of targets. shared: all taps have the same weights, as one-to-one. places:
    by which weights are shifted; bits: of a graded input's numbers, each a place more."""

    axes: tuple[Axis, Axis]
    tiles: int
    tile_rows: int
    blocks: int  # of the batch
    shared: bool = False
    first_tap: int = 0  # the first one's number, of which there are `taps`, for each source
    places: int = 0
    bits: int = 1

    @property
    def sources(self) -> int:
        """Pixels of the source's plane, each bit of a number one."""
        return self.axes[0].sources * self.axes[1].sources

    @property
    def widest(self) -> int:
        """Pixels of the source of a target's window, at the most."""
        return math.prod(max(axis.forward(n)[2] for n in range(axis.targets)) for axis in self.axes)

    @property
    def reach(self) -> int:
        """Targets that a pixel of the source reaches, at the most."""
        return math.prod(
            max(axis.backward(n)[2] for n in range(axis.sources)) for axis in self.axes
        )

    @property
    def most_met(self) -> int:
        """Pixels of the source that a tap meets, at the most."""
        return math.prod(max(axis.met(n)[2] for n in range(axis.taps)) for axis in self.axes)

    @property
    def targets(self) -> int:
        """Pixels of the target's plane."""
        return self.axes[0].targets * self.axes[1].targets

    def forward(self, table: Table, each: int) -> int:
        """What engine fp is told; each: blocks of a pixel of the target, or sets."""
        rows, columns = self.axes
        line, (tap_row, tap) = columns.sources * self.blocks, self._taps()
        return table.connection(
            units=self.targets * each,
            lines=rows.targets,
            columns=columns.targets,
            tile_rows=self.tile_rows,
            tile_units=self.sources * self.blocks,
            **self._cells(self.blocks, line),
            x_next=self.blocks,
            y_next=line,
            x_other=tap,
            y_other=tap_row,
            y_entries=table.axis(
                (s * line, t * tap_row, n) for s, t, n in map(rows.forward, range(rows.targets))
            ),
            x_entries=table.axis(
                (s * self.blocks, t * tap, n)
                for s, t, n in map(columns.forward, range(columns.targets))
            ),
        )

    def backward(self, table: Table) -> int:
        """What engine bp is told, of which the neurons are the sources."""
        rows, columns = self.axes
        line, (tap_row, tap) = columns.targets * self.blocks, self._taps()
        return table.connection(
            units=self.sources * self.blocks,
            lines=rows.sources,
            columns=columns.sources,
            tile_rows=self.tile_rows,
            tile_units=self.targets * self.blocks,
            places=self.places,
            x_next=-self.blocks,
            y_next=-line,
            x_other=columns.stride * tap,
            y_other=rows.stride * tap_row,
            y_entries=table.axis(
                (o * line, t * tap_row, n) for o, t, n in map(rows.backward, range(rows.sources))
            ),
            x_entries=table.axis(
                (o * self.blocks, t * tap, n)
                for o, t, n in map(columns.backward, range(columns.sources))
            ),
        )

    def update(self, table: Table) -> int:
        """What engine wg is told."""
        rows, columns = self.axes
        line, target_line = columns.sources * self.blocks, columns.targets * self.blocks
        return table.connection(
            units=self.targets * self.blocks,
            lines=rows.taps,
            columns=columns.taps,
            tile_rows=self.tile_rows,
            taps=rows.taps * columns.taps,
            tap=self.first_tap,
            tile_units=self.sources * self.blocks,
            **self._cells(self.blocks, line),
            x_next=columns.to_next * self.blocks,
            y_next=rows.to_next * line,
            x_other=self.blocks,
            y_other=target_line,
            y_entries=table.axis(
                (s * line, o * target_line, n) for o, s, n in map(rows.met, range(rows.taps))
            ),
            x_entries=table.axis(
                (s * self.blocks, o * self.blocks, n)
                for o, s, n in map(columns.met, range(columns.taps))
            ),
        )

    def _cells(self, column: int, line: int) -> dict[str, int]:
        """How sources are walked within a cell."""
        rows, columns = self.axes
        return {
            "x_source": column,
            "y_source": line,
            "x_more": columns.cell - 1,
            "y_more": rows.cell - 1,
            "places": self.places,
            "bits": self.bits - 1,
        }

    def _taps(self) -> tuple[int, int]:
        """Blocks of weights from a row of taps to the next, and from a tap."""
        return (0, 0) if self.shared else (self.axes[1].taps * self.tiles, self.tiles)


def windows_of(
    graph: Graph, connection: Connection, places: Placement, cut: Cut, scale_down: int = 0
) -> Windows:
    """Of a connection that is placed. scale_down: the machine's."""
    source, target = places.populations[connection.source], places.populations[connection.target]
    at, window = places.connections[connection.name], graph.windows.get(connection.name)
    if isinstance(connection.kind, Conv2d) and window is not None:
        axes = [_axis(window, n, length) for n, length in enumerate(source.plane)]
    elif window is not None:  # dense: a window as large as the plane
        axes = [Axis(n, 1, n) for n in source.plane]
    else:
        axes = [Axis(n, m) for n, m in zip(source.plane, target.plane, strict=True)]
    rows, columns = axes
    bits = source.bits
    columns = replace(columns, cell=columns.cell * bits, left_over=columns.left_over * bits)
    return Windows(
        (rows, columns),
        at.source_tiles,
        at.tile_rows,
        cut.blocks,
        shared=window is None,
        places=scale_down + scale_of(graph, connection),
        bits=bits,
    )


def _axis(window: Window, n: int, length: int) -> Axis:
    """Of rows (0) or columns (1) of a convolution over so many."""
    cells, pool = window.pooled[n], window.pool[n]
    geometry = window.pixels[n], window.kernel[n], window.stride[n], window.padding[n]
    return Axis(cells, *geometry, pool, length - cells * pool)


def bias_windows(
    connection: Connection, places: Placement, cut: Cut, scale_down: int = 0
) -> Windows:
    """Of a bias that has blocks of its own: one source, for every pixel of the target."""
    target, at = places.populations[connection.target], places.connections[connection.name]
    rows, columns = (Axis(1, n, stride=0) for n in target.plane)
    first_tap = at.sources * at.taps
    return Windows((rows, columns), 1, 1, cut.blocks, first_tap=first_tap, places=scale_down)
