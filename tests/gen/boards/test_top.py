"""gen.boards: tops of each family in Verilator, with models of PLL and pins, around a small core.

The training core on a top is in `test_serial`.
"""

from dataclasses import replace

import pytest

from backspike.drive.frames import Unpacker, pack
from backspike.drive.link import LinkPort
from backspike.gen.boards.board import BOARDS
from backspike.gen.boards.clock import hold_cycles
from backspike.gen.boards.files import top_files
from backspike.gen.link.protocol import Op, Status
from backspike.ir.errors import LinkError
from backspike.sim.verilator.board import LOCK, SETTLE, BoardUart, Lights, board_library
from backspike.sim.verilator.uart import Uart, UartLine
from tests.support.board_core import MAP, Show
from tests.support.linked import request

pytestmark = pytest.mark.verilator
SLOW = {
    "icepi-zero": replace(BOARDS["icepi-zero"], clock=4_000_000),
    "icebreaker": replace(BOARDS["icebreaker"], clock=16_500_000, baud=4_000_000),
    "tang-nano-20k": replace(BOARDS["tang-nano-20k"], clock=4_500_000),
}
"""Clocks nearly as slow as the PLLs make: a second of blinking is simulated cycle by cycle."""
HELLO = pack(request(Op.HELLO, 0, 77))


@pytest.fixture(scope="module", params=SLOW)
def board(request):
    return SLOW[request.param]


@pytest.fixture(scope="module")
def library(board):
    return board_library(board, top_files(board, Show())["top.v"])


@pytest.fixture
def uart(library, board):
    uart = BoardUart(library, board)
    yield uart
    uart.close()


@pytest.fixture
def port(uart):
    return LinkPort(UartLine(uart), MAP)


def watch(uart: BoardUart, board, moments: int) -> list[Lights]:
    """The lights at so many moments, sixteen a second."""
    seen = []
    for _ in range(moments):
        uart.skip(board.clock // 16)
        seen.append(uart.lights)
    return seen


def show(port, **claims: int) -> None:
    port.write("show", MAP.register("show").pack(**{"running": 0, "fault": 0, **claims}))


def test_lights(uart, port, board):
    """Idle, working, refused; at rest again. Idle, half a second is dark."""
    idle = watch(uart, board, 16)
    assert sum(lights.alive for lights in idle) == 8
    assert not any(lights.error for lights in idle)
    show(port, running=1)
    assert watch(uart, board, 10) == [Lights(True, False)] * 10
    show(port, fault=1)
    assert {lights.error for lights in watch(uart, board, 4)} == {True}
    show(port)
    idle = watch(uart, board, 10)
    assert {lights.alive for lights in idle} == {True, False}
    assert not any(lights.error for lights in idle)


def test_a_damaged_frame_flashes(uart, port, board):
    """A damaged frame at the pins lights the error for less than a quarter of a second."""
    show(port)
    assert not uart.lights.error
    frame = bytearray(pack(request(Op.READ, 1, 0, count=1)))
    frame[4] ^= 1
    uart.send(bytes(frame))
    uart.skip(board.clock // 16)
    assert uart.lights.error
    uart.skip(board.clock // 4)
    assert not uart.lights.error


def test_the_button_resets(uart, port):
    """What the core held is gone, the driver is told, and all begins anew."""
    show(port, running=1, fault=1)
    assert uart.lights.error
    uart.reset()
    assert not uart.lights.error
    with pytest.raises(LinkError, match="the board was reset"):
        port.read("show")
    again = LinkPort(UartLine(uart), MAP)
    assert again.read("show") == 0


def answers(uart: Uart) -> bool:
    """Whether a hello that begins now is understood."""
    uart.send(HELLO)
    uart.stir()
    unpacker, bodies = Unpacker(), []
    while not uart.quiet:
        bodies += unpacker.feed(uart.run())
    return any(body[0] & 15 == Status.OKAY.value for body in bodies)


def test_nothing_is_heard_before_the_clock_is_good(library, board):
    """From configuration to the PLL's lock, and HOLD after it: the first two bytes are lost."""
    ready = LOCK + hold_cycles(board.clock)
    for wait in (0, ready - round(20 * board.rate.cycles), ready + SETTLE):
        uart = Uart(library, board.rate)
        for _ in range(wait):
            uart.run(1)
        assert answers(uart) == (wait > ready), f"{wait} cycles"
        uart.close()
