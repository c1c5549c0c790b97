"""What the tools get of a board: Verilog and constraints."""

import re

from amaranth.lib import wiring

from backspike.gen.boards.board import Board
from backspike.gen.boards.top import BoardTop
from backspike.gen.emit import tidy
from backspike.gen.machine import Accelerator

TOP = "top"
"""The module, and the files' name."""
CONSTRAINTS = {"ecp5": "lpf", "ice40": "pcf", "gowin": "cst"}
"""What each family's file of constraints is called."""
NOTICE = re.compile(r"^\s*(?:#|//|/\*).*\n?", re.MULTILINE)
"""A whole line that is a comment: Amaranth's notice and its empty places for more."""


def board_files(board: Board, machine: Accelerator) -> dict[str, str]:
    """`top_files` of a machine's core."""
    return top_files(board, machine.component())


def top_files(board: Board, core: wiring.Component) -> dict[str, str]:
    """`top.v` and the constraints (`top.lpf`, `top.pcf` or `top.cst`) of a core on a board.

    The constraints hold the pins and, except those of Gowin's parts, whose format has no clocks,
    `board.clock`. The texts depend on nothing but the parameters and the pinned Amaranth: they name
    no path and no date. No tool is called but the Yosys in Amaranth.
    """
    plan = board.platform().prepare(BoardTop(board, core), TOP, emit_src=False, debug_verilog=True)
    constraints = f"{TOP}.{CONSTRAINTS[board.family]}"
    verilog, pins = (_text(plan.files[name]) for name in (f"{TOP}.debug.v", constraints))
    return {
        f"{TOP}.v": tidy(NOTICE.sub("", verilog, count=1)),
        constraints: NOTICE.sub("", pins).rstrip() + "\n",
    }


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
