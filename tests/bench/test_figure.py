"""Figures: their goals, as text and as JSON."""

import json

from backspike.bench.figure import Figure, at_least, at_most, table, to_json


def test_goals_are_inclusive():
    """A value equal to its goal meets it."""
    assert [at_most("a", value, 1.1, "").met for value in (1.1, 1.1001)] == [True, False]
    assert [at_least("a", value, 95, "").met for value in (95, 94.99)] == [True, False]


def test_json_and_table():
    """JSON holds every figure with its goal; the table marks a missed goal and wraps long texts."""
    figures = [at_most("mismatches", 0, 0, "counted"), at_least("accuracy", 94.5, 95, "trained"),
               Figure("wall", None, "<= 6 min", None, "time make demo")]  # fmt: skip
    assert json.loads(to_json(figures)) == [
        {"figure": "mismatches", "value": 0, "goal": "<= 0", "met": True, "how": "counted"},
        {"figure": "accuracy", "value": 94.5, "goal": ">= 95", "met": False, "how": "trained"},
        {"figure": "wall", "value": None, "goal": "<= 6 min", "met": None, "how": "time make demo"},
    ]
    lines = table(figures).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["figure", "value", "goal", "met"], ["mismatches", "0", "<=", "0", "yes"], ["counted"]
    ]  # fmt: skip
    assert lines[3].split() == ["accuracy", "94.5", ">=", "95", "NO"]
    assert lines[5].split() == ["wall", "-", "<=", "6", "min", "-"]
    long = table([at_most("mismatches", 0, 0, "word " * 50)]).splitlines()[2:]
    assert " ".join(long).split() == ["word"] * 50
    assert all(line.startswith("    word") and len(line) <= 96 for line in long)
