"""sim.board_run: the text that becomes a bitstream, at its own clock and rate."""

import pytest

from backspike.flow import board_run
from backspike.gen.boards.board import BOARDS
from backspike.ir.errors import UserError


@pytest.mark.verilator
def test_the_very_top_trains_on_a_bad_line(capsys):
    """The text that becomes a bitstream trains without a mismatch on a noisy line."""
    arguments = "--board ulx3s-25f --batches 2 --share 0.003 --seed 1"
    assert board_run.main(arguments.split()) == 0
    out = capsys.readouterr().out.splitlines()
    mhz = BOARDS["ulx3s-25f"].clock / 1e6
    assert out[0] == f"board      ULX3S with LFE5U-25F: {mhz:g} MHz, 1000000 baud, tiny"
    assert out[1].endswith(" values, 0 mismatches, in 2 batches")
    assert " 0 failed" not in out[2]
    assert out[3] == "lights     alive and error lit"


def test_another_machine():
    """An unknown machine or board is exit code 2."""
    with pytest.raises(UserError, match="machine is 'huge'"):
        board_run.main(["--board", "ulx3s-25f", "--machine", "huge"])
    with pytest.raises(SystemExit):
        board_run.main(["--board", "nexys"])
