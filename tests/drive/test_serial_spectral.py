"""`--backend serial:PORT` of FSDS: a board's top with a spectral unit behind a pseudo-terminal."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from backspike.cli.main import main
from backspike.drive import serial_spectral
from backspike.drive.spectral_driver import SpectralDriver
from backspike.gen.boards.board import BOARDS
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.ir.errors import UserError
from backspike.sim.noisy_line import NoisyLine
from backspike.sim.verilator.board import BoardUart, board_library, cached_files
from backspike.sim.verilator.serial_board import SerialBoard
from backspike.spectral.degrade import noise
from backspike.spectral.photographs import crop, grey, photograph

pytestmark = pytest.mark.verilator
BOARD = replace(BOARDS["ulx3s-85f"], clock=4_000_000)
UNIT = SpectralMachine(name="small", size=8)
PATIENCE = 3.0
"""Simulation and driver share a computer with others."""


@pytest.fixture(scope="module")
def library():
    return board_library(BOARD, cached_files(BOARD, UNIT)["top.v"])


@pytest.fixture
def board(library):
    with SerialBoard(BoardUart(library, BOARD)) as board:
        yield board


@pytest.fixture(autouse=True)
def _two_pictures(tmp_path, monkeypatch):
    """a.png, b.png: 16 x 8, of the unit's preset `small` as two tiles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SPECTRAL_MACHINES, "small", UNIT)
    monkeypatch.setattr(serial_spectral, "PATIENCE", PATIENCE)
    shade = grey(crop(photograph("coffee"), 16))[:, :8]
    for name, pixels in (("a", shade), ("b", noise(shade, 5, 1))):
        Image.fromarray(pixels[0]).save(f"{name}.png")


def run(board: SerialBoard, *arguments: str, machine: str = "small", baud: str = "") -> int:
    line = f"fsds a.png b.png --tile 8 --backend serial:{board.path}{baud} --machine {machine}"
    return main([*line.split(), *arguments])


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_sums_are_bit_exact(library, capsys, monkeypatch, share):
    """Of two tiles, also on lines that damage a share of the bytes either way."""
    monkeypatch.setattr(serial_spectral, "PATIENCE", 0.5 if share else PATIENCE)
    there, back = NoisyLine(share, 1), NoisyLine(share, 2)
    with SerialBoard(BoardUart(library, BOARD), there, back) as board:
        assert run(board, "--json", "-") == 0
        out, err = capsys.readouterr()
        assert f"computed             serial:{board.path} small\n" in err
        assert "compared             20 sums, 0 mismatches\n" in err
        assert board.uart.lights.error == bool(share)
    result = json.loads(out)
    assert (result["backend"], result["machine"]) == (f"serial:{board.path}", "small")
    assert result["check"] == {"values": 20, "mismatches": 0}
    assert result["cycles"]["total"] > result["cycles"]["bound"] == 2 * 2 * 64
    assert (
        main(["fsds", "a.png", "b.png", "--tile", "8", "--backend", "golden", "--json", "-"]) == 0
    )
    golden = json.loads(capsys.readouterr().out)
    assert (result["parts"], result["fsds_db"]) == (golden["parts"], golden["fsds_db"])
    if share:
        assert sum(there.counts.values()) + sum(back.counts.values()) > 5


def test_a_bit_that_is_wrong_on_the_board_is_found(board, capsys, monkeypatch):
    """Pixels changed on their way to the board are a Mismatch, with exit code 1."""
    write = SpectralDriver.write_pixels
    monkeypatch.setattr(
        SpectralDriver,
        "write_pixels",
        lambda self, image, reference: write(self, np.asarray(image) ^ 1, reference),
    )
    assert run(board, "--json", "r.json", baud=":1000000") == 1
    err = capsys.readouterr().err
    assert "backspike: mismatch: tensor x, index tile 0, channel 0: got 0x" in err


def test_another_machine_is_told(board, tmp_path, capsys):
    """A board with another unit, and a unit in a core's place, are one sentence each."""
    assert run(board, "--json", "r.json", machine="spectral-32") == 2
    assert "the unit's log_size is 3, must be 5, as spectral-32 has it" in capsys.readouterr().err
    assert main(f"train --layers 64,4,10 --backend serial:{board.path} --save run".split()) == 2
    assert "the core's identification is 0x424b4654 version 1, must be" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}


def test_a_port_that_is_given_up_is_given_back(board):
    """A unit that cannot be opened leaves the port to the next one."""
    with pytest.raises(UserError, match="log_size") as caught:
        serial_spectral.serial_unit(SPECTRAL_MACHINES["spectral-32"], board.path)
    serial_spectral.serial_unit(UNIT, board.path).close()
    assert caught.value.__traceback__ is not None  # which has kept the line, closed or not


def test_unplugged_in_mid_run(board, tmp_path, capsys, monkeypatch):
    """A board unplugged in mid run is one sentence, exit code 2 and no file."""
    send, sent = board.uart.send, 0

    def count(data: bytes) -> None:
        nonlocal sent
        sent += data.count(b"\x7e\x7e")
        send(data)
        if sent == 10:
            threading.Thread(target=board.unplug).start()

    monkeypatch.setattr(board.uart, "send", count)
    assert run(board, "--json", "r.json") == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"backspike: serial port {board.path} is lost: ")
    assert not (tmp_path / "r.json").exists()


def test_hyra_on_a_board(board, capsys):
    """One port for all pictures."""
    options = f"--scale 2 --network sinc --size 8 --machine small --backend serial:{board.path}"
    assert main(["hyra", *options.split()]) == 0
    out = capsys.readouterr().out
    assert f"FSDS      on serial:{board.path} small\n" in out
    assert "compared  40 sums, 0 mismatches\n" in out


@pytest.mark.parametrize("command", ["fsds a.png b.png --tile 8", "hyra --size 8"])
@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("serial:", "backend is 'serial:', must be serial:PORT[:BAUD]"),
        ("serial:/dev/nothing", "serial port /dev/nothing cannot be opened at 1000000 baud: No "),
    ],
)
def test_ports_that_cannot_be(capsys, command, backend, message):
    """Ports that cannot be opened are one sentence and exit code 2."""
    assert main([*command.split(), "--backend", backend, "--machine", "small"]) == 2
    assert message in capsys.readouterr().err
