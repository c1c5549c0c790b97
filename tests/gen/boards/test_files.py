"""gen.boards.files: what the tools get is the same each time, and what the board needs."""

import functools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backspike.gen.boards.board import BOARDS
from backspike.gen.boards.files import board_files, top_files
from backspike.gen.spectral.machine import SpectralMachine
from tests.support.board_core import Show

ROOT = Path(__file__).resolve().parents[3]
PINS = {
    "ulx3s-85f": {"clk25_0__io": "G2", "uart_0__rx__io": "M1", "uart_0__tx__io": "L4",
                  "button_fire_0__io": "R1", "led_0__io": "B2", "led_1__io": "C2",
                  "esp32_0__gpio0__io": "L2"},
    "icepi-zero": {"clk50_0__io": "M1", "uart_0__rx__io": "K16", "uart_0__tx__io": "K15",
                   "button_0__io": "C4", "led_0__io": "E13", "led_1__io": "D14"},
    "icebreaker": {"clk12_0__io": "35", "uart_0__rx__io": "6", "uart_0__tx__io": "9",
                   "button_0__io": "10", "led_g_0__io": "37", "led_r_0__io": "11"},
    "tang-nano-20k": {"clk27_0__io": "4", "uart_0__rx__io": "70", "uart_0__tx__io": "69",
                      "button_0__io": "88", "led_0__io": "15", "led_1__io": "16"},
}  # fmt: skip
PINS["ulx3s-25f"] = PINS["ulx3s-85f"]
PLACED = {
    "lpf": r'LOCATE COMP "(\S+)" SITE "(\S+)";',
    "pcf": r"set_io (\S+) (\S+)",
    "cst": r'IO_LOC "(\S+)" (\S+);',
}


@functools.cache
def files_of(name: str) -> dict[str, str]:
    return top_files(BOARDS[name], Show())


@pytest.mark.parametrize("name", BOARDS)
def test_constraints(name):
    """Each port of the top has its pin, and the clocks their frequencies."""
    board = BOARDS[name]
    files = files_of(name)
    verilog = files["top.v"]
    [(file, text)] = files.items() - {("top.v", verilog)}
    kind = file.removeprefix("top.")
    assert dict(re.findall(PLACED[kind], text)) == PINS[name]
    [ports] = re.findall(r"^module top\(([^)]*)\);", verilog, re.MULTILINE)
    assert set(ports.split(", ")) == set(PINS[name])
    if kind == "lpf":
        assert f'FREQUENCY NET "clock.clk" {board.clock}.0 HZ;' in text
        assert f"{board.oscillator}.0 HZ;" in text
    if kind == "pcf":
        assert f"set_frequency clock.clk {board.clock / 1e6}\n" in text


@pytest.mark.parametrize("name", BOARDS)
def test_texts_name_nothing_of_here(name):
    """No path, no notes of Amaranth to itself, no empty places for more."""
    for text in files_of(name).values():
        for word in (str(ROOT), "/site-packages", "(* generator", "(* src", "placeholder"):
            assert word not in text


@pytest.mark.parametrize("name", ["ulx3s-85f", "icebreaker", "tang-nano-20k"])
def test_the_same_bytes_again(name):
    """A board's files are the same bytes every time."""
    assert top_files(BOARDS[name], Show()) == files_of(name)


def test_a_machine():
    """Its core within the top, each module once. (A training core's is simulated: test_serial.)"""
    text = board_files(BOARDS["ulx3s-85f"], SpectralMachine(name="small", size=8))["top.v"]
    modules = re.findall(r"^module (\S+)", text, re.MULTILINE)
    assert "\\top.serial.core.analysis" in modules
    assert len(modules) == len(set(modules))


def test_a_board_that_cannot_be():
    """A clock or a rate that the board cannot make is a ValueError."""
    with pytest.raises(ValueError, match="clock is 81000000 Hz: the PLL of an ECP5 cannot"):
        replace(BOARDS["ulx3s-85f"], clock=81_000_000)
    with pytest.raises(ValueError, match="baud 30000000, must be 4 to 1000 cycles a bit"):
        replace(BOARDS["ulx3s-85f"], baud=30_000_000)


def test_without_the_package_of_boards():
    """Said in a sentence, and by those commands alone that need it."""
    program = (
        "import sys; sys.modules['amaranth_boards'] = None; from backspike.cli.main import main; "
        "main(['machines']); sys.exit(main(['boards']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "tiny" in done.stdout
    assert done.stderr == (
        "backspike: amaranth-boards is not installed: boards need it "
        "(pip install -e '.[boards]' in the checkout)\n"
    )
