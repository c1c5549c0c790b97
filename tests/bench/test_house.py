"""Figures of the checkout: lines, functions, delays and conditions are counted right."""

import ast

import pytest

from backspike.bench import house
from backspike.drive.comparison import Counts
from backspike.ir.errors import UserError

SOURCE = """
def short(m, engine):
    later(m, 1)
    drain.later(m, 2)
    if engine == "fp" or engine in ("bp", "tp"):
        return engine is Kind.UPDATE
    match engine:
        case "wg":
            return name == "fpga"
    return {"fp": 1}["fp"]
"""


def test_functions_are_measured_with_their_decorators_left_out():
    """A function's length is from `def` to its last line."""
    tree = ast.parse("@cache\ndef one():\n    pass\n\nasync def three():\n    a()\n\n    b()\n")
    assert list(house.functions(tree)) == [(2, "one"), (4, "three")]


def test_delays_are_calls_and_not_mentions():
    """Calls of `later` count, by name or as an attribute; a word in a text does not."""
    assert house.delays(ast.parse(SOURCE)) == 2
    assert house.delays(ast.parse("x = 'later(m)'\nlater = 1\n")) == 0


def test_conditions_on_an_engines_name():
    """Equal, in, is and case count once each; other names and look-ups do not."""
    assert house.conditions(ast.parse(SOURCE)) == 4


def test_sources_of_this_checkout_are_read():
    """Every figure has a value of its own, from files that git tracks."""
    figures = {f.figure: f for f in house.sources(Counts())}
    assert len(figures) == 5
    assert all(figure.value is not None for figure in figures.values())
    assert not figures["lines under rtl/"].how.startswith("0 files")


def test_an_installed_package_is_no_checkout(monkeypatch, tmp_path):
    """The refusal says what is missing."""
    monkeypatch.setattr(house, "__file__", str(tmp_path / "a" / "b" / "c" / "house.py"))
    with pytest.raises(UserError, match="not run from a checkout"):
        house.root()


def test_a_folder_without_git_is_refused(tmp_path):
    """git's own words are in the sentence."""
    with pytest.raises(UserError, match="git ls-files fails"):
        house.tracked(tmp_path, "*.py")
