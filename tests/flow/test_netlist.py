"""What place and route gets of a board's top, simulated cell by cell."""

import numpy as np
import pytest

from backspike.drive.comparison import Counts
from backspike.drive.link import LinkPort
from backspike.drive.spectral_driver import SpectralDriver
from backspike.flow.netlist import lockstep as command
from backspike.flow.netlist.lockstep import Found, compare, main, place, simulate
from backspike.flow.netlist.model import cell_models
from backspike.flow.toolchain.synthesis import Netlist, synthesise
from backspike.gen.boards.files import TOP
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.gen.spectral.map import spectral_map
from backspike.ir.errors import Mismatch, UserError
from backspike.sim.verilator.board import BoardUart, cached_files
from backspike.sim.verilator.uart import UartLine
from backspike.system.program import run_program

pytestmark = pytest.mark.xdist_group("netlist")

SMALL = SPECTRAL_MACHINES["spectral-32"]
BOARD = place("ecp5", SMALL.name)
FOUND = Found("icebreaker", "tiny", "1 batch of 5", {"SB_LUT4": 1234}, 5678, 90, 0, 1.5)


@pytest.fixture(scope="module")
def netlist() -> Netlist:
    return synthesise(cached_files(BOARD, SMALL)[f"{TOP}.v"], BOARD.family, TOP)


def compared(uart: BoardUart, side: int) -> int:
    """Values of a pair that were compared with golden, all equal."""
    counts = Counts()
    compare(uart, SMALL, counts, side)
    assert counts.mismatches == 0
    return counts.values


@pytest.mark.verilator
def test_an_fsds_of_the_netlist_is_goldens(netlist):
    """The netlist of a board's top computes golden's sums, cell by cell."""
    assert netlist.cells["DP16KD"] > 5
    assert netlist.cells["MULT18X18D"] > 20
    uart = simulate(netlist, BOARD)
    assert compared(uart, 32) == 10
    uart.close()


@pytest.mark.verilator
@pytest.mark.parametrize("seed", [1, 2])
def test_any_state_before_the_reset_will_do(netlist, seed):
    """Flip-flops that begin at random; and a reset while pixels are crossing the link."""
    uart = simulate(netlist, BOARD, seed=seed)
    assert compared(uart, 8) == 10
    driver = SpectralDriver(LinkPort(UartLine(uart), spectral_map(SMALL)), SMALL)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8))
    driver.write_pixels(pixels, pixels)
    uart.send(bytes(range(200)))
    uart.run(500 * seed)
    uart.reset()
    assert compared(uart, 8) == 10
    uart.close()


def test_families_without_models_are_told():
    """A family without cell models is a UserError that lists those with them."""
    with pytest.raises(UserError, match="family is 'gowin', must be ecp5 or ice40: others have no"):
        cell_models("gowin")


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_flip_flops_begin_as_configured_or_at_random(family):
    """Flip-flops of the cell models begin as configured, or at random when asked."""
    text = cell_models(family)[f"{family}_yosys.v"]
    assert 'initial Q = $test$plusargs("random") ? 1\'($urandom) : ' in text
    assert "initial Q = srval" not in text
    assert "initial Q = 0" not in text


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, "tiny for icebreaker, 1 batch of 5: 90 values, 0 mismatches"),
        (Mismatch("layer 0"), 1, "mismatch: layer 0"),
        (UserError("no yosys"), 2, "backspike: no yosys"),
    ],
)
def test_the_command(monkeypatch, capsys, error, code, said):
    """The command prints what it compared, and its exit code is 0, 1 or 2."""

    def check(board, name, batches):
        if error:
            raise error
        assert (board.family, name, batches) == ("ice40", "tiny", 1)
        return FOUND

    monkeypatch.setattr(command, "check", check)
    arguments = ["--family", "ice40", "--machine", "tiny", "--batches", "1"]
    assert run_program(lambda: main(arguments)) == code
    assert said in "".join(capsys.readouterr())
