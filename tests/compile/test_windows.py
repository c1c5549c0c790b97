"""What the table of windows says, against the definition of a window."""

import itertools

import pytest

from backspike.compile.windows import Axis, Table
from backspike.gen.core.shared.window import ENTRY, OTHERS, PLANE, SOURCES

AXES = [
    Axis(sources, (sources + 2 * padding - taps) // stride + 1, taps, stride, padding)
    for sources, taps, stride, padding in itertools.product(
        range(1, 10), range(1, 6), range(1, 5), range(5)
    )
    if padding < taps <= sources + 2 * padding
]
"""Of every geometry, small ones."""


def meets(axis: Axis) -> set[tuple[int, int, int]]:
    """(target, tap, source) of all that the definition has."""
    return {
        (target, tap, target * axis.stride - axis.padding + tap)
        for target in range(axis.targets)
        for tap in range(axis.taps)
        if 0 <= target * axis.stride - axis.padding + tap < axis.sources
    }


def walked(axis: Axis) -> dict[str, list[tuple[int, int, int]]]:
    """Likewise, as each engine walks its entries, in its order."""
    forward, backward, met = [], [], []
    for target in range(axis.targets):
        source, tap, count = axis.forward(target)
        forward += [(target, tap + n, source + n) for n in range(count)]
    for source in range(axis.sources):
        target, tap, count = axis.backward(source)
        backward += [(target - n, tap + n * axis.stride, source) for n in range(count)]
    for tap in range(axis.taps):
        target, source, count = axis.met(tap)
        met += [(target + n, tap, source + n * axis.stride) for n in range(count)]
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
    assert outside > 100
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
        (PLANE, SOURCES, OTHERS, ENTRY), table.words, strict=True)]  # fmt: skip
    assert (rows[0].units, rows[0].lines, rows[0].columns) == (5, 1, 1)
    assert (rows[2].y_entries, rows[2].x_entries) == (3, 3)
    assert (rows[3].source, rows[3].other, rows[3].count) == (0, 0, 1)
    assert table.axis([(0, 0, 1)]) == 3
    first = table.axis([(1, 2, 3), (4, 5, 6)])
    assert (first, table.axis([(1, 2, 3), (4, 5, 6)])) == (4, 4)
    place = table.connection(x_source=-3, y_other=7)
    assert SOURCES.from_bits(table.words[place + 1]).x_source == 2**16 - 3
    assert OTHERS.from_bits(table.words[place + 2]).y_other == 7
    assert len(table.words) == place + 3
