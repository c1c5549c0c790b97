"""What the table of windows says, against the definition of a window."""

import itertools

import pytest

from backspike.compile.windows import Axis, Table
from backspike.gen.core.shared.window import CELLS, ENTRY, OTHERS, PLANE, SOURCES

GEOMETRIES = [
    (cells, (cells + 2 * padding - taps) // stride + 1, taps, stride, padding)
    for cells, taps, stride, padding in itertools.product(
        range(1, 10), range(1, 6), range(1, 5), range(5)
    )
    if padding < taps <= cells + 2 * padding
]
AXES = [
    Axis(*geometry, cell, left_over)
    for geometry in GEOMETRIES
    for cell, left_over in ((1, 0), (2, 0), (2, 1), (3, 2))
]
"""Of every geometry, small ones."""


def meets(axis: Axis) -> set[tuple[int, int, int]]:
    """(target, tap, source) of all that the definition has."""
    return {
        (target, tap, cell * axis.cell + n)
        for target in range(axis.targets)
        for tap in range(axis.taps)
        for cell in [target * axis.stride - axis.padding + tap]
        if 0 <= cell < axis.cells
        for n in range(axis.cell)
    }


def walked(axis: Axis) -> dict[str, list[tuple[int, int, int]]]:
    """Likewise, as each engine walks its entries, in its order."""
    forward, backward, met = [], [], []
    for target in range(axis.targets):
        source, tap, count = axis.forward(target)
        forward += [(target, tap + n // axis.cell, source + n) for n in range(count)]
    for source in range(axis.sources):
        target, tap, count = axis.backward(source)
        backward += [(target - n, tap + n * axis.stride, source) for n in range(count)]
    for tap in range(axis.taps):
        target, source, count = axis.met(tap)
        at = source
        for n in range(count):
            met.append((target + n // axis.cell, tap, at))
            at += axis.to_next if (n + 1) % axis.cell == 0 else 1
    return {"fp": forward, "bp": backward, "wg": met}


def test_entries_are_the_definition_of_a_window():
    """Each engine meets every (target, tap, source) in the plane once, and nothing outside."""
    outside = 0
    for axis in AXES:
        wanted = meets(axis)
        outside += len(wanted) < axis.targets * axis.taps
        for engine, found in walked(axis).items():
            assert len(found) == len(set(found)), (engine, axis)
            assert set(found) == wanted, (engine, axis)
    assert outside > 400
    assert any(axis.backward(n)[2] == 0 for axis in AXES for n in range(axis.sources))


@pytest.mark.parametrize("targets", [1, 3])
def test_a_bias_has_one_source_for_all_targets(targets):
    """Forward for each target, and for wg all of them at once."""
    axis = Axis(1, targets, stride=0)
    assert [axis.forward(n) for n in range(targets)] == [(0, 0, 1)] * targets
    assert axis.met(0) == (0, 0, targets)


def test_the_table_begins_with_a_point_and_shares_axes():
    """First a plane of one pixel; entries that are alike are there once; distances wrap."""
    table = Table(5)
    rows = [layout.from_bits(word) for layout, word in zip(
        (PLANE, SOURCES, OTHERS, CELLS, ENTRY), table.words, strict=True)]  # fmt: skip
    assert (rows[0].units, rows[0].lines, rows[0].columns) == (5, 1, 1)
    assert (rows[2].y_entries, rows[2].x_entries) == (4, 4)
    assert (rows[4].source, rows[4].other, rows[4].count) == (0, 0, 1)
    assert table.axis([(0, 0, 1)]) == 4
    first = table.axis([(1, 2, 3), (4, 5, 6)])
    assert (first, table.axis([(1, 2, 3), (4, 5, 6)])) == (5, 5)
    place = table.connection(x_source=-3, y_other=7)
    assert SOURCES.from_bits(table.words[place + 1]).x_source == 2**16 - 3
    assert OTHERS.from_bits(table.words[place + 2]).y_other == 7
    assert len(table.words) == place + 4
