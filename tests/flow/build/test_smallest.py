"""The build that is made soonest, whole, beside its baseline."""

import json
from pathlib import Path

import pytest

from backspike.cli.main import main
from backspike.flow.reports.baselines import SMALLEST


@pytest.mark.verilator
def test_the_smallest_build_is_as_its_baseline(tmp_path, monkeypatch, capsys):
    """Synthesised, placed with one seed, packed; its cycles counted. Two minutes at first, then
    seconds: netlist and placement are cached."""
    monkeypatch.chdir(tmp_path)
    board, machine = SMALLEST
    line = f"build --board {board} --machine {machine} --seeds 1 --jobs 1 --check --json r.json"
    assert main(line.split()) == 0, capsys.readouterr().err
    report = json.loads(Path("r.json").read_text())
    bitstream = Path("build", f"{board}-{machine}", report["bitstream"])
    assert bitstream.stat().st_size > 100_000
    assert report["rate"] > 0
    assert report["placements"][0]["met"]
    assert main(["boards"]) == 0
    assert f"build/{board}-{machine}" in capsys.readouterr().out
