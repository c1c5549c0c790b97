"""Place and route: how full a part gets, how fast a netlist is in it, and the bitstream."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backspike.flow.toolchain.family import FAMILIES, NETLIST
from backspike.flow.toolchain.synthesis import Netlist
from backspike.gen.boards.board import Board
from backspike.system.cache import cached
from backspike.system.progress import SILENT, Progress
from backspike.system.toolset import WASM, Toolset

REPORT = "report.json"
PLACES = "logic cells"
"""The places that LUT4 and FF share, where nextpnr counts these apart."""


STAGES = (
    ("packing", re.compile(r"Info: Packing ([^.\s]+)"), "{}"),
    (
        "placing",
        re.compile(r"at iteration #(\d+), type \S+: .*legal = (\d+)"),
        "iteration {}, wire length {}",
    ),
    (
        "refining the placement",
        re.compile(r"at iteration #(\d+): temp = .*wirelen = (\d+)"),
        "iteration {}, wire length {}",
    ),
    (
        "routing",
        re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)"),
        "iteration {}, {} wires used more than once",
    ),
    (
        "routing",
        re.compile(r"Info: +\d+ \| +\d+ +\d+ \| +\d+ +\d+ \| +(\d+)\|"),
        "{} connections left",
    ),
)
"""What nextpnr is at: stage, how it tells of it, and how far it is in it."""


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
    """The result of one seed. mhz: what the core's clock reaches. met: whether every clock reaches
    its constraint.
    """

    seed: int
    mhz: float
    met: bool


def resources(
    board: Board, netlist: Netlist, pins: Mapping[str, str], ffs: int, tools: Toolset = WASM
) -> list[Resource]:
    """What a netlist takes of the board's part. pins: files of constraints. ffs: the netlist's,
    for families whose flip-flops nextpnr counts with the LUT4 beside them. Raises ToolFailed.
    """
    family = FAMILIES[board.family]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, netlist.path, pins)
        options = ("--json", NETLIST, "--pack-only", "--report", REPORT)
        tools.run(family.place, "-q", *family.part(board), *options, folder=folder)
        found = json.loads((folder / REPORT).read_text())["utilization"]
    taken = [
        Resource(name, ffs, board.capacity.ffs)
        if theirs is None
        else Resource(name, found[theirs]["used"], found[theirs]["available"])
        for name, theirs in family.resources.items()
    ]
    if family.places is not None:
        taken.append(Resource(PLACES, family.places(netlist.module), board.capacity.lut4))
    return taken


def place(
    board: Board,
    seed: int,
    netlist: Path,
    pins: Mapping[str, str],
    tools: Toolset = WASM,
    progress: Progress = SILENT,
) -> tuple[Placement, Path]:
    """Place and route a netlist, whether it gets fast enough or not; made once for each netlist,
    board, seed and version of the tool. The folder is for `pack`. Raises ToolFailed.
    """
    family = FAMILIES[board.family]
    option, placed = family.placed
    arguments = (
        *(*family.part(board), "--json", NETLIST, "--freq", f"{board.clock / 1e6:g}"),
        *("--seed", str(seed), *family.search, "--timing-allow-fail"),
        *("--report", REPORT, option, placed),
    )

    def watch(line: str) -> None:
        for stage, pattern, detail in STAGES:
            if found := pattern.search(line):
                progress.at(stage, detail.format(*found.groups()))

    def build(folder: Path) -> None:
        _prepare(folder, netlist, pins)
        tools.run(family.place, *arguments, folder=folder, watch=watch)
        (folder / NETLIST).unlink()

    texts = [part for name in sorted(pins) for part in (name, pins[name])]
    parts = [family.place, tools.version(family.place), *arguments, *texts, netlist.read_bytes()]
    folder = cached(f"placed-{board.name}", parts, build)
    clocks = json.loads((folder / REPORT).read_text())["fmax"]
    met = all(clock["achieved"] >= clock["constraint"] for clock in clocks.values())
    return Placement(seed, core_mhz(clocks), met), folder


def pack(board: Board, placed: Path, tools: Toolset = WASM) -> bytes:
    """The bitstream of what `place` has left in a folder. Raises ToolFailed."""
    family = FAMILIES[board.family]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(placed / family.placed[1], folder)
        tools.run(family.packer, *family.pack, folder=folder)
        return (folder / family.bitstream).read_bytes()


def _prepare(folder: Path, netlist: Path, pins: Mapping[str, str]) -> None:
    """Put the files where the tools will run."""
    for name, text in pins.items():
        (folder / name).write_text(text)
    shutil.copy(netlist, folder / NETLIST)  # WebAssembly follows no link out of the folder


def core_mhz(clocks: dict[str, dict[str, float]]) -> float:
    """Of nextpnr's clocks, what the core's reaches: the one that is asked most of."""
    fastest = max(clock["constraint"] for clock in clocks.values())
    return min(c["achieved"] for c in clocks.values() if c["constraint"] == fastest)
