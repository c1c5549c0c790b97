"""`--backend serial:PORT`: a board's top behind a pseudo-terminal trains as PyTorch does."""

import os
import pty
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from serial import Serial

from backspike.cli.main import main
from backspike.drive import serial_line
from backspike.drive.registry import make_backend, serial_port
from backspike.gen.boards.board import BOARDS
from backspike.ir.errors import LinkError, Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.sim.noisy_line import NoisyLine
from backspike.sim.verilator.board import BoardUart, board_library, cached_files
from backspike.sim.verilator.serial_board import SerialBoard
from backspike.train import fitting
from backspike.train.checkpoint import load_checkpoint
from tests.support.core_runs import TINY, check_run, random_weights
from tests.support.layered import (
    GoldenChain,
    Layer,
    LockstepChain,
    Network,
    SerialChain,
    random_batch,
)

pytestmark = pytest.mark.verilator
BOARD = replace(BOARDS["ulx3s-25f"], clock=4_000_000, baud=1_000_000)
"""Four cycles a bit: the fewest, because each is simulated."""
PATIENCE = 3.0
"""Simulation and driver share a computer with others."""
NETWORK = Network(inputs=6, steps=3, layers=(Layer(size=4, bias=True), Layer(size=3, reset="soft")))
LEARNING = Learning(batch=4, loss="mse", rate=2.0**-5, rounding="stochastic", seed=3)
SMALL = "--limit 8 --layers 64,4,10 --steps 2 --batch 4 --machine tiny --seed 2"


@pytest.fixture(scope="module")
def library():
    return board_library(BOARD, cached_files(BOARD, TINY)["top.v"])


@pytest.fixture
def board(library):
    with SerialBoard(BoardUart(library, BOARD)) as board:
        yield board


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def serial(board: SerialBoard, network=NETWORK, learning=LEARNING, machine=TINY) -> SerialChain:
    return SerialChain(network, learning, machine, board.path, patience=PATIENCE)


def train_a_batch(backend: LockstepChain, rng: np.random.Generator) -> None:
    backend.forward(*random_batch(rng, NETWORK, 4))
    backend.update(None, 0)


@pytest.mark.parametrize(("share", "seed"), [(0.0, 0), (0.003, 1), (0.01, 2)])
def test_training_is_bit_exact(library, share, seed):
    """Three batches, every tensor, on lines that damage a share of the bytes either way."""
    there, back = NoisyLine(share, seed), NoisyLine(share, seed + 100)
    with SerialBoard(BoardUart(library, BOARD), there, back) as board:
        backend = SerialChain(NETWORK, LEARNING, TINY, board.path, patience=0.5)
        check_run(backend, seed)
        # A run is on the lights for an eighth of a second of the model's, half of the blinking's.
        assert board.uart.lights.alive
        assert board.uart.lights.error == (share > 0)
        if share:
            assert backend.link.failures > 5
            assert sum(there.counts.values()) > 2
            assert sum(back.counts.values()) > 5
        backend.close()


def test_a_bit_that_is_wrong_on_the_board_is_found(board):
    """A weight changed on the board alone is a Mismatch in the first batch."""
    backend = serial(board)
    lockstep = LockstepChain(backend, GoldenChain(NETWORK, LEARNING))
    rng = np.random.default_rng(0)
    lockstep.load_weights(random_weights(rng, NETWORK))
    weights = backend.weights()
    weights[0][2, 1] ^= np.uint16(0x4000)
    backend.load_weights(weights)
    with pytest.raises(Mismatch, match=r"batch 0.*got 0x.*want 0x"):
        train_a_batch(lockstep, rng)
    backend.close()


def same_run(one: str, other: str) -> None:
    """Two checkpoints of the same weights and history."""
    a, b = (load_checkpoint(Path(name)) for name in (one, other))
    assert all((b.weights[name] == w).all() for name, w in a.weights.items())
    assert (a.progress, a.notes) == (b.progress, b.notes)


def test_the_command_line(board, capsys):
    """The same checkpoint as golden's; the check is on unless it is not wanted."""
    assert main(f"train {SMALL} --backend serial:{board.path} --epochs 1 --save a".split()) == 0
    assert "0 mismatches" in capsys.readouterr().out
    assert main(f"train {SMALL} --backend golden --epochs 1 --save b".split()) == 0
    same_run("a", "b")
    assert "compared  " in capsys.readouterr().out
    options = f"evaluate a --backend serial:{board.path}:1000000 --machine tiny --no-check"
    assert main(options.split()) == 0
    assert "compared" not in capsys.readouterr().out


