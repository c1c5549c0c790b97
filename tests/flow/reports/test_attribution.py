"""flow.reports.attribution: to which component a cell belongs."""

import pytest

from backspike.flow.reports.attribution import attribute, common
from tests.support.netlists import cell, module, scope

SOURCE = """\
module leaf(clk);
  always
endmodule
module other(clk);
  always
endmodule
module \\top ();
  assign
endmodule
"""
SCOPES = {
    "a": scope("other"),
    "a.x": scope("leaf"),
    "a.y": scope("leaf"),
    "b": scope("other"),
}
LEAF, OTHER, TOP = "source.v:2.3-2.9", "source.v:5.3-5.9", "source.v:8.1-8.2"
LIBRARY = "/share/ecp5/cells.v:2.1"


def attributed(cells: dict[str, dict], **nets: int) -> dict[str, str]:
    return attribute(module(SCOPES | cells, **nets), SOURCE)


def test_a_memory_by_its_name():
    """A memory belongs to the component in its name."""
    assert attributed({"a.y.words.0": cell("DP16KD", DO=1), "words": cell("DP16KD", DO=2)}) == {
        "a.y.words.0": "a.y",
        "words": "",
    }


def test_a_register_by_its_place_and_its_net():
    """A register belongs to the component of its source line that its net names."""
    cells = {
        "$1": cell("TRELLIS_FF", f"{LEAF}|{LIBRARY}", Q=1),
        "$2": cell("TRELLIS_FF", f"{LIBRARY}|{LEAF}", Q=2),
        "$3": cell("TRELLIS_FF", TOP, Q=3),
    }
    # The net of the first has names in three components, and only one is of the module.
    found = attributed(cells, a__x__q=1, a__q=1, b__i=1, a__y__q=2, top_q=3)
    assert found == {"$1": "a.x", "$2": "a.y", "$3": ""}


def test_a_register_of_the_only_instance_needs_no_name():
    """A register of a module with one instance belongs to it."""
    only = {"a": scope("other"), "a.x": scope("leaf"), "$1": cell("TRELLIS_FF", LEAF, Q=1)}
    assert attribute(module(only), SOURCE) == {"$1": "a.x"}


def test_a_register_without_a_name_is_nearest_to_its_readers():
    """A register without a name belongs to the instance that reads it."""
    cells = {
        "$1": cell("CCU2C", OTHER, S=1),
        "$2": cell("LUT4", a=1, Z=2),
        "b.words.0": cell("DP16KD", i=2, DO=3),
    }
    assert attributed(cells) == {"$1": "b", "$2": "b", "b.words.0": "b"}


def test_logic_belongs_to_most_of_its_readers():
    """Logic belongs to the common component of most of what it feeds."""
    cells = {
        "a.x.words.0": cell("DPR", i=10, j=11, k=12, DO=1),
        "a.y.words.0": cell("DPR", i=11, j=12, DO=2),
        "b.words.0": cell("DPR", i=12, DO=3),
        "$x": cell("LUT4", Z=10),
        "$between": cell("LUT4", Z=11),
        "$all": cell("LUT4", Z=12),
        "$behind": cell("LUT4", Z=13),
        "$twice": cell("LUT4", a=13, Z=14),
        "$reads": cell("LUT4", a=14, Z=10),
        "$unread": cell("LUT4", Z=15),
    }
    found = attributed(cells)
    assert {name: found[name] for name in cells if name.startswith("$")} == {
        "$x": "a.x",
        "$between": "a",
        "$all": "",
        "$behind": "a.x",
        "$twice": "a.x",
        "$reads": "a.x",
        "$unread": "",
    }


def test_the_majority():
    """Of readers in two components, the majority owns the logic."""
    cells = {f"a.x.w.{n}": cell("DPR", i=10, DO=n) for n in (1, 2)}
    cells |= {"b.w.0": cell("DPR", i=10, DO=3), "$": cell("LUT4", Z=10)}
    assert attributed(cells)["$"] == "a.x"


@pytest.mark.parametrize("first", range(3))
def test_all_readers_vote(first):
    """Whichever of them is settled first."""
    to = ["a.x", "b", "b"]
    to = to[first:] + to[:first]
    cells = {f"{path}.w.{n}": cell("DPR", i=20 + n, DO=n) for n, path in enumerate(to)}
    cells |= {f"${n}": cell("LUT4", a=10, Z=20 + n) for n in range(3)}
    assert attributed(cells | {"$": cell("LUT4", Z=10)})["$"] == "b"


def test_a_loop_ends():
    """Logic that feeds only itself belongs to the top."""
    cells = {"$1": cell("LUT4", a=2, Z=1), "$2": cell("LUT4", a=1, Z=2)}
    assert attributed(cells) == {"$1": "", "$2": ""}


def test_every_cell_has_one_owner():
    """Each cell of a long chain has an owner."""
    cells = {f"${n}": cell("LUT4", a=n, Z=n + 1) for n in range(50)}
    assert set(attributed(cells)) == set(cells)


@pytest.mark.parametrize(
    ("paths", "want"),
    [
        (["a.b"], "a.b"),
        (["a.b", "a.bc"], "a"),
        (["a", "a.b.c"], "a"),
        (["a", ""], ""),
        (["a", "b"], ""),
    ],
)
def test_common(paths, want):
    """The common component is the longest shared path, by whole names."""
    assert common(paths) == want
