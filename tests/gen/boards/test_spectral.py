"""gen.boards with a spectral unit: the same top, the same link, the same lights."""

from dataclasses import replace

import pytest

from backspike.drive.link import LinkPort
from backspike.drive.spectral_driver import SpectralDriver, SpectralFaultError
from backspike.gen.boards.board import BOARDS
from backspike.gen.spectral.control import Fault
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.map import spectral_map
from backspike.golden.spectral import samples, sums
from backspike.sim.verilator.board import BoardUart, Lights, board_library, cached_files
from backspike.sim.verilator.uart import UartLine
from tests.support.spectral_runs import random_pair, same_sums

BOARD = replace(BOARDS["ulx3s-85f"], clock=4_000_000)
UNIT = SpectralMachine(name="small", size=8)


@pytest.mark.verilator
def test_a_pair_of_pictures_through_the_board_s_pins():
    """A pair sent through a board's pins has golden's sums, and a refused run lights the error."""
    uart = BoardUart(board_library(BOARD, cached_files(BOARD, UNIT)["top.v"]), BOARD)
    driver = SpectralDriver(LinkPort(UartLine(uart), spectral_map(UNIT)), UNIT)
    with pytest.raises(SpectralFaultError) as caught:
        driver.run(8, 8, pair=True)
    assert caught.value.fault == Fault.EMPTY
    assert uart.lights == Lights(alive=True, error=True)

    uart.skip(BOARD.clock // 4)
    pair = random_pair(3, 8, 8)
    driver.write_pixels(*(picture.numpy() for picture in pair))
    driver.run(8, 8, pair=True)
    assert uart.lights == Lights(alive=True, error=False)
    same_sums(driver.sums(), sums(samples(*pair, UNIT.pixel_bits)))
    uart.close()
