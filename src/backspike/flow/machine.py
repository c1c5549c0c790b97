"""A machine on a board: emitted, built, and its cycles counted."""

from collections.abc import Sequence
from dataclasses import replace

from backspike.flow import build, throughput
from backspike.flow.build import Built, Design, Log, stage
from backspike.gen.boards import files
from backspike.gen.boards.board import Board
from backspike.gen.machine import Accelerator
from backspike.ir.errors import UserError
from backspike.system.tools import ToolFailed
from backspike.system.toolset import WASM, Toolset


def build_machine(
    board: Board,
    machine: Accelerator,
    seeds: Sequence[int],
    log: Log = lambda line: None,
    jobs: int = 1,
    tools: Toolset = WASM,
) -> tuple[Design, Built]:
    """The design that was built, and the result: see `build`; the report has the throughput, too.

    Cycles are counted first, so nothing is built of RTL that differs from golden. Without g++, make
    and perl there is no throughput, and that is told.

    Raises UserError if a tool is not installed, ToolFailed if one fails, Mismatch if the simulated
    RTL differs from golden.
    """
    tools.check(board.family)
    with stage("Verilog", log):
        design = Design(machine.name, files.board_files(board, machine))
    found = None
    try:
        with stage("cycles on the simulated RTL", log):
            found = throughput.throughput(machine)
    except ToolFailed:
        raise
    except UserError as error:
        log(f"throughput is not measured: {error}")
    built = build.build(board, design, seeds, log, jobs, tools)
    return design, replace(built, report=replace(built.report, throughput=found))
