"""Netlists: a pass of Yosys that disagrees with another about a wire is noticed."""

from dataclasses import replace

import pytest

from backspike.flow.toolchain import synthesis
from backspike.flow.toolchain.family import FAMILIES
from backspike.gen.boards.board import BOARDS
from backspike.gen.boards.files import top_files
from backspike.gen.emit import emit
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.gen.spectral.spectral_sums import SpectralSums
from backspike.system.tools import ToolFailed
from tests.support.board_core import Show


@pytest.fixture(scope="module")
def sums() -> str:
    """Registers that hold two products: what `synth_ice40 -dsp` packs into one multiplier."""
    return emit(SpectralSums(SPECTRAL_MACHINES["spectral-32"]), "sums")


def test_a_wire_with_two_drivers_is_refused(sums, monkeypatch):
    """A netlist in which Yosys reports two drivers of one wire is a ToolFailed."""
    wrong = replace(FAMILIES["ice40"], synthesis="synth_ice40 -dsp", prepare="")
    monkeypatch.setitem(FAMILIES, "ice40", wrong)
    with pytest.raises(ToolFailed, match=r"made a wrong netlist: Warning: Driver-driver conflict"):
        synthesis.synthesise(sums, "ice40", "sums")


def test_ice40_multipliers_keep_their_registers_outside(sums):
    """Multipliers of iCE40 netlists use none of their registers."""
    netlist = synthesis.synthesise(sums, "ice40", "sums")
    multipliers = [c for c in netlist.module["cells"].values() if c["type"] == "SB_MAC16"]
    assert len(multipliers) >= 10
    for cell in multipliers:
        parameters = cell["parameters"]
        inside = [name for name in parameters if name.endswith(("_REG", "_REG1", "_REG2"))]
        assert len(inside) == 8
        assert not any(int(parameters[name], 2) for name in inside)
        for half in ("TOP", "BOT"):
            assert int(parameters[f"{half}OUTPUT_SELECT"], 2) == 3  # the product itself


@pytest.mark.parametrize(
    ("name", "pll"),
    [("ulx3s-85f", "EHXPLLL"), ("icebreaker", "SB_PLL40_PAD"), ("tang-nano-20k", "rPLL")],
)
def test_a_top_with_its_pll(name, pll):
    """A board's top has exactly one PLL cell of its family."""
    board = BOARDS[name]
    netlist = synthesis.synthesise(top_files(board, Show())["top.v"], board.family)
    assert netlist.cells[pll] == 1
