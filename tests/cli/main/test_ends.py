"""How a command ends: exit codes, signals, streams that are closed or full."""

import os
import signal
import subprocess
import sys
import time

import pytest

from backspike.cli.main import main
from backspike.train.checkpoint import load_checkpoint

SMALL = ["--backend", "golden", "--limit", "30", "--layers", "64,8,10", "--steps", "2"]
COMMAND = f"{sys.executable} -m backspike.cli.main"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stopped:  # from argparse
        return int(stopped.code or 0)


def test_ctrl_c_from_outside(tmp_path):
    """A signal in mid-training: exit code 130, and a checkpoint that leads to the same bits."""
    train = [sys.executable, "-m", "backspike.cli.main", "train", *SMALL, "--save", "run"]
    with subprocess.Popen([*train, "--epochs", "100000"], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"backspike: stopped after" in err.splitlines()[-1]
    stopped = load_checkpoint(tmp_path / "run")
    epochs = str(len(stopped.progress.history) + 1)
    assert run(*f"train --backend golden --resume run --epochs {epochs} --save run".split()) == 0
    assert run("train", *SMALL, "--epochs", epochs, "--save", "whole") == 0
    whole, resumed = load_checkpoint(tmp_path / "whole"), load_checkpoint(tmp_path / "run")
    assert all((resumed.weights[name] == w).all() for name, w in whole.weights.items())
    assert whole.progress == resumed.progress


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("machines --json - | true", 141),
        ("--help | true", 141),
        ("machines 2>&1 >/dev/null", 0),
        ("machines >&-", 0),
        ("machines >&- 2>&-", 0),
        ("machines --json - >&-", 2),
        ("machines --rule >&- 2>&-", 2),
        ("machines >/dev/full", 2),
        ("machines --json - >/dev/full", 2),
        ("machines --json /dev/full", 2),
        ("evaluate none 2> >(true)", 141),
        ("machines --json r.json", 0),
        ("machines --json - --what 2>/dev/full", 2),
        ("evaluate none 2>/dev/full", 2),
        ("evaluate none 2</dev/null", 2),
        ("train --leak -1 2>/dev/full", 2),
    ],
)
def test_streams_that_are_closed_or_full(line, code):
    """Never exit code 1, never a traceback, and one sentence if somebody is left to read it."""
    script = f"set -o pipefail; {COMMAND} {line}; exit ${{PIPESTATUS[0]}}"
    if "2> >(true)" in line:  # let it end first
        script = f"exec 2> >(true); sleep 0.2; {COMMAND} {line.partition(' 2>')[0]}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if code == 2 and not any(lost in line for lost in ("2>&-", "2>/dev/full", "2</dev/null")):
        assert done.stderr.startswith("backspike: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_output_is_said(capfd, unbuffered):
    """Whether it fails in the middle or at the end; without the error's number."""
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    subprocess.run(f"{COMMAND} machines >/dev/full", shell=True, env=environment)
    said = "backspike: output cannot be written: No space left on device\n"
    assert capfd.readouterr().err == said


def test_a_fault_of_the_program_is_exit_code_70(capsys, monkeypatch):
    """With its traceback: a mismatch alone gives 1, whatever else is raised."""

    def fails(_):
        assert 2 < 1, "planted"

    monkeypatch.setattr("backspike.cli.commands.machines.run", fails)
    assert run("machines") == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith(
        "backspike: this is a fault of the program: please report the lines above\n"
    )


def test_help_names_the_exit_codes(capsys):
    """The ones that `run_program` can return."""
    assert run("--help") == 0
    out = capsys.readouterr().out
    for code in ("1    hardware", "2    bad", "3    a figure", "70   a fault", "130  ", "141  "):
        assert code in out


def test_a_checkpoint_on_standard_output(tmp_path):
    """`--save -` as `--save /dev/stdout`: the table goes to stderr, the file is a checkpoint."""
    for name in ("-", "/dev/stdout"):
        command = [sys.executable, "-m", "backspike.cli.main", "train", *SMALL, "--epochs", "1"]
        with open(tmp_path / "run", "wb") as out:
            done = subprocess.run([*command, "--save", name], stdout=out, stderr=subprocess.PIPE)
        assert done.returncode == 0
        assert b"accuracy" in done.stderr
        assert len(load_checkpoint(tmp_path / "run").progress.history) == 1
    assert not (tmp_path / "-").exists()


def test_a_terminal_that_knows_few_letters(tmp_path):
    """Greek letters in the help become escapes, not a traceback."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "backspike.cli.main", "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert "\\u03b7" in done.stdout
    assert not done.stderr
