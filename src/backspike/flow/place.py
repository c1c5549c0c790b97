"""Place and route: how full a part gets, how fast a netlist is in it, and the bitstream."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backspike.flow.family import FAMILIES, NETLIST
from backspike.flow.tools import run
from backspike.gen.boards.board import Board

REPORT = "report.json"


@dataclass(frozen=True)
class Resource:
    """How many of a part's `name` a design needs, as place and route counts, and how many it has.

    For LUT4 that is more than the netlist has: ends of carries take a place, too, and of a logic
    cell whose flip-flop is in use the LUT4 may be lost.
    """

    name: str
    used: int
    available: int

    @property
    def share(self) -> float:
        return self.used / self.available


@dataclass(frozen=True)
class Placement:
    """What came of one seed. mhz: what the core's clock reaches. met: every clock reaches what it
    has to.
    """

    seed: int
    mhz: float
    met: bool


def prepare(folder: Path, netlist: Path, files: Mapping[str, str]) -> None:
    """Put the netlist and the files of constraints where the tools will run."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    shutil.copy(netlist, folder / NETLIST)  # WebAssembly follows no link out of the folder


def resources(board: Board, folder: Path) -> list[Resource]:
    """What the prepared netlist takes of the board's part. Raises ToolFailed."""
    family = FAMILIES[board.family]
    options = ("--json", NETLIST, "--pack-only", "--report", REPORT)
    run(family.place, "-q", *family.part(board), *options, folder=folder)
    found = json.loads((folder / REPORT).read_text())["utilization"]
    return [
        Resource(name, found[theirs]["used"], found[theirs]["available"])
        for name, theirs in family.resources.items()
    ]


def place(board: Board, seed: int, folder: Path) -> Placement:
    """Place and route the prepared netlist, whether it gets fast enough or not. Raises
    ToolFailed."""
    family = FAMILIES[board.family]
    option, placed = family.placed
    run(
        family.place,
        *("-q", *family.part(board), "--json", NETLIST, "--freq", f"{board.clock / 1e6:g}"),
        *("--seed", str(seed), "--timing-allow-fail", "--report", REPORT, option, placed),
        folder=folder,
    )
    clocks = json.loads((folder / REPORT).read_text())["fmax"]
    return Placement(
        seed,
        core_mhz(clocks),
        all(clock["achieved"] >= clock["constraint"] for clock in clocks.values()),
    )


def core_mhz(clocks: dict[str, dict[str, float]]) -> float:
    """Of nextpnr's clocks, what the core's reaches: the one that is asked most of."""
    fastest = max(clock["constraint"] for clock in clocks.values())
    return min(c["achieved"] for c in clocks.values() if c["constraint"] == fastest)


def pack(board: Board, folder: Path) -> bytes:
    """The bitstream of what was last placed in `folder`. Raises ToolFailed."""
    family = FAMILIES[board.family]
    tool, *arguments = family.pack(board)
    run(tool, *arguments, folder=folder)
    return (folder / family.bitstream).read_bytes()