@pytest.mark.parametrize("frames", [25, 80, 130])
def test_unplugged_in_mid_run(board, tmp_path, capsys, monkeypatch, frames):
    """What --save wrote is whole, and going on from it gives the bits of a run in one piece."""
    monkeypatch.setattr(fitting, "SAVE_SECONDS", 0.0)
    backend, send = f"serial:{board.path}", board.uart.send
    sent = 0

    def count(data: bytes) -> None:
        nonlocal sent
        sent += data.count(b"\x7e\x7e")
        send(data)
        if sent == frames:
            threading.Thread(target=board.unplug).start()

    monkeypatch.setattr(board.uart, "send", count)
    options = f"train {SMALL} --backend {backend} --epochs 2 --save run --no-check"
    assert main(options.split()) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"backspike: serial port {board.path} is lost: ")
    begun = (tmp_path / "run").exists()
    assert begun == (frames > 25)
    if not begun:
        return
    checkpoint = load_checkpoint(tmp_path / "run")
    assert f"run goes on from batch {checkpoint.progress.updates}" in err
    assert 0 < checkpoint.progress.updates < 4
    assert main(["train", *["--resume", "run", "--save", "run", "--backend", "golden"]]) == 0
    assert main(f"train {SMALL} --backend golden --epochs 2 --save whole".split()) == 0
    same_run("run", "whole")


def test_a_refused_run_is_on_the_lights(board):
    """As long as it stands: the next run that is sound takes it away."""
    backend = serial(board)
    batch = backend.link.read("batch")
    for word, error in ((0, True), (batch, False)):
        backend.link.write("batch", word)
        backend.link.write("start", 1)
        backend.link.wait("status", 1, 0)
        assert board.uart.lights.error == error
    backend.close()


@pytest.mark.parametrize("frames", [45, 80])
def test_reset_in_mid_run(board, monkeypatch, frames):
    """The button pressed while frames fly: the driver says so, and begins anew as if on another."""
    send = board.uart.send
    sent = 0

    def press(data: bytes) -> None:
        nonlocal sent
        sent += data.count(b"\x7e\x7e")
        send(data)
        if sent >= frames:
            monkeypatch.undo()
            board.uart.reset()

    monkeypatch.setattr(board.uart, "send", press)
    backend = serial(board)
    with pytest.raises(LinkError, match="was reset"):
        check_run(backend)
    backend.close()
    again = serial(board)
    check_run(again)
    again.close()


def test_another_machine_is_told(board, tmp_path, capsys):
    """A board with another machine is one sentence with both sets of parameters."""
    options = f"train {SMALL} --machine default --backend serial:{board.path} --save run"
    assert main(options.split()) == 2
    err = capsys.readouterr().err
    assert "the core has lanes 2, fp_reuse 2, bp_reuse 2, readout_units 64, must have" in err
    assert "lanes 8, fp_reuse 4, bp_reuse 4, readout_units 32" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("serial:", "backend is 'serial:', must be serial:PORT[:BAUD]"),
        ("serial::9600", "backend is 'serial::9600', must be serial:PORT[:BAUD]"),
        ("serial:/dev/x:0", "backend is 'serial:/dev/x:0', must be serial:PORT[:BAUD]"),
        ("serial:/dev/nothing", "serial port /dev/nothing cannot be opened at 1000000 baud: No "),
        ("serial:file:9600", "serial port file cannot be opened at 9600 baud: "),
    ],
)
def test_ports_that_cannot_be(tmp_path, capsys, backend, message):
    """Ports that cannot be opened or read as a name are one sentence and no file."""
    (tmp_path / "file").write_text("text")
    assert main(f"train {SMALL} --backend {backend} --save run".split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nobody_answers(tmp_path, capsys):
    """A silent port is one sentence; a port that is open elsewhere is refused."""
    ours, theirs = pty.openpty()
    path = os.ttyname(theirs)
    assert main(f"train {SMALL} --backend serial:{path} --save run".split()) == 2
    assert f"serial port {path} does not answer: a board with" in capsys.readouterr().err
    # Whoever has it open has it alone, and gives it back.
    backend = f"serial:{path}"
    with Serial(path, exclusive=True):
        with pytest.raises(UserError, match="cannot be opened"):
            make_backend(backend, NETWORK.graph, LEARNING, TINY, steps=5, every=False)
    os.close(ours)
    os.close(theirs)


def test_a_port_that_takes_nothing_is_given_up(monkeypatch):
    """A port that takes no bytes is a LinkError after its time."""
    monkeypatch.setattr(serial_line, "STUCK", 0.1)
    ours, theirs = pty.openpty()
    line = serial_line.SerialLine(os.ttyname(theirs))
    with pytest.raises(LinkError, match=r"^serial port /dev/\S+ is lost: Write timeout$"):
        line.send(bytes(1_000_000))
    line.close()
    os.close(ours)
    os.close(theirs)


def test_names_of_ports():
    """The baud rate is split off a port's name only where a number stands."""
    assert serial_port("serial:/dev/ttyUSB0") == ("/dev/ttyUSB0", None)
    assert serial_port("serial:/dev/ttyUSB0:3000000") == ("/dev/ttyUSB0", 3_000_000)
    assert serial_port("serial:COM3:115200") == ("COM3", 115_200)
    assert serial_port("serial:/dev/by-path/pci-0:1.0") == ("/dev/by-path/pci-0:1.0", None)
