"""Bitstreams into boards, with openFPGALoader."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from backspike.gen.boards.board import Board
from backspike.ir.errors import UserError
from backspike.system.tools import ToolFailed, run

LOADER = "openFPGALoader"


def find_loader() -> str:
    """openFPGALoader on PATH, or that of the Python package `openfpgaloader`. UserError if there
    is none."""
    if found := shutil.which(LOADER):
        return found
    spec = find_spec(LOADER.lower())
    if spec is not None and spec.origin is not None:
        packed = Path(spec.origin).parent / "bin" / LOADER
        if packed.exists():
            return str(packed)
    raise UserError(
        f"{LOADER} is not found on PATH: loading a board needs it (on Debian: apt install "
        f"{LOADER.lower()}; or pip install {LOADER.lower()})"
    )


def program(board: Board, bitstream: Path, *, flash: bool = False) -> None:
    """Load the board, or its flash. Raises UserError with what the loader said last if it fails."""
    loader = find_loader()
    options = ("--board", board.loader, *(("--write-flash",) if flash else ()))
    try:
        run(loader, *options, str(bitstream.absolute()), folder=Path.cwd())
    except ToolFailed as error:
        raise UserError(
            f"{board.name} was not loaded with {bitstream}: {LOADER} says {error.cause!r}; is the "
            "board plugged in, switched on, and yours to open?"
        ) from None
