"""Groups of figures: which are measured, and how a run ends."""

import json

import pytest

from backspike.bench import run
from backspike.bench.figure import Figure, at_most
from backspike.drive.comparison import Counts
from backspike.ir.errors import Mismatch, UserError
from backspike.system.program import MISSED


def group(value: int, tensors: int = 0):
    def measured(counts: Counts) -> list[Figure]:
        counts.tensors += tensors
        return [at_most("small", value, 1, "")]

    return measured


@pytest.mark.parametrize(("value", "code"), [(1, 0), (2, MISSED)])
def test_the_exit_code_says_whether_all_goals_are_met(monkeypatch, capsys, value, code):
    """The exit code is MISSED as soon as one figure misses its goal."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": group(value), "other": group(0)})
    assert run.bench(None, ["some"]) == code
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["small", str(value)]


def test_a_whole_run_lists_what_it_cannot_measure(monkeypatch, capsys):
    """A run of all groups lists the figures that only people can measure, without a value."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": group(1), "other": group(0)})
    assert run.bench("-") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [f["value"] for f in figures] == [1, 0, None, None, None]


def test_unknown_groups_are_refused_before_any_work(monkeypatch):
    """A group that does not exist is a UserError that names the known ones."""
    monkeypatch.setitem(run.SUBJECTS, "core", {"some": group(1)})
    with pytest.raises(UserError, match=r"only is 'sum', must be of some"):
        run.bench(None, ["some", "sum"])


def test_a_mismatch_is_a_figure_and_ends_its_group_only():
    """A Mismatch in one group is counted and quoted, and the next group still runs."""

    def wrong(counts: Counts) -> list[Figure]:
        counts.tensors, counts.mismatches = 3, 2
        raise Mismatch("layer 0 differs")

    mismatches, small = run.measure({"wrong": wrong, "some": group(1)})
    assert (mismatches.value, mismatches.met) == (2, False)
    assert "wrong: layer 0 differs" in mismatches.how
    assert small.met
    assert run.measure({"some": group(1, tensors=5)})[0] == at_most(
        "mismatches", 0, 0, mismatches.how.partition(": ")[0] + ": 0 values in 5 tensors"
    )
