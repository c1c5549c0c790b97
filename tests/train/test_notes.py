"""What `backspike train` keeps in a checkpoint, and what of it is refused."""

import os

import pytest

from backspike.ir.errors import UserError
from backspike.train.notes import RunNotes, run_notes

NOTES = {"epochs": 3, "data": "digits", "limit": None, "digest": "d"}


def test_notes_come_back():
    """As JSON and out of it; a name's bytes that are no UTF-8 are lone surrogates, and allowed."""
    for notes in (
        RunNotes(**NOTES),
        RunNotes(**NOTES | {"data": os.fsdecode(b"\xff"), "limit": 7}),
    ):
        assert run_notes("file", notes.to_json()) == notes
        assert run_notes("file", notes.to_json() | {"more": 1}) == notes
    assert RunNotes(**NOTES).to_json() == NOTES


@pytest.mark.parametrize("name", NOTES)
def test_what_a_trainer_was_given_to_note(name):
    """Any other notes are none of such a run's."""
    assert run_notes("file", {key: value for key, value in NOTES.items() if key != name}) is None
    assert run_notes("file", {}) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "x", "epochs is 'x', must be a whole number from 1 up"),
        ("epochs", True, "epochs is True, must be a whole number from 1 up"),
        ("data", 5, "data is 5, must be a string"),
        ("data", "\ud800", r"data is '\\ud800', must be a name that a file can have"),
        ("data", "a\0b", r"data is 'a\\x00b', must be a name that a file can have"),
        ("limit", 0, "limit is 0, must be a whole number from 1 up"),
        ("limit", 1.5, r"limit is 1\.5, must be a whole number from 1 up"),
        ("digest", None, "digest is None, must be a string"),
    ],
)
def test_wrong_kinds(name, value, message):
    """One sentence that names the checkpoint and the note."""
    with pytest.raises(UserError, match=f"^checkpoint file: {message}$"):
        run_notes("file", NOTES | {name: value})
