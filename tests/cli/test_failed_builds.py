"""A build that fails is one sentence and exit code 2, in every command that builds."""

import pytest
from PIL import Image

from backspike.cli.main import main
from backspike.drive import link_torture
from backspike.flow import board_run, component_reports
from backspike.flow.netlist import lockstep
from backspike.sim.verilator import machine_model, simulator, uart
from backspike.system.program import run_program
from backspike.system.tools import failure
from backspike.train import fuzz_training

SAID = "$ make\nm.cpp:1: error: no\nmore\n"
SENTENCE = "make failed with exit code 2: m.cpp:1: error: no; its log is "


@pytest.fixture(autouse=True)
def broken(tmp_path, monkeypatch):
    """Tools that refuse everything, quickly."""

    def fails(*_, **__):
        raise failure("make", 2, SAID)

    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    link_torture.torture_library.cache_clear()  # another test of this process may have built it
    for module in (simulator, uart):
        monkeypatch.setattr(module, "verilate_library", fails)
    for module in (machine_model,):
        monkeypatch.setattr(module, "emitted", lambda *_: "")
    for module in (board_run, lockstep):
        monkeypatch.setattr(module, "cached_files", lambda *_: {"top.v": ""})
    for module in (lockstep, component_reports):
        monkeypatch.setattr(module, "synthesise", fails)


@pytest.mark.parametrize(
    "line",
    [
        "train --epochs 1 --limit 16",
        "bench --only lockstep",
        "bench --spectral --only images",
        "fsds a.png a.png --machine spectral-32",
        "build --board ulx3s-85f --machine spectral-32",
    ],
)
def test_commands(line, capsys, tmp_path):
    """The sentence stands on stderr, with a log that stays."""
    Image.linear_gradient("L").resize((32, 32)).save("a.png")
    assert main(line.split()) == 2
    said = f"backspike: {SENTENCE}{tmp_path / 'cache' / 'logs'}/make-"
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (board_run.main, "--board ulx3s-25f"),
        (link_torture.main, ""),
        (lockstep.main, "--family ecp5 --machine tiny"),
        (component_reports.main, "Hash32"),
        (fuzz_training.main, "--machine tiny"),
    ],
)
def test_modules(command, line, capsys):
    """The same of what is called as `python -m`."""
    assert run_program(lambda: command(line.split())) == 2
    assert SENTENCE in capsys.readouterr().err
