"""`backspike compile` of a batch that is larger than the machine's memories."""

import json

from backspike.cli.main import main

ARGUMENTS = ["compile", "--machine", "tiny,parts=1", "--layers", "64,48,10", "--steps", "4"]


def test_a_batch_in_parts(capsys):
    """It is told that it comes in parts, and of what the cycles are."""
    assert main([*ARGUMENTS, "--batch", "40"]) == 0
    out = capsys.readouterr().out
    assert "batches of 40 samples, parts of up to 14, and 4 steps in 4 blocks of 14 and 1" in out
    assert "busy cycles a part" in out
    assert "\nA part takes about " in out
    assert main([*ARGUMENTS, "--batch", "40", "--json", "-"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert (compiled["batch"], compiled["samples_of_a_part"]) == (40, 14)


def test_a_batch_that_fits(capsys):
    """Nothing is said of parts."""
    assert main([*ARGUMENTS, "--batch", "16"]) == 0
    out = capsys.readouterr().out
    assert "batches of 16 samples and 4 steps in 4 blocks of 16 and 1" in out
    assert "busy cycles a batch" in out
    assert "\nA batch takes about " in out
    assert main([*ARGUMENTS, "--batch", "16", "--json", "-"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert (compiled["batch"], compiled["samples_of_a_part"]) == (16, 16)
